"""An SQL database as a store, by way of SQLAlchemy."""

from importlib.util import find_spec

# greenlet comes with SQLAlchemy's own extra, and without it nothing asynchronous works
for _needed in ("sqlalchemy", "greenlet"):
    if find_spec(_needed) is None:
        msg = "SQLAlchemyStore needs SQLAlchemy and greenlet: pip install 'iop-async[sql]'"
        raise ImportError(msg, name=_needed)

from ._store import SQLAlchemyStore  # noqa: E402

__all__ = ["SQLAlchemyStore"]
