"""The TOP family: Taobao's ``/router/rest`` and ``/router/batch``, and the ``/api`` beside them."""
