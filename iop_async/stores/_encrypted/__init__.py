"""A store whose bodies are encrypted: the keys, what they seal, and the store around another."""

from __future__ import annotations

try:
    import cryptography  # noqa: F401 - first, for its message
except ImportError as error:
    msg = "EncryptedStore needs cryptography: pip install 'iop-async[crypto]'"
    raise ImportError(msg, name="cryptography") from error

from ._store import EncryptedStore

__all__ = ["EncryptedStore"]
