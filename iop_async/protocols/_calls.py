"""What a call goes through: a signer, a gateway, a transport; and whoever makes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

from .._exceptions import IopError
from .._models import App, Call, Reply, Token
from .._unsigned import Unsigned
from .._wire import (
    Downloaded,
    DownloadTarget,
    File,
    FileContent,
    HttpMethod,
    HttpRequest,
    HttpResponse,
)


@runtime_checkable
class Signer(Protocol):
    """Signs the parameters of a call.

    Example::

        class Vault:
            sign_method = "sha256"

            def sign(self, secret, path, params):
                return iop.signers.HMAC_SHA256.sign("from the vault", path, params)

        client = iop.Client(app, attrs.evolve(gateway, signer=Vault()))
    """

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
class AwaitingSigner(Protocol):
    """Signs somewhere else: a KMS, a vault. Only a client waits for it.

    Example::

        class Vault:
            sign_method = "sha256"

            async def sign(self, secret, path, params):
                await asyncio.sleep(0)  # ask it for the HMAC of string_to_sign(path, params)
                return iop.signers.HMAC_SHA256.sign("from the vault", path, params)

        client = iop.Client(iop.App("12345678"), attrs.evolve(gateway, signer=Vault()))
    """

    @property
    def sign_method(self) -> str:
        """The value of the ``sign_method`` parameter, as the platform knows it."""
        ...

    async def sign(self, secret: str, path: str, params: Mapping[str, str]) -> str:
        """As :meth:`Signer.sign`; ``secret`` is empty where the app has none.

        Whatever it raises becomes a ``SigningFailed``, and nothing is sent. It has as long as the
        call, and 30 seconds at most. Each try of a call is signed anew.
        """
        ...


@runtime_checkable
class Gateway(Protocol):
    """An address and a dialect, both ways pure.

    Example::

        assert isinstance(iop.gateways.LAZADA_SG, iop.Gateway)
        request = gateway.encode(app, iop.Call("/order/get"), now=datetime.now(UTC))
    """

    def encode(self, app: App, call: Call, *, now: datetime) -> HttpRequest:
        """The signed request. Raises ``TypeError`` or ``ValueError`` on input it cannot send."""
        ...

    def decode(self, call: Call, response: HttpResponse) -> Reply:
        """The reply. Raises ``ApiError`` or ``ProtocolError``, and nothing else."""
        ...


@runtime_checkable
class SigningGateway(Gateway, Protocol):
    """A gateway whose signer may await: it says what is to be signed, and leaves that to a client.

    A ``signer`` beside it whose ``sign`` is an ``async def`` is waited for.

    Example::

        unsigned = gateway.prepare(app, iop.Call("/order/get"), now=datetime.now(UTC))
        request = unsigned.signed(app.secret)
    """

    def prepare(self, app: App, call: Call, *, now: datetime) -> Unsigned:
        """What is to be signed. Raises ``TypeError`` or ``ValueError`` on bad input."""
        ...


@runtime_checkable
class BatchGateway(Gateway, Protocol):
    """A gateway that takes several calls in one request.

    Example::

        calls = [iop.Call("taobao.time.get"), iop.Call("taobao.items.list")]
        request = iop.gateways.TAOBAO.encode_batch(app, calls, now=datetime.now(UTC))
    """

    def encode_batch(self, app: App, calls: Sequence[Call], *, now: datetime) -> HttpRequest:
        """The signed request. Raises ``TypeError`` or ``ValueError`` on input it cannot send."""
        ...

    def decode_batch(self, calls: Sequence[Call], response: HttpResponse) -> list[Reply | IopError]:
        """What each call came to, in order; raises only where the batch failed as a whole."""
        ...


@runtime_checkable
class SigningBatchGateway(SigningGateway, BatchGateway, Protocol):
    """A gateway with batches, whose signer may await.

    Example::

        unsigned = iop.gateways.TAOBAO.prepare_batch(
            app, [iop.Call("taobao.time.get")], now=datetime.now(UTC)
        )
    """

    def prepare_batch(self, app: App, calls: Sequence[Call], *, now: datetime) -> Unsigned:
        """What is to be signed. Raises ``TypeError`` or ``ValueError`` on bad input."""
        ...


@runtime_checkable
class Transport(Protocol):
    """Carries a request to a gateway, unchanged, and brings the answer.

    Example::

        class Canned:
            async def send(self, request):
                return iop.HttpResponse(200, {}, b'{"code": "0", "data": 1}')

            async def aclose(self):
                pass

        client = iop.Client(app, gateway, transport=Canned())
        assert (await client.call("/order/get")).data == 1
    """

    async def send(self, request: HttpRequest) -> HttpResponse:
        """One exchange. Raises ``TransportError`` or, for an oversized answer, ``ProtocolError``.

        An unreadable file raises ``OSError`` before anything is sent. ``request.timeout`` bounds
        all of it. Requests of the lane ``tokens`` should not wait behind those of others.

        Where ``request.send_before`` is set, look at it as late as you can, right before the first
        byte goes out. Once ``time.monotonic()`` has reached it send nothing, and raise
        ``TransportError(message, may_have_been_applied=False)``. A transport that does not look
        may present a refresh token that another host was given to present meanwhile.
        """
        ...

    async def aclose(self) -> None:
        """Close what the transport opened itself."""
        ...


@runtime_checkable
class DownloadTransport(Transport, Protocol):
    """A transport that brings files as well: both of the library's do.

    Example::

        assert isinstance(iop.HttpxTransport(), iop.protocols.DownloadTransport)
    """

    async def download(
        self,
        url: str,
        to: DownloadTarget,
        *,
        max_bytes: int,
        timeout: float | None,  # noqa: ASYNC109 - as of a call
        allow_http: bool,
    ) -> Downloaded:
        """One try at what :meth:`Client.download <iop_async.Client.download>` promises.

        A failure leaves ``to`` as it was, or is not ``retryable``.
        """
        ...


@runtime_checkable
class Caller(Protocol):
    """Calls an API: a client, a client acting for a seller, or a managed seller.

    Example::

        async def count_orders(caller: iop.Caller) -> int:
            return len((await caller.call("/orders/get", {"limit": 10})).data["orders"])

        await count_orders(seller)  # or tokens.seller("1001"), or a FakeCaller
    """

    async def call(
        self,
        api: str,
        params: Mapping[str, object] | None = None,
        *,
        http_method: HttpMethod = "POST",
        files: Mapping[str, File | FileContent] | None = None,
        idempotent: bool | None = None,
        simplify: bool | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - a scope cannot tell what was sent
    ) -> Reply:
        """One call.

        Raises ``TypeError``, ``ValueError`` or ``OSError`` on bad input, ``IopError`` after that.
        """
        ...


@runtime_checkable
class TokenEndpoints(Protocol):
    """The two calls that trade for tokens, as a dialect names them: a module will do.

    Example::

        assert isinstance(iop.auth, iop.protocols.TokenEndpoints)
    """

    async def create_token(self, caller: Caller, *, code: str) -> Token:
        """The first token of a grant, for the code of a seller's approval."""
        ...

    async def refresh_token(self, caller: Caller, *, refresh_token: str) -> Token:
        """The successor of a token; presenting its refresh token may spend that."""
        ...


@runtime_checkable
class TokenGateway(Gateway, Protocol):
    """A gateway that names its token endpoints; one that does not is taken to have IOP's.

    Example::

        assert iop.gateways.TAOBAO.token_endpoints is iop.top
    """

    @property
    def token_endpoints(self) -> TokenEndpoints:
        """Where this dialect trades codes and refresh tokens."""
        ...
