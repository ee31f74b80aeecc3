"""The client: encode, send, decode."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Self

from attrs import evolve

from ._closing import ClosesOnExit
from ._exceptions import IopError
from ._models import App, Call, File, FileContent, HttpMethod, Reply, Token
from ._redact import Secret
from ._transport import HttpxTransport
from .protocols import BatchGateway, Caller, Gateway, Transport


def _utc_now() -> datetime:
    return datetime.now(UTC)


class CallerMixin:
    """``call`` in terms of ``_run``, for whoever sends a :class:`Call` somewhere."""

    _access_token: str | None = None

    async def _run(self, call: Call) -> Reply:
        raise NotImplementedError

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
        """Call an API.

        Args:
            api: a path (``/order/get``) or a dotted name (``aliexpress.solution.order.get``).
            params: ``str``, ``int``, ``bool``, ``Decimal``, aware ``datetime``, or ``list`` and
                ``dict`` of them; ``None`` and blank text are left out.
            http_method: ``GET`` turns into ``POST`` where the URL would grow long.
            files: name to ``bytes``, path, open binary file or :class:`File`; streamed.
            idempotent: whether repeating the call is harmless; ``None`` where unknown.
            simplify: ask for the answer without its wrapper.

        Raises:
            TypeError, ValueError, OSError: bad input; nothing was sent.
            IopError: whatever went wrong after that.
        """
        call = Call(
            api,
            params,
            http_method=http_method,
            files=files,
            access_token=self._access_token,
            idempotent=idempotent,
            simplify=simplify,
        )
        del params  # a traceback that prints locals would print the secrets in it
        return await self._run(call)


class Client(CallerMixin, ClosesOnExit):
    """Calls one gateway for one app; any number of tasks may share it.

    Args:
        app: whose key and secret sign the calls.
        gateway: a preset of :mod:`iop_async.gateways`, or any other :class:`Gateway`.
        transport: carries the requests; an :class:`HttpxTransport` of the client's own by
            default. One that is given is not closed by the client.
        now: the clock that stamps calls: aware datetimes.

    Constructing does no I/O. Use it as ``async with Client(...)``, or call :meth:`aclose`.
    """

    def __init__(
        self,
        app: App,
        gateway: Gateway,
        *,
        transport: Transport | None = None,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        for name, value, shape in (("app", app, App), ("gateway", gateway, Gateway)):
            if not isinstance(value, shape):
                msg = f"{name} is a {type(value).__name__}; give an iop_async {shape.__name__}"
                raise TypeError(msg)
        self.app = app
        self.gateway = gateway
        self._transport = HttpxTransport() if transport is None else transport
        self._owns_transport = transport is None
        self.now = now
        self._entered = False
        self._closed = False

    def as_seller(self, token: Token | str) -> Caller:
        """A caller that acts for the seller who granted ``token`` (or that access token)."""
        access_token: object = token.access_token if isinstance(token, Token) else token
        if not isinstance(access_token, str):
            msg = f"as_seller takes a Token or an access token, not {type(access_token).__name__}"
            raise TypeError(msg)
        return _SellerCaller(self, access_token)

    async def _run(self, call: Call) -> Reply:
        now = self.now()
        request = self.gateway.encode(self.app, call, now=now)
        response = await self._transport.send(request)
        return evolve(self.gateway.decode(call, response), sent_at=now.astimezone(UTC))

    async def batch(self, calls: Iterable[Call], *, size: int = 20) -> list[Reply | IopError]:
        """Several calls in one request, where the gateway has batches (TOP).

        Args:
            calls: each with the access token of its own seller, if it needs one.
            size: calls in one request; more of them make several requests, one after the other.
                The platform publishes no limit.

        Returns:
            For each call, in order, its reply or its error. Where a request failed as a whole and
            another came through, that one error stands in the place of each of its calls.

        Raises:
            TypeError, ValueError: bad input, or a gateway without batches; nothing was sent.
            IopError: no request came through.
        """
        if not isinstance(self.gateway, BatchGateway):
            msg = f"{type(self.gateway).__name__} gateways have no batches; use call"
            raise TypeError(msg)
        if size < 1:
            msg = f"size is {size}; a request holds at least one call"
            raise ValueError(msg)
        waiting = list(calls)
        chunks = [waiting[start : start + size] for start in range(0, len(waiting), size)]
        now = self.now()
        requests = [self.gateway.encode_batch(self.app, chunk, now=now) for chunk in chunks]
        outcomes: list[Reply | IopError] = []
        failures = []
        for chunk, request in zip(chunks, requests, strict=True):
            try:
                response = await self._transport.send(request)
                outcomes += self.gateway.decode_batch(chunk, response)
            except IopError as error:
                failures.append(error)
                outcomes += [error] * len(chunk)
        if chunks and len(failures) == len(chunks):
            raise failures[0]
        sent_at = now.astimezone(UTC)
        return [
            evolve(each, sent_at=sent_at) if isinstance(each, Reply) else each for each in outcomes
        ]

    async def aclose(self) -> None:
        """Close the connections that the client opened. It may be entered again later."""
        self._entered, self._closed = False, True
        if self._owns_transport:
            await self._transport.aclose()

    async def __aenter__(self) -> Self:
        if self._entered:
            msg = "this client is entered already; share the one object, or make another"
            raise RuntimeError(msg)
        self._entered = True
        if self._closed and self._owns_transport:
            self._transport = HttpxTransport()
        self._closed = False
        return self

    def __repr__(self) -> str:
        return f"Client({self.app!r}, {self.gateway!r})"


class _SellerCaller(CallerMixin):
    def __init__(self, client: Client, access_token: str) -> None:
        self._client = client
        self._access_token = Secret(access_token)

    async def _run(self, call: Call) -> Reply:
        return await self._client._run(call)
