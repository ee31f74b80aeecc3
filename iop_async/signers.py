"""Signatures: pure functions of a secret, a path and the parameters as they are sent.

``UPPER(hex(digest(path + k1 v1 k2 v2 ...)))`` over the parameters sorted by name, code point by
code point. ``sign`` itself and the bytes of files are not signed. IOP signs the path of an API
named by one, TOP has no paths.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from attrs import field, frozen


def string_to_sign(path: str, params: Mapping[str, str]) -> str:
    """The text that a signature covers: compare two of these when signatures differ."""
    return path + "".join([name + params[name] for name in sorted(params) if name != "sign"])


_INNER, _OUTER = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))


@lru_cache(maxsize=64)
def _keyed(algorithm: str, secret: str) -> tuple[hashlib._Hash, hashlib._Hash]:
    """The two hashes of an HMAC, already fed with the key: a third of the work of a signature."""
    block = hashlib.new(algorithm).block_size
    key = secret.encode()
    if len(key) > block:
        key = hashlib.new(algorithm, key).digest()
    key = key.ljust(block, b"\0")
    return (
        hashlib.new(algorithm, key.translate(_INNER)),
        hashlib.new(algorithm, key.translate(_OUTER)),
    )


@frozen
class HmacSigner:
    """HMAC with the app secret as key.

    Args:
        sign_method: what the platform calls it.
        algorithm: the hash, as :mod:`hashlib` calls it.
    """

    sign_method: str
    algorithm: str = field(kw_only=True)

    def sign(self, secret: str, path: str, params: Mapping[str, str]) -> str:
        """Upper-case hex: 64 digits for SHA-256, 32 for MD5."""
        inner, outer = _keyed(self.algorithm, secret)
        inner, outer = inner.copy(), outer.copy()
        inner.update(string_to_sign(path, params).encode())
        outer.update(inner.digest())
        return outer.hexdigest().upper()


HMAC_SHA256: Final = HmacSigner("sha256", algorithm="sha256")
"""The signer of every IOP gateway."""

TOP_HMAC_SHA256: Final = HmacSigner("hmac-sha256", algorithm="sha256")
"""TOP's newest."""

HMAC_MD5: Final = HmacSigner("hmac", algorithm="md5")
"""TOP's ``hmac``, and a legacy of IOP that old samples still show."""


@frozen
class Md5Signer:
    """TOP's oldest: MD5 over the text, with the secret on both sides of it."""

    sign_method: str = "md5"

    def sign(self, secret: str, path: str, params: Mapping[str, str]) -> str:
        """Upper-case hex, 32 digits."""
        text = f"{secret}{string_to_sign(path, params)}{secret}"
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest().upper()


TOP_MD5: Final = Md5Signer()
"""TOP's default, and that of its oldest SDKs."""
