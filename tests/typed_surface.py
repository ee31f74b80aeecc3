"""The types that users see, for the type checkers; never executed."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, assert_type

import iop_async as iop


class VaultSigner:
    sign_method = "sha256"

    def sign(self, secret: str, path: str, params: Mapping[str, str]) -> str:
        return f"{secret}{path}{params}"


class Recorded:
    async def send(self, request: iop.HttpRequest) -> iop.HttpResponse:
        assert_type(request.method, Literal["GET", "POST"])
        return iop.HttpResponse(200, {}, b"{}")

    async def aclose(self) -> None: ...


async def surface(app: iop.App) -> None:
    gateway = iop.gateways.Iop("https://api.example.com", signer=VaultSigner())
    assert_type(iop.gateways.from_name("lazada_sg"), iop.gateways.Iop | iop.gateways.Top)
    assert_type(iop.oauth.authorize_url(app, gateway, redirect_uri="https://a.b"), str)
    assert_type(iop.oauth.parse_callback("code=c", state=None).code, str)
    assert_type(iop.__version__, str)

    async with iop.Client(app, gateway, transport=Recorded()) as client:
        assert_type(client, iop.Client)
        token = await iop.auth.create_token(client, code="c")
        assert_type(token, iop.Token)
        assert_type(token.expires_at, datetime | None)
        assert_type(token.expires_in(datetime.now(UTC)), timedelta | None)
        assert_type(token.sellers, tuple[iop.Seller, ...])

        caller: iop.Caller = client
        caller = client.as_seller(token)
        reply = await caller.call(
            "/a", {"b": [1]}, files={"f": Path("x"), "g": b"", "h": iop.File(b"")}
        )
        assert_type(reply, iop.Reply)
        assert_type(reply.data, Any)
        assert_type(reply.failed, bool)
        assert_type(reply.request_id, str | None)
        assert_type(await iop.auth.refresh_token(caller, refresh_token="r"), iop.Token)

    transport: iop.Transport = iop.HttpxTransport(timeouts=iop.Timeouts(total=5))
    signer: iop.Signer = iop.signers.HMAC_SHA256
    plugged: iop.Gateway = gateway
    pluggable: tuple[iop.Transport, iop.Signer, iop.Gateway] = (transport, signer, plugged)
    keys: dict[str, bytes | str] = {"2026": iop.stores.EncryptedStore.new_key(), "2025": bytes(32)}
    sealed = iop.stores.EncryptedStore(iop.stores.from_url("memory://"), keys, accept_plain=True)
    assert_type(sealed, iop.stores.EncryptedStore)
    assert_type(await sealed.reencrypt("scope"), int)
    store: iop.TokenStore = sealed
    sealer: iop.protocols.Sealer = sealed
    del pluggable, store, sealer


def errors(error: iop.IopError) -> None:
    assert_type(error.retryable, bool)
    assert_type(error.retry_after, float | None)
    if isinstance(error, iop.ApiError):
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
        assert_type(await tokens.authorize("code"), iop.Token)
        assert_type(await tokens.token("1001"), iop.Token)
        caller: iop.Caller = tokens.seller("1001")
        assert_type(await caller.call("/a"), iop.Reply)
        report = await tokens.refresh_many(["1001"], on_progress=print)
        assert_type(report, iop.tokens.RefreshReport)
        assert_type(report.failed, Mapping[str, Exception])
        assert_type(await tokens.refresh_due(), iop.tokens.RefreshReport)
        assert_type(await tokens.status("1001"), iop.tokens.SellerStatus)
        async for status in tokens.statuses():
            assert_type(status.expires_at, datetime | None)
        async for event in tokens.events():
            assert_type(event, iop.tokens.TokenEvent)
        assert_type(await tokens.forget("1001"), bool)
        assert_type(tokens.scope, str)
