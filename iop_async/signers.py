"""Signatures: pure functions of a secret, a path and the parameters as they are sent.

``UPPER(hex(digest(path + k1 v1 k2 v2 ...)))`` over the parameters sorted by name, code point by
code point. ``sign`` itself and the bytes of files are not signed. IOP signs the path of an API
named by one, TOP has no paths.

Example::

    signature = iop.signers.HMAC_SHA256.sign("secret", "/order/get", {"order_id": "42"})
    assert len(signature) == 64
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from attrs import field, frozen

from ._scrub import scrubs_frames

STRING_TO_SIGN_HEADER: Final = "x-sandbox-string-to-sign"
"""Header of a gateway that shows what it signed, percent-encoded UTF-8; only the sandbox does."""


def string_to_sign(path: str, params: Mapping[str, str]) -> str:
    """The text that a signature covers: compare two of these when signatures differ.

    Example::

        assert iop.signers.string_to_sign("/order/get", {"b": "2", "a": "1"}) == "/order/geta1b2"
    """
    return path + "".join([name + params[name] for name in _signed_names(tuple(params))])


@lru_cache(maxsize=1_024)  # an API is called with the same ones again and again
def _signed_names(names: tuple[str, ...]) -> tuple[str, ...]:
    # DOC:108068, DOC:118817: sorted by ASCII, raw values; DOC:101617: TOP the same without a path.
    return tuple(name for name in sorted(names) if name != "sign")


def _require(secret: str) -> None:
    if not secret:
        msg = "the app has no secret: give it one, or the gateway a signer that needs none"
        raise ValueError(msg)


_INNER, _OUTER = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))


@lru_cache(maxsize=64)
def _keyed(algorithm: str, secret: str) -> tuple[hashlib._Hash, hashlib._Hash]:
    """The two hashes of an HMAC, already fed with the key: a third of the work of a signature."""
    _require(secret)
    block = hashlib.new(algorithm).block_size
    key = secret.encode()
    # RFC 2104: a key longer than a block of the hash is hashed first.
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

    Example::

        legacy = attrs.evolve(gateway, signer=iop.signers.HmacSigner("hmac", algorithm="md5"))
    """

    sign_method: str
    algorithm: str = field(kw_only=True)

    @scrubs_frames
    def sign(self, secret: str, path: str, params: Mapping[str, str]) -> str:
        """Upper-case hex: 64 digits for SHA-256, 32 for MD5."""
        # DOC:101617: an HMAC is not wrapped in the secret as the MD5 is.
        inner, outer = _keyed(self.algorithm, secret)
        inner, outer = inner.copy(), outer.copy()
        inner.update(string_to_sign(path, params).encode())
        outer.update(inner.digest())
        return outer.hexdigest().upper()


# 108069: this method alone; observed: AliExpress's /sync takes TOP's MD5 as well.
HMAC_SHA256: Final = HmacSigner("sha256", algorithm="sha256")
"""The signer of every IOP gateway."""

# DOC:101617, for the three of TOP; observed: the newer official Java SDK's default.
TOP_HMAC_SHA256: Final = HmacSigner("hmac-sha256", algorithm="sha256")
"""TOP's newest."""

# observed: constants of the official Java SDK, old pages of Lazada and Daraz.
HMAC_MD5: Final = HmacSigner("hmac", algorithm="md5")
"""TOP's ``hmac``, and a legacy of IOP that old samples still show."""


@frozen
class Md5Signer:
    """TOP's oldest: MD5 over the text, with the secret on both sides of it.

    Example::

        old = iop.gateways.Top("https://eco.taobao.com", signer=iop.signers.Md5Signer())
    """

    sign_method: str = "md5"

    @scrubs_frames
    def sign(self, secret: str, path: str, params: Mapping[str, str]) -> str:
        """Upper-case hex, 32 digits."""
        # DOC:101617, whose published example it reproduces.
        _require(secret)
        text = f"{secret}{string_to_sign(path, params)}{secret}"
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest().upper()


TOP_MD5: Final = Md5Signer()
"""TOP's default, and that of its oldest SDKs."""
