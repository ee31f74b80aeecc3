"""What a user may plug in: any object of the right shape will do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

from ._exceptions import IopError
from ._models import App, Call, File, FileContent, HttpMethod, HttpRequest, HttpResponse, Reply


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
