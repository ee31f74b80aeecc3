"""The fast way to a gateway: an ``asyncio.Protocol`` of our own, and httptools to read answers.

:class:`FastTransport` takes requests from :mod:`~iop_async._http`, which it shares with the other
transport, to :mod:`connections` of its own, where :mod:`answers` are put together.
"""

from __future__ import annotations

from importlib import import_module

for _name in ("aiohappyeyeballs", "httptools"):
    try:
        import_module(_name)
    except ImportError as error:
        msg = f"iop_async.FastTransport needs {_name}: install iop-async[fast]"
        raise ImportError(msg, name=_name) from error
