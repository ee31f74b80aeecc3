"""What a user may plug in: any object of the right shape will do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

from ._exceptions import IopError
from ._models import App, Call, File, FileContent, HttpMethod, HttpRequest, HttpResponse, Reply
from ._records import Record


@runtime_checkable
class Signer(Protocol):
    """Signs the parameters of a call."""

    @property
    def sign_method(self) -> str:
        """The value of the ``sign_method`` parameter, as the platform knows it."""
        ...

    def sign(self, secret: str, path: str, params: Mapping[str, str]) -> str:
        """The signature over ``path`` (empty for a dotted API name) and ``params``.

        ``params`` holds every parameter but ``sign`` and the files, as the text that is sent.
        """
        ...


@runtime_checkable
class Gateway(Protocol):
    """An address and a dialect, both ways pure."""

    def encode(self, app: App, call: Call, *, now: datetime) -> HttpRequest:
        """The signed request. Raises ``TypeError`` or ``ValueError`` on input it cannot send."""
        ...

    def decode(self, call: Call, response: HttpResponse) -> Reply:
        """The reply. Raises ``ApiError`` or ``ProtocolError``, and nothing else."""
        ...


@runtime_checkable
class BatchGateway(Gateway, Protocol):
    """A gateway that takes several calls in one request."""

    def encode_batch(self, app: App, calls: Sequence[Call], *, now: datetime) -> HttpRequest:
        """The signed request. Raises ``TypeError`` or ``ValueError`` on input it cannot send."""
        ...

    def decode_batch(self, calls: Sequence[Call], response: HttpResponse) -> list[Reply | IopError]:
        """What each call came to, in order; raises only where the batch failed as a whole."""
        ...


@runtime_checkable
class Transport(Protocol):
    """Carries a request to a gateway, unchanged, and brings the answer."""

    async def send(self, request: HttpRequest) -> HttpResponse:
        """One exchange. Raises ``TransportError`` or, for an oversized answer, ``ProtocolError``.

        An unreadable file raises ``OSError`` before anything is sent.
        """
        ...

    async def aclose(self) -> None:
        """Close what the transport opened itself."""
        ...


@runtime_checkable
class Caller(Protocol):
    """Calls an API: a client, a client acting for a seller, or a managed seller."""

    async def call(
        self,
        api: str,
        params: Mapping[str, object] | None = None,
        *,
        http_method: HttpMethod = "POST",
        files: Mapping[str, File | FileContent] | None = None,
        idempotent: bool | None = None,
        simplify: bool | None = None,
    ) -> Reply:
        """One call.

        Raises ``TypeError``, ``ValueError`` or ``OSError`` on bad input, ``IopError`` after that.
        """
        ...


@runtime_checkable
class TokenStore(Protocol):
    """Keeps records durably, finds the ones that are due, and lends each to one holder at a time.

    A method returns when what it did is durable. Every failure is a ``StoreError``. Times are
    aware UTC; leases run by the store's own clock, so that the clocks of several hosts may differ.
    """

    async def get(self, scope: str, seller: str) -> Record | None:
        """The record that ``seller`` finds."""
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

    async def remove(self, scope: str, seller: str) -> bool:
        """Forget the record that ``seller`` finds; whether there was one.

        One that is put in its place later gets a higher revision than it ever had, so that who
        still holds it cannot overwrite its successor.
        """
        ...

    async def claim(
        self, scope: str, *, due_by: datetime, limit: int, holder: str, seconds: float
    ) -> list[Record]:
        """Lease records that are due and leased to nobody, those that die first first.

        Those that do not die by themselves go last.
        """
        ...

    async def lease(self, scope: str, seller: str, *, holder: str, seconds: float) -> Record | None:
        """Lease a record, or lengthen one's own lease; 0 seconds give it back.

        ``None`` where another holder has it, or where there is no such record.
        """
        ...

    async def next_due(self, scope: str) -> datetime | None:
        """When :meth:`claim` will find something next: when it is due and its lease has ended.

        Leases end by the store's clock. By a clock that is ahead of it, claiming at that time may
        find nothing yet.
        """
        ...

    def records(self, scope: str) -> AsyncIterator[Record]:
        """All records of a scope, in no order; a record written meanwhile may be old or new."""
        ...

    async def aclose(self) -> None:
        """Close what the store opened itself. Closing again does nothing."""
        ...


@runtime_checkable
class Sealer(Protocol):
    """A store that keeps bodies out of sight, also those in the journal beside it.

    A store of your own that stands around one must hand both methods on: without them the journal
    is clear text.
    """

    def seal(self, record: Record) -> Record:
        """The record with a body that tells nothing."""
        ...

    def unseal(self, record: Record) -> Record:
        """The record with its body as it was. Raises ``StoreError`` where that cannot be had."""
        ...
