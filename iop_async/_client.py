"""The client: encode, send, decode."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, Self, TypeVar

from ._caller import CallerMixin
from ._clock import SystemClock
from ._closing import ClosesOnExit
from ._download import DownloadMixin
from ._exceptions import ClockError, IopError
from ._inputs import require_access_token, require_count
from ._json import import_decoders
from ._models import App, Call, Reply, Token
from ._redact import Secret
from ._scrub import scrubs_frames
from ._signing import awaits, sign
from ._transport import HttpxTransport
from ._values import changed
from ._wire import HttpRequest, HttpResponse
from .calling import Attempt, Dispatcher, GatewayClock, Limits, Outcome, Retry
from .hooks import Hooks, OnRequest, OnResponse, OnRetry, Watch
from .protocols import (
    BatchGateway,
    Caller,
    Gateway,
    SigningBatchGateway,
    SigningGateway,
    Transport,
)

T = TypeVar("T")

DEFAULT_RETRY: Final = Retry()


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Client(CallerMixin, DownloadMixin, ClosesOnExit):
    """Calls one gateway for one app; any number of tasks may share it.

    Args:
        app: whose key and secret sign the calls.
        gateway: a preset of :mod:`iop_async.gateways`, or any other :class:`Gateway`.
        transport: carries the requests; an :class:`HttpxTransport` of the client's own by
            default. One that is given is not closed by the client.
        retry: how a call that failed is tried again; ``None`` for one try.
        limits: how many calls are made; ``None`` for as many as the gateway takes.
        on_request, on_response, on_retry: plain callables that are told of every request; see
            :mod:`iop_async.hooks`.
        now: this machine's clock: aware datetimes. What the ``Date`` of answers says is added to
            it; ``client.now()`` is the gateway's time.

    Constructing does no I/O. Use it as ``async with Client(...)``, or call :meth:`aclose`.

    Example::

        async with iop.Client(app, gateway) as client:
            reply = await client.as_seller(token).call("/orders/get", {"limit": 10})
    """

    @scrubs_frames
    def __init__(
        self,
        app: App,
        gateway: Gateway,
        *,
        transport: Transport | None = None,
        retry: Retry | None = DEFAULT_RETRY,
        limits: Limits | None = None,
        on_request: OnRequest | None = None,
        on_response: OnResponse | None = None,
        on_retry: OnRetry | None = None,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        parts: tuple[tuple[str, object, type], ...] = (
            ("app", app, App),
            ("gateway", gateway, Gateway),
            ("retry", DEFAULT_RETRY if retry is None else retry, Retry),
            ("limits", Limits() if limits is None else limits, Limits),
        )
        for name, value, shape in parts:
            if not isinstance(value, shape):
                msg = f"{name} is a {type(value).__name__}; give an iop_async {shape.__name__}"
                raise TypeError(msg)
        self.app = app
        self.gateway = gateway
        self._transport = HttpxTransport() if transport is None else transport
        self._owns_transport = transport is None
        self._clock = GatewayClock(now)
        self.now: Callable[[], datetime] = self._clock.now
        self._dispatcher = Dispatcher(retry, limits, SystemClock(now), self._clock)
        self._hooks = Hooks(on_request, on_response, on_retry)
        self._signs_elsewhere = awaits(getattr(gateway, "signer", None))
        import_decoders()
        self._entered = False
        self._closed = False

    @scrubs_frames
    def as_seller(self, token: Token | str) -> CallerMixin:
        """A caller that acts for the seller who granted ``token`` (or that access token)."""
        access_token: object = token.access_token if isinstance(token, Token) else token
        if not isinstance(access_token, str):
            msg = f"as_seller takes a Token or an access token, not {type(access_token).__name__}"
            raise TypeError(msg)
        require_access_token(access_token)
        return _SellerCaller(self, access_token)

    def _sending_before(self, moment: float | None) -> Caller:
        """A caller whose requests go out before ``moment`` of ``time.monotonic``, or not at all."""
        return _TimedCaller(self, moment)

    async def _run(self, call: Call, *, send_before: float | None = None) -> Reply:
        attempt: Attempt[Reply]
        if self._hooks.are_any:
            watch = Watch(self._hooks, call.api, call.lane)
            attempt = partial(watch.attempt, partial(self._try, call, send_before, watch))
        else:
            attempt = partial(self._try, call, send_before, None)
        return await self._dispatcher.run(call, attempt)

    async def _try(
        self, call: Call, send_before: float | None, watch: Watch | None, seconds: float | None
    ) -> Reply:
        """One try: encode, send, decode."""
        correction, now = self._clock.offset, self.now()
        if self._signs_elsewhere:
            request = await self._encode(call, now, seconds)
        else:
            request = self.gateway.encode(self.app, call, now=now)
        if call.lane != "calls" or seconds is not None or send_before is not None:
            timeout = seconds if request.timeout is None else request.timeout
            request = changed(request, lane=call.lane, timeout=timeout, send_before=send_before)
        decode = partial(self.gateway.decode, call)
        reply = await self._exchange(request, decode, now, correction, watch)
        return changed(reply, sent_at=now.astimezone(UTC))

    async def _exchange(
        self,
        request: HttpRequest,
        decode: Callable[[HttpResponse], T],
        now: datetime,
        correction: timedelta,
        watch: Watch | None,
    ) -> T:
        """Every request begins and ends here."""
        if watch is not None:
            watch.sending(request, now.astimezone(UTC))
        try:
            response = await self._transport.send(request)
            if watch is not None:
                watch.received(response)
            if (date := response.headers.get("date")) != self._clock.last_date:
                self._clock.learn(date, now - correction)
            return decode(response)
        except IopError as error:
            _stamp(error, now, correction)
            raise

    async def _encode(self, call: Call, now: datetime, seconds: float | None) -> HttpRequest:
        """The request, where a signer is waited for."""
        if not isinstance(self.gateway, SigningGateway):
            return self.gateway.encode(self.app, call, now=now)
        unsigned = self.gateway.prepare(self.app, call, now=now)
        return await sign(unsigned, self.app.secret, seconds=seconds)

    @scrubs_frames
    async def batch(self, calls: Iterable[Call], *, size: int = 20) -> list[Reply | IopError]:
        """Several calls in one request, where the gateway has batches (TOP).

        A request obeys limits and bans like a call, and is tried again where that is safe for each
        of its calls. A call that fails alone is not.

        Args:
            calls: each with the access token of its own seller, if it needs one. The shortest
                timeout among those of one request is that of the request.
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
        chunks = _chunks(calls, size)
        for chunk in chunks[1:]:  # the first is looked at before anything is sent
            self._require_batch(self.gateway, chunk)
        outcomes: list[Reply | IopError] = []
        failures = []
        for chunk in chunks:
            try:
                outcomes += await self._run_batch(self.gateway, chunk)
            except IopError as error:
                failures.append(error)
                outcomes += [error] * len(chunk)
        if chunks and len(failures) == len(chunks):
            raise failures[0]
        return outcomes

    def _require_batch(self, gateway: BatchGateway, calls: Sequence[Call]) -> None:
        if isinstance(gateway, SigningBatchGateway):
            gateway.prepare_batch(self.app, calls, now=self.now())
        else:
            gateway.encode_batch(self.app, calls, now=self.now())

    async def _run_batch(self, gateway: BatchGateway, calls: Sequence[Call]) -> list[Outcome]:
        watch = Watch(self._hooks, "batch", "calls")

        async def attempt(calls: Sequence[Call], seconds: float | None) -> list[Outcome]:
            return await watch.attempt(partial(self._try_batch, gateway, calls, watch), seconds)

        return await self._dispatcher.run_batch(calls, attempt)

    async def _try_batch(
        self, gateway: BatchGateway, calls: Sequence[Call], watch: Watch, seconds: float | None
    ) -> list[Outcome]:
        correction, now = self._clock.offset, self.now()
        request = await self._encode_batch(gateway, calls, now, seconds)
        decode = partial(gateway.decode_batch, calls)
        outcomes = await self._exchange(request, decode, now, correction, watch)
        return [_sent(each, now, correction) for each in outcomes]

    async def _encode_batch(
        self, gateway: BatchGateway, calls: Sequence[Call], now: datetime, seconds: float | None
    ) -> HttpRequest:
        if self._signs_elsewhere and isinstance(gateway, SigningBatchGateway):
            unsigned = gateway.prepare_batch(self.app, calls, now=now)
            return await sign(unsigned, self.app.secret, seconds=seconds)
        request = gateway.encode_batch(self.app, calls, now=now)
        return changed(request, timeout=seconds)

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


def _stamp(error: IopError, now: datetime, correction: timedelta) -> None:
    error.sent_at = now.astimezone(UTC)
    if isinstance(error, ClockError):
        error.correction = correction


def _sent(outcome: Outcome, now: datetime, correction: timedelta) -> Outcome:
    if isinstance(outcome, Reply):
        return changed(outcome, sent_at=now.astimezone(UTC))
    _stamp(outcome, now, correction)
    return outcome


def _chunks(calls: object, size: int) -> list[list[Call]]:
    require_count("size", size)
    if isinstance(calls, Call) or not isinstance(calls, Iterable):
        msg = f"a batch takes several calls; put the {type(calls).__name__} into a list"
        raise TypeError(msg)
    listed = list(calls)
    for place, each in enumerate(listed):
        if not isinstance(each, Call):
            msg = f"calls[{place}] of the batch is of type {type(each).__name__}; give an iop.Call"
            raise TypeError(msg)
    return [listed[start : start + size] for start in range(0, len(listed), size)]


class _SellerCaller(CallerMixin):
    def __init__(self, client: Client, access_token: str) -> None:
        self._client = client
        self._access_token = Secret(access_token)

    async def _run(self, call: Call) -> Reply:
        return await self._client._run(call)


class _TimedCaller(CallerMixin):
    def __init__(self, client: Client, send_before: float | None) -> None:
        self._client = client
        self._send_before = send_before

    async def _run(self, call: Call) -> Reply:
        return await self._client._run(call, send_before=self._send_before)
