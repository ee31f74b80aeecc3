"""The parts of :class:`~iop_async.HttpxTransport`, and of :class:`~iop_async.FastTransport`.

A request becomes one of the :mod:`messages`, its files :mod:`streams`. In its turn, and within its
time (:mod:`exchanges`, :mod:`deadlines`), it travels over a connection of a :mod:`pool`, and ends
in an answer or in one of our own :mod:`failures`. The answers to :mod:`downloads` go to
:mod:`targets`, and the :mod:`links` to them may lead elsewhere. Those are common to both, and so
are the :mod:`loops` that they serve and the context of :mod:`tls`.

The connections of the first are httpcore's (:mod:`connections`, on :mod:`sockets`, through
:mod:`proxies`) or those of a :mod:`borrowed` client; the other has a room of its own for them.
"""
