"""The client against the local TOP gateway, over sockets."""

import hashlib
import io
import os
import time
import traceback
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial

import anyio
import attrs
import httpx
import pytest
from loopback import Server

import iop_async as iop
from iop_async.sandbox import Sandbox, SandboxApp
from iop_async.sandbox import running as serving

ECHO, USER = "taobao.sandbox.echo", "taobao.user.seller.get"
TRADES = "taobao.trades.sold.get"
REFRESH = "taobao.top.auth.token.refresh"
CALLBACK = "https://me.example/callback"
SIGNERS = [iop.signers.TOP_MD5, iop.signers.HMAC_MD5, iop.signers.TOP_HMAC_SHA256]


@pytest.fixture
def sandbox(app) -> Sandbox:
    return Sandbox(profile="taobao", apps=[SandboxApp(app.key, app.secret)])


@pytest.fixture
def gateway(url) -> iop.gateways.Top:
    return iop.gateways.Top(f"{url}/router/rest", authorize_url=f"{url}/authorize")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_from_consent_to_calls_under_either_event_loop(app, gateway, backend):
    """Authorize, exchange the code, call, upload, refresh: the old pair dies at once."""

    async def main():
        page = iop.oauth.authorize_url(app, gateway, redirect_uri=CALLBACK, state="s")
        async with httpx.AsyncClient() as browser:
            approved = await browser.get(f"{page}&auto_approve=1001")
        code = iop.oauth.parse_callback(approved.headers["location"], state="s").code
        async with iop.Client(app, gateway) as client:
            token = await iop.top.create_token(client, code=code, uuid="u")
            assert token.sellers == (iop.Seller(seller_id="1001", user_id="1001"),)
            assert token.account.endswith("@example.com")
            assert token.refreshable
            assert token.expires_at - token.issued_at == timedelta(days=90)
            assert token.refresh_expires_at - token.issued_at == timedelta(days=365)

            seller = client.as_seller(token)
            user = await seller.call(USER, {"fields": "nick"}, http_method="GET")
            assert user.data == {"user": {"nick": token.account}}
            assert user.request_id
            content = b"any bytes" * 10_000
            uploaded = await seller.call(
                "taobao.picture.upload",
                {"picture_category_id": 0, "image_input_title": "茶壶"},
                files={"img": io.BytesIO(content)},
            )
            picture = uploaded.data["picture"]
            assert (picture["title"], picture["sizes"]) == ("茶壶", len(content))
            assert picture["sha256"] == hashlib.sha256(content).hexdigest()

            successor = await iop.top.refresh_token(client, refresh_token=token.refresh_token)
            moved = successor.refresh_expires_at - token.refresh_expires_at
            assert abs(moved) <= timedelta(seconds=2)
            await client.as_seller(successor).call(USER, {"fields": "nick"})
            with pytest.raises(iop.AuthError, match="27/session-not-exist"):
                await seller.call(USER, {"fields": "nick"})
            with pytest.raises(iop.AuthError, match="refresh token is invalid or expired"):
                await iop.top.refresh_token(client, refresh_token=token.refresh_token)
            with pytest.raises(iop.AuthError, match="authorize code expire"):
                await iop.top.create_token(client, code=code)

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("signer", SIGNERS, ids=lambda signer: signer.sign_method)
@pytest.mark.parametrize("http_method", ["GET", "POST"])
async def test_each_signer_is_verified(app, gateway, signer, http_method):
    """With text that is easily signed wrongly."""
    params = {"title": "é 鞋 & co=+%", "n": 10**20, "ok": True, "empty": "", "list": [1, "茶"]}
    async with iop.Client(app, attrs.evolve(gateway, signer=signer, partner_id="p")) as client:
        reply = await client.call(ECHO, params, http_method=http_method)
    assert reply.data["params"] == {
        "title": "é 鞋 & co=+%",
        "n": str(10**20),
        "ok": "true",
        "list": '[1,"茶"]',
    }


async def test_one_answer_in_json_in_xml_and_simplified(app, gateway, sandbox):
    """XML loses types and keeps the rest; simplified lists stand for themselves."""
    token = sandbox.grant("1001")["access_token"]
    params = {"fields": "tid,payment,orders", "page_size": 2}
    async with iop.Client(app, gateway) as client:
        in_json = await client.as_seller(token).call(TRADES, params)
        simple = await client.as_seller(token).call(TRADES, params, simplify=True)
    async with iop.Client(app, attrs.evolve(gateway, format="xml")) as client:
        in_xml = await client.as_seller(token).call(TRADES, params, simplify=True)
    trades = in_json.data["trades"]["trade"]
    assert trades[0]["tid"] > 2**53
    assert in_xml.data == as_text(in_json.data)
    assert simple.data["trades"] == [t | {"orders": t["orders"]["order"]} for t in trades]
    assert {type(reply.request_id) for reply in (in_json, in_xml, simple)} == {str}
    assert "trades_sold_get_response" not in simple.body


def as_text(value):
    if isinstance(value, dict):
        return {name: as_text(member) for name, member in value.items()}
    return [as_text(member) for member in value] if isinstance(value, list) else str(value)


@pytest.mark.parametrize("format_", ["json", "xml"])
async def test_the_security_token_of_a_device(app, url, format_):
    """At an address of its own; without an id, the platform's sample: a success without token."""
    gateway = iop.gateways.Top(f"{url}/api", format=format_)
    async with iop.Client(app, gateway) as client:
        fine = await iop.top.sec_token_get(client, oeid="123", ieid="123", open_id="123")
        assert (fine.result_code, fine.result_msg) == ("200", "success")
        assert fine.token.startswith("sec-")
        odd = await iop.top.sec_token_get(client)
        assert odd == iop.top.SecToken("200", "token", "token参数有误")


async def test_an_app_that_may_not_refresh_gets_a_token_that_says_so(app, gateway, sandbox):
    """``re_expires_in`` is 0."""
    sandbox.add_app(SandboxApp(app.key, app.secret, refreshable=False))
    async with iop.Client(app, gateway) as client:
        token = await iop.top.create_token(client, code=sandbox.authorize("1001"))
    assert not token.refreshable


@pytest.mark.parametrize("signer", SIGNERS, ids=lambda signer: signer.sign_method)
async def test_a_wrong_signature_shows_what_the_gateway_signed(app, gateway, signer):
    """Two strings to compare, in the error and nowhere else."""
    signed = []

    @attrs.frozen
    class Mistaken:
        sign_method: str = signer.sign_method

        def sign(self, secret, path, params):
            signed.append(iop.signers.string_to_sign(path, params))
            return signer.sign("another secret", path, params)

    async with iop.Client(app, attrs.evolve(gateway, signer=Mistaken())) as client:
        with pytest.raises(iop.SignatureError, match="25: Invalid signature") as caught:
            await client.call(ECHO, {"title": "é"})
        assert caught.value.string_to_sign == signed.pop()
        with pytest.raises(iop.SignatureError) as caught:
            await client.batch([iop.Call(ECHO, {"n": n}) for n in range(3)])
        assert caught.value.string_to_sign == signed.pop()


@pytest.mark.parametrize("format_", ["json", "xml"])
async def test_sessions_that_are_not_good_are_auth_errors(app, gateway, sandbox, format_):
    """With the code and sub code that say why."""
    token = sandbox.grant("1001")["access_token"]
    async with iop.Client(app, attrs.evolve(gateway, format=format_)) as client:
        with pytest.raises(iop.AuthError) as missing:
            await client.call(USER, {"fields": "nick"})
        with pytest.raises(iop.AuthError) as unknown:
            await client.as_seller("6201").call(USER, {"fields": "nick"})
        sandbox.clock.advance(91 * 86400)
        late = iop.Client(app, client.gateway, now=sandbox.clock.now)
        async with late:
            with pytest.raises(iop.AuthError) as expired:
                await late.as_seller(token).call(USER, {"fields": "nick"})
    assert [(e.value.code, e.value.sub_code) for e in (missing, unknown, expired)] == [
        ("26", None),
        ("27", "invalid-sessionkey"),
        ("27", "session-expired"),
    ]


@pytest.mark.parametrize("format_", ["json", "xml"])
@pytest.mark.parametrize(
    "whose", [{"api": ECHO}, {"app": "123456"}, {"seller_id": "1001"}], ids=str
)
async def test_a_ban_says_for_how_long(app, gateway, sandbox, format_, whose):
    """Seconds, from the platform's own words."""
    token = sandbox.grant("1001")["access_token"]
    sandbox.fail("ban", seconds=9, **whose)
    async with iop.Client(app, attrs.evolve(gateway, format=format_), retry=None) as client:
        with pytest.raises(iop.Throttled) as caught:
            await client.as_seller(token).call(ECHO)
    assert caught.value.code == ("5" if "seller_id" in whose else "7")
    assert 8 <= caught.value.retry_after <= 9


@pytest.mark.parametrize(
    ("code", "sub_code", "error", "retryable"),
    [
        ("15", "isp.top-remote-service-unavailable", iop.ServiceError, True),
        ("50", "isv.invalid-parameter", iop.ApiError, False),
        ("11", "isv.permission-api-package-limit", iop.PermissionDenied, False),
        ("10", None, iop.ServiceError, True),
        ("15", "isv.account-migration-check-fail", iop.AuthError, False),
    ],
)
@pytest.mark.parametrize("format_", ["json", "xml"])
async def test_errors_of_the_service_behind(
    app, gateway, sandbox, code, sub_code, error, retryable, format_
):
    """One class, whichever the format."""
    sandbox.fail("error", code=code, sub_code=sub_code, sub_message="参数异常")
    async with iop.Client(app, attrs.evolve(gateway, format=format_), retry=None) as client:
        with pytest.raises(error, match="参数异常") as caught:
            await client.call(ECHO)
    assert type(caught.value) is error
    assert caught.value.retryable == retryable
    assert (caught.value.code, caught.value.sub_code) == (code, sub_code)


@pytest.mark.parametrize(
    ("fault", "error", "applied"),
    [
        ({"kind": "reset"}, iop.TransportError, True),
        ({"kind": "drop"}, iop.TransportError, True),
        ({"kind": "truncate"}, iop.ProtocolError, True),
        ({"kind": "empty"}, iop.ProtocolError, True),
        ({"kind": "html"}, iop.ProtocolError, True),
        ({"kind": "status", "status": 502}, iop.ProtocolError, True),
        ({"kind": "status", "status": 429, "retry_after": 3}, iop.Throttled, False),
        ({"kind": "ban", "seconds": 9}, iop.Throttled, False),
        ({"kind": "patch", "remove": ["token_result"]}, iop.ProtocolError, True),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
@pytest.mark.parametrize("format_", ["json", "xml"])
async def test_a_refresh_whose_answer_is_lost_says_whether_it_may_have_happened(
    app, gateway, sandbox, fault, error, applied, format_
):
    """And no message shows a token."""
    async with iop.Client(app, attrs.evolve(gateway, format=format_)) as client:
        token = await iop.top.create_token(client, code=sandbox.authorize("1001"))
        sandbox.fail(**fault, api=REFRESH)
        with pytest.raises(error) as caught:
            await iop.top.refresh_token(client, refresh_token=token.refresh_token)
    assert caught.value.may_have_been_applied == applied
    secrets = {token.access_token, token.refresh_token}
    secrets |= {pair.access_token for pair in sandbox.grants.live()}
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [line for line in shown.format() if "test_top_end_to_end" not in line]
    assert not any(secret in "".join(ours) for secret in secrets)
    presented = sandbox.ledger.refreshes
    assert [entry.generation for entry in presented] == [1]


@pytest.mark.parametrize("format_", ["json", "xml"])
async def test_raw_control_characters_are_read(app, gateway, sandbox, format_):
    """TOP sends them at times; an IOP gateway does not."""
    sandbox.fail("control_characters")
    async with iop.Client(app, attrs.evolve(gateway, format=format_)) as client:
        reply = await client.call(ECHO, {"a": "1"})
    assert reply.data["params"] == {"a": "1"}
    assert reply.data["remark"] == "raw\tcontrol\r\ncharacters"


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kathmandu"])
async def test_the_machine_s_zone_does_not_matter(app, gateway, monkeypatch, zone):
    """TOP's times are GMT+8."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        async with iop.Client(app, gateway) as client:
            reply = await client.call("taobao.time.get")
    finally:
        monkeypatch.undo()
        os.environ.pop("TZ", None)
        time.tzset()
    told = datetime.fromisoformat(f"{reply.data['time']}+08:00")
    assert abs(told - datetime.now(UTC)) < timedelta(seconds=30)


@pytest.mark.parametrize("minutes", [-11, 11])
async def test_a_clock_that_is_wrong_is_a_clock_error_where_no_date_tells(
    app, gateway, sandbox, minutes
):
    """The gateway tolerates ten minutes."""
    sandbox.clock.skew = minutes * 60
    sandbox.fail("headers", headers={"date": None}, times=None)
    async with iop.Client(app, gateway) as client:
        with pytest.raises(iop.ClockError, match="31: Invalid timestamp"):
            await client.call(ECHO)


class TestBatch:
    """Several calls in one request."""

    @pytest.mark.parametrize("signer", SIGNERS, ids=lambda signer: signer.sign_method)
    @pytest.mark.parametrize("format_", ["json", "xml"])
    async def test_replies_come_in_the_order_of_the_calls(self, app, gateway, signer, format_):
        calls = [iop.Call(ECHO, {"n": n, "same": "茶"}) for n in range(15)]
        calls.insert(7, iop.Call("taobao.time.get"))
        gateway = attrs.evolve(gateway, signer=signer, format=format_)
        async with iop.Client(app, gateway) as client:
            replies = await client.batch(calls)
        assert "time" in replies.pop(7).data
        assert [r.data["params"] for r in replies] == [
            {"n": str(n), "same": "茶"} for n in range(15)
        ]
        assert len({reply.request_id for reply in replies}) == 15

    async def test_sessions_may_be_mixed_and_a_failing_call_fails_alone(
        self, app, gateway, sandbox
    ):
        tokens = [sandbox.grant(seller)["access_token"] for seller in ("1001", "1002")]
        calls = [iop.Call(USER, {"fields": "nick"}, access_token=token) for token in (*tokens, "x")]
        async with iop.Client(app, gateway) as client:
            first, second, refused, plain = await client.batch([*calls, iop.Call(ECHO)])
        nicks = [reply.data["user"]["nick"] for reply in (first, second)]
        assert nicks == [sandbox.sellers[seller].account for seller in ("1001", "1002")]
        assert isinstance(refused, iop.AuthError)
        assert refused.sub_code == "invalid-sessionkey"
        assert plain.data["params"] == {}

    async def test_more_calls_than_fit_make_several_requests(self, app, gateway):
        calls = [iop.Call(ECHO, {"n": n}) for n in range(250)]
        async with iop.Client(app, gateway) as client:
            replies = await client.batch(calls, size=100)
            assert [reply.data["params"]["n"] for reply in replies] == [*map(str, range(250))]
            with pytest.raises(iop.ApiError, match="100 calls at most, not 250"):
                await client.batch(calls, size=250)

    async def test_one_request_of_several_that_breaks_hides_no_other(self, app, gateway, sandbox):
        sandbox.fail("truncate", api=ECHO)
        async with iop.Client(app, gateway) as client:
            outcomes = await client.batch([iop.Call(ECHO, {"n": n}) for n in range(6)], size=3)
        assert [isinstance(each, iop.Reply) for each in outcomes] == [False] * 3 + [True] * 3

    async def test_a_call_within_may_be_banned(self, app, gateway, sandbox):
        sandbox.fail("ban", seconds=4, api="taobao.time.get")
        async with iop.Client(app, gateway) as client:
            banned, fine = await client.batch([iop.Call("taobao.time.get"), iop.Call(ECHO)])
        assert isinstance(banned, iop.Throttled)
        assert 3 <= banned.retry_after <= 4
        assert fine.data["params"] == {}

    async def test_a_batch_that_is_refused_as_a_whole_is_one_error(self, app, gateway):
        async with iop.Client(iop.App(app.key, "wrong"), gateway) as client:
            with pytest.raises(iop.SignatureError):
                await client.batch([iop.Call(ECHO), iop.Call(ECHO)])


HUNDRED_MEGABYTES = 100_000_000


@pytest.fixture(params=["declared", "chunked"])
def flood(request) -> Iterator[str]:
    """A gateway that answers with 100 MB, and says so, or not."""
    piece = b'{"x":"' + bytes(1_000_000 - 8).replace(b"\0", b"x") + b'"}'

    async def pour(_received, writer):
        kind = f"Content-Length: {HUNDRED_MEGABYTES}"
        if request.param == "chunked":
            kind = "Transfer-Encoding: chunked"
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n{kind}\r\n\r\n".encode())
        with suppress(ConnectionError):
            for _ in range(HUNDRED_MEGABYTES // len(piece)):
                if request.param == "chunked":
                    writer.write(b"%x\r\n" % len(piece))
                writer.write(piece)
                if request.param == "chunked":
                    writer.write(b"\r\n")
                await writer.drain()

    with Server(pour) as server:
        yield server.base


@pytest.mark.parametrize(
    ("options", "room"), [({}, 80_000_000), ({"max_answer_bytes": 1_000_000}, 10_000_000)]
)
async def test_an_answer_of_100_megabytes_is_refused_in_bounded_memory(app, flood, options, room):
    """By default it is 32 MiB that an answer may have."""
    transport = iop.HttpxTransport(**options)
    gateway = iop.gateways.Top(f"{flood}/router/rest")
    tracemalloc.start()
    try:
        async with transport, iop.Client(app, gateway, transport=transport) as client:
            with pytest.raises(iop.ProtocolError, match="larger than"):
                await client.call(ECHO)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < room


def test_one_sandbox_speaks_both_dialects_of_one_grant(app):
    """A pair bought through IOP is traded through TOP, and dies for both."""
    sandbox = Sandbox(profile="lazada", apps=[SandboxApp(app.key, app.secret)])

    async def main(url):
        top = iop.gateways.Top(f"{url}/router/rest")
        async with iop.Client(app, iop.gateways.Iop(url)) as one, iop.Client(app, top) as other:
            token = await iop.auth.create_token(one, code=sandbox.authorize("1001"))
            await iop.top.refresh_token(other, refresh_token=token.refresh_token)
            with pytest.raises(iop.AuthError, match="IllegalRefreshToken"):
                await iop.auth.refresh_token(one, refresh_token=token.refresh_token)

    with serving(sandbox) as url:
        anyio.run(partial(main, url))
