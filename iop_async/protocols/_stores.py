"""Where a token manager keeps its records, and what some stores can do besides."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Final, Protocol, runtime_checkable

from attrs import frozen

from .._exceptions import StoreError
from .._records import Record

MAX_LEASE_SECONDS: Final = 3600.0
"""The longest lease that anybody may ask for.

One that ends later was planted, or given by a clock that was wrong, and counts as ended: nobody
waits for it for ever.
"""


@runtime_checkable
class TokenStore(Protocol):
    """Keeps records durably, finds the ones that are due, and lends each to one holder at a time.

    A method returns when what it did is durable. Every failure is a ``StoreError``. Times are
    aware UTC; leases run by the store's own clock, so that the clocks of several hosts may differ.

    Scopes, sellers and holders are text. One that no store can keep (half of a surrogate pair, a
    NUL) is a ``ValueError`` wherever it is given, and one that is no text a ``TypeError``.

    A record that cannot be read, because somebody else wrote there or a disk tore it, costs no
    other: see each method. It is never replaced, but by :meth:`remove`.

    A lease lasts ``MAX_LEASE_SECONDS`` at most, an hour. A longer one is refused with
    ``ValueError``, and one that is found to end later than that counts as ended.

    Example::

        async for record in store.records(tokens.scope):
            print(record.seller_ids, record.due_at, record.revision)
    """

    async def get(self, scope: str, seller_id: str) -> Record | None:
        """The record that ``seller_id`` finds.

        Raises ``StoreError``, not retryable, where that cannot be read.
        """
        ...

    async def put(self, record: Record, *, release: str | None = None) -> Record:
        """Write a record if the one filed under its seller has its revision (0: there is none).

        Its sellers find it from now on, whichever record they found before: that one loses them,
        which counts as a write; it is filed under the next of its sellers where it loses its own,
        and is gone with the last. Returns the record with its new revision; ends the lease of the
        holder named by ``release``. Raises ``StaleRecord`` where the stored one is newer or gone.

        Repeating a write that was already made, body and all, is no error and does not count. So
        writers that must not be taken for each other put something of their own into the body.
        """
        ...

    async def remove(self, scope: str, seller_id: str) -> bool:
        """Forget the record that ``seller_id`` finds, readable or not; whether there was one.

        One that is put in its place later gets a higher revision than it ever had, so that who
        still holds it cannot overwrite its successor.
        """
        ...

    async def claim(
        self, scope: str, *, due_by: datetime, limit: int, holder: str, seconds: float
    ) -> list[Record]:
        """Lease records that are due and leased to nobody, ordered by expiry, earliest first.

        Of more than some hundreds that are due, those that fell due in an earlier minute go first.
        Those without an expiry (``dies_at``) go last. Those that cannot be read are passed over,
        and told of in the log; they take no place of the ``limit``.
        """
        ...

    async def lease(
        self, scope: str, seller_id: str, *, holder: str, seconds: float
    ) -> Record | None:
        """Lease a record, or lengthen one's own lease; 0 seconds give it back.

        ``None`` where another holder has it, or where there is no such record.
        """
        ...

    async def next_due(self, scope: str) -> datetime | None:
        """The moment at which :meth:`claim` finds something next: it is due, its lease has ended.

        Leases end by the store's clock. By a clock that is ahead of it, claiming at that time may
        find nothing yet.
        """
        ...

    def records(self, scope: str) -> AsyncIterator[Record]:
        """All records of a scope, in no order; a record written meanwhile may be old or new.

        After the last, raises one ``StoreError`` that names those that cannot be read, if any.
        """
        ...

    async def aclose(self) -> None:
        """Close what the store opened itself. Closing again does nothing."""
        ...


@runtime_checkable
class BulkTokenStore(TokenStore, Protocol):
    """A store that takes and gives many records at once; optional for stores of yours.

    A manager that is given thousands of sellers at a time looks at each and writes each by itself
    where the store lacks one of these methods.

    Example::

        record = iop.stores.Record(scope="shop", seller_id="7", seller_ids=("7",), body=b"{}")
        (written,) = await store.put_many([record])
        assert written.revision == 1
        assert await store.get_many("shop", ["7", "8"]) == [written, None]
    """

    async def get_many(
        self, scope: str, seller_ids: Sequence[str]
    ) -> list[Record | StoreError | None]:
        """:meth:`get` for each of some sellers, in few round trips.

        Returns, in their order, the record that each finds, also where others find the same one or
        a seller is named twice; ``None`` where there is none; and where one cannot be read, the
        ``StoreError`` that is not ``retryable``, which costs no other its record. Each is as it was
        at some moment of the call, and not all of them at the same.

        Raises ``StoreError`` where the store fails, and ``ValueError`` or ``TypeError`` where
        :meth:`get` would for one of the sellers.
        """
        ...

    async def put_many(self, records: Sequence[Record]) -> list[Record | StoreError]:
        """:meth:`put` each of them, in few round trips.

        Returns, in their order, the record with its new revision, or why it was not written:
        ``StaleRecord`` where the stored one is newer or gone, any other ``StoreError`` that is not
        ``retryable`` where the record itself is at fault. What is returned as written is durable.
        Those that are refused keep no other from being written.

        Raises ``StoreError`` where nobody can tell how much was written: repeat all of it, since
        repeating is no error. Raises ``ValueError`` or ``TypeError`` before anything is written
        where one of them could not be put, or where two have a seller in common.
        """
        ...


@frozen(kw_only=True)
class StoreReport:
    """What a look at a store found: it can be used, and this is what its server promises.

    Attributes:
        store: where it is, without user, password and options.
        server: what keeps it, with its version.
        clock_offset: seconds that the clock which leases run by is ahead of this host's; ``None``
            where it is this host's.
        pooler: whether a connection pooler stands before the server; ``None`` where none could.
        warnings: settings of the server that may lose grants, and what to set instead.

    Example::

        report = await iop.stores.SQLiteStore("tokens.db").check()
        print(report.store, report.server, report.warnings)
    """

    store: str
    server: str
    clock_offset: float | None = None
    pooler: bool | None = None
    warnings: tuple[str, ...] = ()


@runtime_checkable
class Checkable(Protocol):
    """A store that can be looked at before anybody depends on it; optional for stores of yours.

    Example::

        try:
            report = await iop.stores.SQLiteStore("tokens.db").check()
        except iop.StoreError as error:
            print("do not start:", error)
    """

    async def check(self, scope: str = "") -> StoreReport:
        """Find out, cheaply, whether records of a scope can be read and written; none changes.

        Raises ``StoreError`` where they cannot, in words that say what to do: a wrong password,
        missing tables, a file that may not be written, a missing key. It is ``retryable`` where the
        fault may pass by itself (a server that starts), and not where a person must act first. One
        record that cannot be read is no such fault, since it costs no other.
        """
        ...


@runtime_checkable
class Sealer(Protocol):
    """A store that keeps bodies out of sight, also those in the journal beside it.

    A store of your own that stands around one must hand both methods on: without them the journal
    is clear text.

    Example::

        sealer = iop.stores.EncryptedStore(store, {"2026": iop.stores.EncryptedStore.new_key()})
        record = iop.stores.Record(scope="shop", seller_id="7", seller_ids=("7",), body=b"{}")
        assert sealer.unseal(sealer.seal(record)) == record
    """

    def seal(self, record: Record) -> Record:
        """The record with a body that tells nothing."""
        ...

    def unseal(self, record: Record) -> Record:
        """The record with its body as it was. Raises ``StoreError`` where that cannot be had."""
        ...
