"""Endpoint coroutines: each takes a :class:`~iop_async.protocols.Caller` and nothing else."""
