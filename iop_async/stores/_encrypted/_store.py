"""The store that keeps its bodies encrypted in another."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final, Self

from attrs import evolve

from ..._closing import ClosesOnExit
from ..._each import Each
from ..._exceptions import StoreError
from ..._models import NotPickled
from ..._records import Record
from ..._redact import Secret
from ...protocols import TokenStore
from .._checks import check_record
from . import _keys, _seals
from ._passed_over import PassedOver
from ._renewal import Renewal

_ROUNDS: Final = 100
"""Claims in a row that may give nothing but records that cannot be decrypted."""


class EncryptedStore(NotPickled, ClosesOnExit):
    """Keeps what any other store keeps, with the bodies encrypted: tokens, candidates, raw answers.

    A body is sealed with AES-256-GCM and bound to app, gateway and sellers, so that it opens in
    no other row. What a store searches by stays clear text: scope, sellers, times, counts. A
    journal beside the store holds sealed bodies too. Who can write to the database can still
    delete, delay, or bring back an older row.

    A record whose key is missing, or that was changed, is a ``StoreError`` for whoever asks for
    it, and is left as it is. :meth:`remove` needs no key.

    To exchange a key, give the new one to every process, in the second place; then put it in the
    first place everywhere; then :meth:`reencrypt` each scope, and drop the old one when nothing
    waits in a journal. Until then an old record is read as ever, and sealed anew when it is
    written.

    To encrypt a store that exists, open it with ``accept_plain=True`` until :meth:`reencrypt` is
    done with each scope.

    Args:
        inner: where the records are kept. It is taken over: closing this store closes it.
        keys: keys by their ids, in their order: the first is written with, the others are for
            reading. A key is 32 bytes, or their base64 as :meth:`new_key` makes it; an id is short
            text that is stored with every record, such as ``2026``. Or all of it as one text,
            ``ID=KEY,ID=KEY``, which an environment variable can hold.
        accept_plain: read records that are not encrypted. Who can write to the database can then
            put in tokens of his own.
    """

    def __init__(self, inner: TokenStore, keys: _keys.Keys, *, accept_plain: bool = False) -> None:
        self._inner = inner
        self._keys: dict[str, _keys.Key] = {}
        ring = _keys.read_keys(keys)
        del keys  # error trackers show the local variables of every frame
        if isinstance(ring, str):
            raise ValueError(ring)  # noqa: TRY004 - words on what is wrong
        self._keys = ring
        self._newest = next(iter(ring.values()))
        self._accept_plain = accept_plain
        self._passed_over = PassedOver()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._inner!r}, keys={list(self._keys)})"

    @staticmethod
    def new_key() -> Secret:
        """A new key as text: ``print()`` shows it, its ``repr`` does not."""
        return _keys.new_key()

    @property
    def path(self) -> Path | None:
        """The file of the inner store, if it has one; a journal goes beside it."""
        return getattr(self._inner, "path", None)

    def seal(self, record: Record) -> Record:
        """The record with its body encrypted: always the same for the same record and key."""
        check_record(record)
        return _seals.seal(self._newest, record)

    def unseal(self, record: Record) -> Record:
        """The record with its body as it was before :meth:`seal`.

        Raises:
            StoreError: it cannot be decrypted; the message says whose it is, and why.
        """
        if self._accept_plain and not _seals.is_sealed(record.body):
            return record
        try:
            return _seals.unseal(self._keys, record)
        except ValueError as why:
            reason = str(why)
        if not _seals.is_sealed(record.body):
            reason = "it is not encrypted, and accept_plain=True was not given"
        raise _undecryptable(record, reason)

    def _open(self, scope: str, seller: str | None, record: Record) -> Record:
        """Unseal an answer to a question: a store that was tampered with answers another one."""
        if record.scope != scope or seller not in (None, *record.sellers):
            raise _undecryptable(record, f"it was found in the place of {seller!r} of {scope!r}")
        return self.unseal(record)

    async def __aenter__(self) -> Self:
        enter = getattr(self._inner, "__aenter__", None)
        if enter is not None:
            await enter()
        return self

    async def get(self, scope: str, seller: str) -> Record | None:
        """The record that ``seller`` finds."""
        record = await self._inner.get(scope, seller)
        return None if record is None else self._open(scope, seller, record)

    async def put(self, record: Record, *, release: str | None = None) -> Record:
        """Write a record if the stored one still has its revision; see :class:`TokenStore`.

        A write that is repeated with another key than it was made with is another write.
        """
        written = await self._inner.put(self.seal(record), release=release)
        return evolve(written, body=record.body)

    async def remove(self, scope: str, seller: str) -> bool:
        """Forget the record that ``seller`` finds, decrypted or not; whether there was one."""
        return await self._inner.remove(scope, seller)

    async def claim(
        self, scope: str, *, due_by: datetime, limit: int, holder: str, seconds: float
    ) -> list[Record]:
        """Lease records that are due and not leased, those that die first first.

        Those that cannot be decrypted are passed over, with one error in the log for each. They
        stay leased, so that they neither hide the others nor come back at once.

        Raises:
            StoreError: everything that is due cannot be decrypted.
        """
        failure: StoreError | None = None
        for _ in range(_ROUNDS):
            opened: list[Record] = []
            records = await self._inner.claim(
                scope, due_by=due_by, limit=limit, holder=holder, seconds=seconds
            )
            for record in records:
                try:
                    opened.append(self._open(scope, None, record))
                except StoreError as error:
                    self._passed_over.tell(record, error)
                    failure = failure or error
            if opened or len(records) < max(limit, 1):
                break
        if failure is not None and not opened:
            raise failure
        return opened

    async def lease(self, scope: str, seller: str, *, holder: str, seconds: float) -> Record | None:
        """Lease a record, or lengthen one's own lease; 0 seconds give it back.

        Raises:
            StoreError: it cannot be decrypted, and is not leased.
        """
        record = await self._inner.lease(scope, seller, holder=holder, seconds=seconds)
        if record is None:
            return None
        try:
            return self._open(scope, seller, record)
        except StoreError:
            if seconds > 0:
                with suppress(StoreError):  # then it ends by itself
                    await self._inner.lease(scope, seller, holder=holder, seconds=0)
            raise

    async def next_due(self, scope: str) -> datetime | None:
        """When :meth:`claim` will find something next, leases considered."""
        return await self._inner.next_due(scope)

    def records(self, scope: str) -> AsyncIterator[Record]:
        """All records of a scope, in no order.

        Raises:
            StoreError: some cannot be decrypted; all others came before.
        """
        return Each(partial(self._open, scope, None), self._inner.records(scope))

    async def reencrypt(self, scope: str) -> int:
        """Seal what is not sealed with the first key; how many records that were.

        Others may go on writing. A record that somebody refreshes is waited for. Without
        ``accept_plain``, records that are not encrypted are not made to look as if they had been.

        Raises:
            StoreError: some cannot be decrypted; all others are done.
        """

        def renewed(record: Record) -> Record | None:
            opened = self._open(scope, None, record)
            is_current = _seals.is_sealed_with(self._newest, record.body)
            return None if is_current else self.seal(opened)

        return await Renewal(self._inner, renewed).run(scope)

    async def aclose(self) -> None:
        """Close the inner store. Closing again does nothing."""
        await self._inner.aclose()


def _undecryptable(record: Record, reason: str) -> StoreError:
    error = StoreError(f"cannot decrypt the record of seller {record.seller!r}: {reason}")
    error.retryable = False
    return error
