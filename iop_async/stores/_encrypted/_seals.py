"""Sealing the body of a record, and opening it again: pure.

A sealed body is, in this order::

    IOPSEAL  the format (1 byte: 1)  the length of the head (4 bytes)
    the head: {"key":"2026","sellers":["1001","1002"],"generation":7}
    nonce (12 bytes)  AES-256-GCM of the body (as long as it, and 16 bytes)

What stands before the nonce is authenticated with the body, and so is the scope, which names app
and platform: a body that is put into the row of another seller or app does not open.

The sellers are those that the record had when it was sealed. A store takes sellers from a record
that others gain, and files it under the next of its own, without knowing what is in it; so a body
opens for a record whose sellers are among those it was sealed for, and for no other.

The generation is that of the record: an old body in a row whose generation was raised does not
open, for it would be taken for newer than the token in use. Earlier releases seal without it, and
pass over it where they open. So that both work side by side, what says nothing of a generation
opens for any. Who kept such a body can still raise its generation, until the key that it was sealed
with is exchanged and dropped.

What was true once is not told from what is true: who can write to the database can put an old row,
whole, in the place of a newer one of the same seller. That its generation is lower tells a process
that has seen the newer one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from attrs import field, frozen
from cryptography.exceptions import InvalidTag

from ..._records import Record
from ..._values import changed
from ._keys import Key, is_key_id

_MAGIC: Final = b"IOPSEAL"
_FORMAT: Final = 1
_PREFIX: Final = len(_MAGIC) + 1 + 4
_NONCE: Final = 12

_CHANGED: Final = "it was changed, or belongs to another seller or app"


class MissingKeyId(ValueError):
    """The key that a body is sealed with is not among those that were given."""


@frozen
class _Envelope:
    key_id: str
    seller_ids: frozenset[str]
    generation: object  # None where it says nothing of one
    head: bytes
    nonce: bytes = field(repr=False)
    sealed: bytes = field(repr=False)


def seal(key: Key, record: Record) -> Record:
    """The record with its body sealed."""
    fields = {
        "key": key.id,
        "sellers": sorted(record.seller_ids),
        "generation": record.generation,
    }
    text = json.dumps(fields, separators=(",", ":")).encode()
    head = _MAGIC + bytes([_FORMAT]) + len(text).to_bytes(4, "big") + text
    bound = _bound(head, record.scope)
    # A write whose acknowledgement was lost is made again and must be the same, byte for byte, so
    # chance may not choose the nonce. It is a keyed hash of all that is sealed: equal bodies get
    # equal bytes, which tells no more than the row that did not change; different ones never meet
    # under a nonce (but for one chance in 2**33 after 2**32 bodies, the odds GCM is used with).
    nonce = key.nonce(bound, record.body)
    return changed(record, body=head + nonce + key.cipher.encrypt(nonce, record.body, bound))


def unseal(keys: Mapping[str, Key], record: Record) -> Record:
    """The record with its body as it was.

    Raises:
        MissingKeyId: the key that it is sealed with is not among the keys.
        ValueError: it cannot be opened, and why.
    """
    envelope = _envelope(record.body)
    key = keys.get(envelope.key_id)
    if key is None and is_key_id(envelope.key_id):
        msg = f"key id {envelope.key_id!r} is missing; there is " + ", ".join(map(repr, keys))
        raise MissingKeyId(msg)
    is_theirs = {record.seller_id, *record.seller_ids} <= envelope.seller_ids
    is_this = is_theirs and envelope.generation in (None, record.generation)
    plain = _decrypt(key, envelope, record.scope) if key and is_this else None
    if plain is None:
        raise ValueError(_CHANGED)
    return changed(record, body=plain)


def is_sealed(body: bytes) -> bool:
    """True for a body that claims to be sealed."""
    return body.startswith(_MAGIC)


def is_current(key: Key, body: bytes) -> bool:
    """True for a body that claims to be sealed as it would be now: by this key, with generation."""
    try:
        envelope = _envelope(body)
    except ValueError:
        return False
    return envelope.key_id == key.id and envelope.generation is not None


def _envelope(body: bytes) -> _Envelope:
    if not is_sealed(body) or len(body) < _PREFIX:
        raise ValueError(_CHANGED)
    if body[len(_MAGIC)] > _FORMAT:
        msg = "it was changed, or written by a newer version of iop-async"
        raise ValueError(msg)
    end = _PREFIX + int.from_bytes(body[_PREFIX - 4 : _PREFIX], "big")
    try:
        fields = json.loads(body[_PREFIX:end])
        key_id, seller_ids = str(fields["key"]), frozenset(map(str, fields["sellers"]))
        generation = fields.get("generation")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        key_id, seller_ids, generation = "", frozenset(), None
    if not seller_ids:
        raise ValueError(_CHANGED)
    start = end + _NONCE
    return _Envelope(key_id, seller_ids, generation, body[:end], body[end:start], body[start:])


def _decrypt(key: Key, envelope: _Envelope, scope: str) -> bytes | None:
    try:
        return key.cipher.decrypt(envelope.nonce, envelope.sealed, _bound(envelope.head, scope))
    except (InvalidTag, ValueError):  # the latter for what is cut short
        return None


def _bound(head: bytes, scope: str) -> bytes:
    return head + scope.encode(errors="surrogatepass")
