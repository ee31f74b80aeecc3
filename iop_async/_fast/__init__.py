"""The fast way to a gateway: an ``asyncio.Protocol`` of our own, and httptools to read answers.

:class:`FastTransport` takes requests from :mod:`~iop_async._http`, which it shares with the other
transport, to :mod:`connections` of its own, where :mod:`answers` are put together.
"""
