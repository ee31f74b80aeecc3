"""``iop-async keep``: the keeper as a service, for applications in any language."""

from .command import keep

__all__ = ["keep"]
