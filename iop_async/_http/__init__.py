"""The parts of :class:`~iop_async.HttpxTransport`.

A request becomes one of the :mod:`messages`, its files :mod:`streams`. In its turn, and within its
time (:mod:`exchanges`, :mod:`deadlines`), it travels over :mod:`connections` of the transport's own
(on :mod:`sockets`) or over a :mod:`borrowed` client, and ends in an answer or in one of our own
:mod:`failures`.
"""
