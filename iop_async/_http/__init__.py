"""What :class:`~iop_async.HttpxTransport` is made of.

A request becomes :mod:`outgoing` bytes and :mod:`streams`, travels over :mod:`connections` of its
own (on :mod:`sockets`) or over a :mod:`borrowed` client, and comes back as an :mod:`incoming`
answer or as one of our own :mod:`failures`.
"""
