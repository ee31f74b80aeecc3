"""Keys: made, read from settings, and shown to nobody."""

from __future__ import annotations

import hmac
import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final, TypeAlias

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ..._redact import NotPickled, Secret

Keys: TypeAlias = Mapping[str, bytes | str] | str
"""Keys by their ids, or the text ``ID=KEY,ID=KEY``; a key is 32 bytes, or their base64."""

SIZE: Final = 32
_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,32}")
_URLSAFE: Final = str.maketrans("-_", "+/")


class Key(NotPickled):
    """One key, as the two things that it is used for; the bytes themselves are not kept.

    Attributes:
        id: the name that stands in what was sealed with it.
        cipher: AES-256-GCM.
    """

    __slots__ = ("_mac", "cipher", "id")

    def __init__(self, key_id: str, secret: bytes) -> None:
        # One key per purpose: what the nonces show must say nothing about the cipher's key.
        derived = HKDF(SHA256(), 2 * SIZE, salt=None, info=b"iop-async sealed body 1").derive(
            secret
        )
        self.id = key_id
        self.cipher = AESGCM(derived[:SIZE])
        self._mac = hmac.new(derived[SIZE:], digestmod="sha256")

    def nonce(self, bound: bytes, plain: bytes) -> bytes:
        """The 12 bytes that nothing else is sealed with."""
        mac = self._mac.copy()
        mac.update(len(bound).to_bytes(8, "big"))
        mac.update(bound)
        mac.update(plain)
        return mac.digest()[:12]


def new_key() -> Secret:
    """A new key, as text."""
    return Secret(b64encode(secrets.token_bytes(SIZE)).decode())


def is_key_id(text: object) -> bool:
    """True for what may name a key."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def read_keys(keys: Keys) -> dict[str, Key] | str:
    """The keys in their order; or what is wrong with them, in words that repeat none of it.

    Raising is left to the caller, who can drop what it was given first.
    """
    given: object = keys
    if isinstance(given, str):
        return _read(_entries(given))
    if isinstance(given, Mapping):
        return _read(given.items())
    return "keys are a mapping of ids to keys, or the text ID=KEY,ID=KEY"


def _entries(text: str) -> list[tuple[str, str]]:
    parts = [part.strip().partition("=") for part in text.split(",")]
    return [(key_id, key) for key_id, equals, key in parts if key_id or equals]


def _read(given: Iterable[tuple[str, object]]) -> dict[str, Key] | str:
    read: dict[str, bytes] = {}
    for place, (key_id, key) in enumerate(given, 1):
        secret = _bytes_of(key)
        if not is_key_id(key_id):
            return (
                f"the id of key {place} is not 1 to 32 letters, digits, dots, hyphens or "
                "underscores; as text, keys are written ID=KEY,ID=KEY"
            )
        if secret is None:
            return (
                f"key {place} is neither 32 bytes nor their base64; EncryptedStore.new_key() "
                "makes one"
            )
        if key_id in read or secret in read.values():
            return f"key {place} has the id or the bytes of an earlier one; a new key has its own"
        read[key_id] = secret
    if not read:
        return "there is no key; EncryptedStore.new_key() makes one"
    return {key_id: Key(key_id, secret) for key_id, secret in read.items()}


def _bytes_of(key: object) -> bytes | None:
    if isinstance(key, str):
        text = key.strip().rstrip("=").translate(_URLSAFE)
        with suppress(ValueError):
            key = b64decode(text + "=" * (-len(text) % 4), validate=True)
    return key if isinstance(key, bytes) and len(key) == SIZE else None
