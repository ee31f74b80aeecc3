"""The types that users see, for the type checkers; never executed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypedDict, assert_type

import attrs

import iop_async as iop
from iop_async.contrib.otel import Telemetry
from iop_async.contrib.starlette import SellerRoutes, exception_handlers
from iop_async.testing import FakeCaller, FakeTransport


class VaultSigner:
    sign_method = "sha256"

    def sign(self, secret: str, path: str, params: Mapping[str, str]) -> str:
        return f"{secret}{path}{params}"


class KmsSigner:
    sign_method = "sha256"

    async def sign(self, secret: str, path: str, params: Mapping[str, str]) -> str:
        return f"{secret}{path}{params}"


class Recorded:
    async def send(self, request: iop.HttpRequest) -> iop.HttpResponse:
        assert_type(request.method, Literal["GET", "POST"])
        return iop.HttpResponse(200, {}, b"{}")

    async def aclose(self) -> None: ...


async def surface(app: iop.App) -> None:
    gateway = iop.gateways.Iop("https://api.example.com", signer=VaultSigner())
    elsewhere = iop.gateways.Top("https://api.example.com", signer=KmsSigner())
    assert_type(iop.Client(iop.App("key"), elsewhere), iop.Client)
    assert_type(iop.gateways.from_name("lazada_sg"), iop.gateways.Preset)
    assert_type(iop.oauth.authorize_url(app, gateway, redirect_uri="https://a.b"), str)
    assert_type(iop.oauth.parse_callback("code=c", state=None).code, str)
    assert_type(iop.__version__, str)

    retry = iop.Retry(attempts=2, within=None)
    assert_type(retry.within, float | None)
    limits = iop.Limits(per_second=20, apis={"/a": iop.Limits(in_flight=2)})
    assert_type(limits.in_flight, int | None)
    async with iop.Client(app, gateway, transport=Recorded(), retry=retry, limits=limits) as client:
        assert_type(client, iop.Client)
        token = await iop.auth.create_token(client, code="c")
        assert_type(token, iop.Token)
        assert_type(token.expires_at, datetime | None)
        assert_type(token.expires_in(datetime.now(UTC)), timedelta | None)
        assert_type(token.sellers, tuple[iop.Seller, ...])

        caller: iop.Caller = client
        caller = FakeCaller({"/a": {"b": 1}, "/c": iop.AuthError("c"), "/d": lambda params: params})
        caller = client.as_seller(token)
        caller = client.as_seller(token).with_headers({"x-iop-trial": "true"})
        reply = await caller.call(
            "/a", {"b": [1]}, files={"f": Path("x"), "g": b"", "h": iop.File(b"")}
        )
        assert_type(reply, iop.Reply)
        assert_type(reply.data, Any)
        assert_type(reply.failed, bool)
        assert_type(reply.raise_for_failure(), iop.Reply)
        assert_type(reply.request_id, str | None)
        with Path("x").open("wb") as file:
            downloaded = await client.download("u", file, max_bytes=1, timeout=2.5)
        assert_type(downloaded.filename, str | None)
        assert_type(await iop.auth.refresh_token(caller, refresh_token="r"), iop.Token)

    bringing: iop.protocols.DownloadTransport = iop.HttpxTransport()
    bringing = FakeTransport({})
    transport: iop.Transport = bringing
    transport = iop.HttpxTransport(timeouts=iop.Timeouts(total=5))
    transport = iop.FastTransport(timeouts=iop.Timeouts(total=5), max_connections=500)
    assert_type(await iop.FastTransport().send(iop.HttpRequest("GET", "u")), iop.HttpResponse)
    async with iop.FastTransport() as fast:
        assert_type(fast, iop.FastTransport)
    assert_type(await iop.FastTransport().download("u", "label.pdf"), iop.Downloaded)
    transport = FakeTransport({"code": "0"})
    transport = FakeTransport(lambda request: iop.TransportError(request.method))
    signer: iop.Signer = iop.signers.HMAC_SHA256
    plugged: iop.protocols.TokenGateway = gateway
    pluggable: tuple[iop.Transport, iop.Signer, iop.Gateway] = (transport, signer, plugged)
    keys: dict[str, bytes | str] = {"2026": iop.stores.EncryptedStore.new_key(), "2025": bytes(32)}
    by_url = iop.stores.from_url("memory://")
    assert_type(by_url, iop.stores.ConfiguredStore)
    assert_type(await by_url.create_tables(), None)
    async with by_url as opened:
        assert_type(opened, iop.stores.ConfiguredStore)
    sealed = iop.stores.EncryptedStore(by_url, keys, accept_plain=True)
    assert_type(sealed, iop.stores.EncryptedStore)
    assert_type(await sealed.reencrypt("scope"), int)
    store: iop.TokenStore = sealed
    sealer: iop.protocols.Sealer = sealed
    bulk: iop.protocols.BulkTokenStore = iop.stores.MemoryStore()
    del pluggable, store, sealer, bulk


class OrderDict(TypedDict):
    order_id: int


@dataclass
class OrderRow:
    order_id: int


@attrs.frozen
class Order:
    order_id: int


async def endpoints(caller: iop.Caller, reply: iop.Reply) -> None:
    get_dict = iop.Endpoint("/order/get", OrderDict)
    get_row = iop.Endpoint("/order/get", OrderRow, http_method="GET", idempotent=True, timeout=5)
    get_order = iop.Endpoint("/order/get", Order, unknown_fields="refuse")
    assert_type(await get_dict(caller, order_id=42), OrderDict)
    assert_type(await get_row(caller, {"order-id": 42}), OrderRow)
    assert_type(await get_order.with_options(timeout=2.0)(caller), Order)
    assert_type(await iop.Endpoint("/orders/get", list[Order])(caller), list[Order])
    assert_type(get_order.read(reply), Order)

    get_orders = iop.Endpoint("/orders/get", list[Order])
    assert_type(iop.pages(caller, get_orders, items=lambda orders: orders), iop.paging.Pages[Order])
    style: iop.paging.Style = iop.paging.Numbered("pageNo", "pageSize")
    style = iop.paging.Cursor({"scroll_id": "scroll_id"})
    walk = iop.pages(caller, "/orders/get", {"a": 1}, items="orders", size=100, style=style)
    async for order in walk:
        assert_type(order, Any)
        assert_type(walk.position, str)


def hooks(app: iop.App, gateway: iop.Gateway, seconds: list[float]) -> None:
    def on_response(response: iop.hooks.Response) -> None:
        assert_type(response.request, iop.hooks.Request)
        assert_type(response.error, str | None)
        seconds.append(response.seconds)

    iop.Client(app, gateway, on_request=print, on_response=on_response, on_retry=print)
    telemetry = Telemetry()
    iop.Client(app, gateway, on_response=telemetry.on_response, on_retry=telemetry.on_retry)


def errors(error: iop.IopError) -> None:
    assert_type(error.retryable, bool)
    assert_type(error.retry_after, float | None)
    assert_type(error.sent_at, datetime | None)
    if isinstance(error, iop.BusinessFailure):
        assert_type(error.failure, iop.Failure)
        assert_type(error.reply, iop.Reply | None)
    if isinstance(error, iop.InvalidAnswer):
        assert_type(error.path, str)
    if isinstance(error, iop.ApiError):
        assert_type(error.refresh_token_rejected, bool)
        assert_type(error.code, str)
        assert_type(error.request_id, str | None)


async def grants(client: iop.Client) -> None:
    stores: tuple[iop.TokenStore, ...] = (
        iop.stores.MemoryStore(),
        iop.stores.SQLiteStore(Path("tokens.db")),
        iop.stores.RedisStore("redis://localhost", prefix="shop"),
        iop.stores.SQLAlchemyStore("postgresql+asyncpg://localhost/shop"),
    )
    async with iop.TokenManager(client, stores[0], role="follower") as tokens:
        assert_type(tokens, iop.TokenManager)
        try:
            token = await tokens.authorize("code")
        except iop.NotPersisted as error:
            assert_type(error.token, iop.Token | None)
        else:
            assert_type(iop.tokens.seller_ids_of(token), tuple[str, ...])
        assert_type(await tokens.token("1001"), iop.Token)
        caller: iop.Caller = tokens.seller("1001").with_headers({"x-iop-trial": "true"})
        assert_type(await caller.call("/a"), iop.Reply)
        assert_type(await tokens.import_many([]), iop.tokens.ImportReport)
        report = await tokens.refresh_many(["1001"], on_progress=print)
        assert_type(report, iop.tokens.RefreshReport)
        assert_type(report.failed, Mapping[str, Exception])
        assert_type(await tokens.refresh_due(), iop.tokens.RefreshReport)
        assert_type(await tokens.status("1001"), iop.tokens.SellerStatus)
        async for status in tokens.statuses():
            assert_type(status.expires_at, datetime | None)
        async with tokens.events() as events:
            async for event in events:
                assert_type(event, iop.tokens.TokenEvent)
        assert_type(await tokens.forget("1001"), bool)
        assert_type(tokens.scope, str)


def webhooks(app: iop.App, body: bytes) -> None:
    """What a platform sends."""
    try:
        message = iop.webhooks.verify_push(app, body=body, authorization=None)
    except (iop.WebhookSignatureError, iop.WebhookMessageError) as error:
        assert_type(error.retryable, bool)
    else:
        assert_type(message.seller_id, str | None)
        assert_type(message.authorization_ends_at, datetime | None)
        assert_type(message.data, Mapping[str, Any])
    request = iop.webhooks.verify_http_sign(app, url="/", form=body, now=datetime.now(UTC))
    assert_type(request.params, Mapping[str, str])


async def routes(tokens: iop.TokenManager) -> None:
    """Those of a web app."""

    async def pushed(message: iop.webhooks.PushMessage) -> None:
        assert_type(message.topic, str)

    made = SellerRoutes(
        tokens, redirect_uri="https://me.example/callback", secret="", on_push=pushed
    )
    assert_type(len(made), int)
    assert issubclass(next(iter(exception_handlers())), Exception)
    assert_type(await tokens.tell_expiry("1001", None), bool)
    assert_type(tokens.client, iop.Client)
    assert_type(tokens.store, iop.TokenStore)
