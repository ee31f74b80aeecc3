"""The store that keeps its bodies encrypted in another."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, Self, TypeAlias

from ..._closing import ClosesOnExit
from ..._collect_errors import MapCollectingErrors, UnreadableRecords
from ..._exceptions import StoreError
from ..._records import Record
from ..._redact import NotPickled, Secret
from ..._scrub import scrubs_frames
from ..._values import changed
from ...protocols import BulkTokenStore, Checkable, StoreReport, TokenStore
from .._base import SkippedRows, row_of
from .._contract import MissingKey, check_record
from . import _keys, _seals
from ._renewal import Renewal

GetMany: TypeAlias = Callable[
    [str, Sequence[str]], Coroutine[Any, Any, list[Record | StoreError | None]]
]
PutMany: TypeAlias = Callable[[Sequence[Record]], Coroutine[Any, Any, list[Record | StoreError]]]

_MAX_CLAIMS: Final = 100
"""Rounds of one claim: it goes on to the next where some cannot be decrypted."""

_MAX_CHECKED: Final = 1_000
"""Records of which one must open, where there are any, or the keys are the wrong ones."""


class EncryptedStore(NotPickled, ClosesOnExit):
    """Keeps what any other store keeps, with the bodies encrypted: tokens, candidates, raw answers.

    A body is sealed with AES-256-GCM and bound to app, gateway, sellers and generation, so that it
    opens in no other row, and in none that pretends to be newer. What a store searches by stays
    clear text: scope, sellers, times, counts. A journal beside the store holds sealed bodies too.
    Who can write to the database can still delete, delay, or bring back an older row.

    A record whose key is missing, or that was changed, is a ``StoreError`` for whoever asks for
    it, and is left as it is. :meth:`remove` needs no key.

    To exchange a key, give the new one to every process, in the second place; then put it in the
    first place everywhere; then :meth:`reencrypt` each scope, and drop the old one when nothing
    waits in a journal. Until then an old record is read as ever, and sealed anew when it is
    written.

    To encrypt a store that exists, open it with ``accept_plain=True`` until :meth:`reencrypt` is
    done with each scope.

    Earlier releases seal a body without its generation, and such a body opens for any. When no host
    runs one any more, exchange the key, and no old row can be passed off as a newer one.

    It takes and gives many records at once (:class:`~iop_async.protocols.BulkTokenStore`) where the
    inner store does.

    Args:
        inner: where the records are kept. It is taken over: closing this store closes it.
        keys: keys by their ids, in their order: the first is written with, the others are for
            reading. A key is 32 bytes, or their base64 as :meth:`new_key` makes it; an id is short
            text that is stored with every record, such as ``2026``. Or all of it as one text,
            ``ID=KEY,ID=KEY``, which an environment variable can hold.
        accept_plain: read records that are not encrypted. Who can write to the database can then
            put in tokens of his own.

    Example::

        key = iop.stores.EncryptedStore.new_key()  # once; keep it where secrets are kept
        inner = iop.stores.SQLiteStore("sealed.db")
        async with iop.stores.EncryptedStore(inner, {"2026": key}) as store:
            print(await store.check())
    """

    @scrubs_frames
    def __init__(self, inner: TokenStore, keys: _keys.Keys, *, accept_plain: bool = False) -> None:
        self._inner = inner
        self._keys: dict[str, _keys.Key] = {}
        ring = _keys.read_keys(keys)
        if isinstance(ring, str):
            raise ValueError(ring)  # noqa: TRY004 - words on what is wrong
        self._keys = ring
        self._newest = next(iter(ring.values()))
        self._accept_plain = accept_plain
        self._skipped = SkippedRows()
        if isinstance(inner, BulkTokenStore):  # so that this one is a bulk store where that is
            self.get_many: GetMany = partial(self._get_many, inner)
            self.put_many: PutMany = partial(self._put_many, inner)

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
        except _seals.MissingKeyId as why:
            raise MissingKey(_words(record, str(why))) from None
        except ValueError as why:
            reason = str(why)
        if not _seals.is_sealed(record.body):
            reason = "it is not encrypted, and accept_plain=True was not given"
        raise _undecryptable(record, reason)

    def _open(self, scope: str, seller_id: str | None, record: Record) -> Record:
        """Unseal an answer to a question: a store that was tampered with answers another one."""
        if record.scope != scope or seller_id not in (None, *record.seller_ids):
            raise _undecryptable(record, f"it was found in the place of {seller_id!r} of {scope!r}")
        return self.unseal(record)

    async def __aenter__(self) -> Self:
        enter = getattr(self._inner, "__aenter__", None)
        if enter is not None:
            await enter()
        return self

    async def create_tables(self) -> None:
        """Those of the inner store, where it has any to make."""
        create = getattr(self._inner, "create_tables", None)
        if create is not None:
            await create()

    async def check(self, scope: str = "") -> StoreReport:
        """See :class:`~iop_async.protocols.Checkable`: the inner store's, and that the keys fit.

        The keys are wrong where none of the first thousand records can be decrypted.
        """
        report = StoreReport(store=repr(self._inner), server="a store without a check of its own")
        if isinstance(self._inner, Checkable):
            report = await self._inner.check(scope)
        failure: StoreError | None = None
        count = 0
        with suppress(UnreadableRecords):  # rows that are spoiled say nothing of the keys
            async for record in self._inner.records(scope):
                try:
                    self._open(scope, None, record)
                except StoreError as error:
                    failure = failure or error
                else:
                    return report
                count += 1
                if count == _MAX_CHECKED:
                    break
        if failure is not None:
            msg = (
                f"none of the first {count} records can be decrypted, so the keys are hardly those "
                f"that the store was written with: {failure}"
            )
            raise StoreError(msg, retryable=False)
        return report

    async def get(self, scope: str, seller_id: str) -> Record | None:
        """The record that ``seller_id`` finds."""
        record = await self._inner.get(scope, seller_id)
        return None if record is None else self._open(scope, seller_id, record)

    async def _get_many(
        self, inner: BulkTokenStore, scope: str, seller_ids: Sequence[str]
    ) -> list[Record | StoreError | None]:
        found = await inner.get_many(scope, seller_ids)
        return [
            row_of(self._open, scope, seller_id, one) if isinstance(one, Record) else one
            for seller_id, one in zip(seller_ids, found, strict=True)
        ]

    async def put(self, record: Record, *, release: str | None = None) -> Record:
        """Write a record if the stored one still has its revision; see :class:`TokenStore`.

        A write that is repeated with another key than it was made with is another write.
        """
        written = await self._inner.put(self.seal(record), release=release)
        return changed(written, body=record.body)

    async def _put_many(
        self, inner: BulkTokenStore, records: Sequence[Record]
    ) -> list[Record | StoreError]:
        outcomes = await inner.put_many([self.seal(record) for record in records])
        return [
            outcome if isinstance(outcome, StoreError) else changed(outcome, body=record.body)
            for record, outcome in zip(records, outcomes, strict=True)
        ]

    async def remove(self, scope: str, seller_id: str) -> bool:
        """Forget the record that ``seller_id`` finds, decrypted or not; whether there was one."""
        return await self._inner.remove(scope, seller_id)

    async def claim(
        self, scope: str, *, due_by: datetime, limit: int, holder: str, seconds: float
    ) -> list[Record]:
        """Lease records that are due and not leased, ordered by expiry, earliest first.

        Those that cannot be decrypted are passed over, with one error in the log for each. They
        stay leased, so that they neither hide the others nor come back at once.
        """
        opened: list[Record] = []
        for _ in range(_MAX_CLAIMS):
            wanted = limit - len(opened)
            records = await self._inner.claim(
                scope, due_by=due_by, limit=wanted, holder=holder, seconds=seconds
            )
            rows = [row_of(self._open, scope, None, record) for record in records]
            readable = self._skipped.readable(rows)
            opened += readable
            if len(readable) == len(records):
                break
        return opened

    async def lease(
        self, scope: str, seller_id: str, *, holder: str, seconds: float
    ) -> Record | None:
        """Lease a record, or lengthen one's own lease; 0 seconds give it back.

        Raises:
            StoreError: it cannot be decrypted, and is not leased.
        """
        record = await self._inner.lease(scope, seller_id, holder=holder, seconds=seconds)
        if record is None:
            return None
        try:
            return self._open(scope, seller_id, record)
        except StoreError:
            if seconds > 0:
                with suppress(StoreError):  # then it ends by itself
                    await self._inner.lease(scope, seller_id, holder=holder, seconds=0)
            raise

    async def next_due(self, scope: str) -> datetime | None:
        """The moment at which :meth:`claim` finds something next, leases considered."""
        return await self._inner.next_due(scope)

    def records(self, scope: str) -> AsyncIterator[Record]:
        """All records of a scope, in no order.

        Raises:
            StoreError: some cannot be decrypted; all others came before.
        """
        return MapCollectingErrors(partial(self._open, scope, None), self._inner.records(scope))

    async def reencrypt(self, scope: str) -> int:
        """Seal what is not sealed as it would be now, with the first key; how many that were.

        Others may go on writing. A record that somebody refreshes is waited for. Without
        ``accept_plain``, records that are not encrypted are not made to look as if they had been.

        Raises:
            StoreError: some cannot be decrypted; all others are done.
        """

        def renewed(record: Record) -> Record | None:
            opened = self._open(scope, None, record)
            is_current = _seals.is_current(self._newest, record.body)
            return None if is_current else self.seal(opened)

        return await Renewal(self._inner, renewed).run(scope)

    async def aclose(self) -> None:
        """Close the inner store. Closing again does nothing."""
        await self._inner.aclose()


def _undecryptable(record: Record, reason: str) -> StoreError:
    return StoreError(_words(record, reason), retryable=False)


def _words(record: Record, reason: str) -> str:
    return f"cannot decrypt the record of seller {record.seller_id!r}: {reason}"
