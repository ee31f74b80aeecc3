"""The client against the local gateway, over sockets, under both event loops."""

import hashlib
import io
import re
import traceback
from contextlib import asynccontextmanager
from functools import partial

import anyio
import attrs
import httpx
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

import iop_async as iop
from iop_async.sandbox import PROFILES, Sandbox, SandboxApp, create_app, running

CALLBACK = "https://me.example/callback"


async def authorize(client, seller="1001"):
    """The way of a seller through the consent page, without the mouse."""
    page = iop.oauth.authorize_url(client.app, client.gateway, redirect_uri=CALLBACK, state="s")
    async with httpx.AsyncClient() as browser:
        answer = await browser.get(page)
        approved = await browser.get(f"{page}&auto_approve={seller}")
    assert answer.status_code == 200
    code = iop.oauth.parse_callback(approved.headers["location"], state="s").code
    return await iop.auth.create_token(client, code=code)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_from_consent_to_calls_under_either_event_loop(app, gateway, backend):
    """Authorize, exchange the code, call, upload, refresh: the main job."""

    async def main():
        async with iop.Client(app, gateway) as client:
            token = await authorize(client)
            seller = client.as_seller(token)
            assert token.seller_id == "1001"
            assert token.refreshable

            listed = await seller.call("/orders/get", {"limit": 5}, http_method="GET")
            order_id = listed.data["orders"][0]["order_id"]
            one = await seller.call("/order/get", {"order_id": order_id})
            assert one.data["order_id"] == order_id
            assert one.request_id

            content = b"any bytes" * 10_000
            uploads = {"a": content, "b": io.BytesIO(content)}
            uploaded = await seller.call("/image/upload", {"title": "é"}, files=uploads)
            digest = hashlib.sha256(content).hexdigest()
            assert [f["sha256"] for f in uploaded.data["files"]] == [digest, digest]
            assert [f["size"] for f in uploaded.data["files"]] == [len(content)] * 2

            successor = await iop.auth.refresh_token(client, refresh_token=token.refresh_token)
            assert successor.access_token != token.access_token
            assert successor.refresh_expires_at <= token.refresh_expires_at + one_second
            await client.as_seller(successor).call("/seller/get")
            with pytest.raises(iop.AuthError, match="IllegalAccessToken"):
                await seller.call("/seller/get")
            with pytest.raises(iop.AuthError, match="IllegalRefreshToken"):
                await iop.auth.refresh_token(client, refresh_token=token.refresh_token)

    from datetime import timedelta

    one_second = timedelta(seconds=1)
    anyio.run(main, backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_many_tasks_share_one_client(app, gateway, sandbox, backend):
    """Two hundred calls at the same time, each answered for itself."""
    tokens = {seller: sandbox.grant(seller)["access_token"] for seller in sandbox.sellers}
    answers = {}

    async def ask(client, seller, number):
        reply = await client.as_seller(tokens[seller]).call("/sandbox/echo", {"n": number})
        answers[number] = reply.data["params"]["n"]

    async def main():
        async with iop.Client(app, gateway) as client, anyio.create_task_group() as tasks:
            for number in range(200):
                tasks.start_soon(ask, client, list(tokens)[number % 3], number)

    anyio.run(main, backend=backend)
    assert answers == {number: str(number) for number in range(200)}


@pytest.mark.parametrize("profile", sorted(PROFILES))
async def test_every_market_s_token_is_read(profile, app):
    """Whatever shape the market gives it; and so is its successor."""
    sandbox = Sandbox(profile=profile, apps=[SandboxApp(app.key, app.secret)])
    with running(sandbox) as url:
        async with iop.Client(app, iop.gateways.Iop(url)) as client:
            token = await iop.auth.create_token(client, code=sandbox.authorize("1001"))
            assert "1001" in {seller.seller_id for seller in token.sellers}
            assert token.refreshable
            assert token.expires_at > token.issued_at
            assert token.refresh_expires_at >= token.expires_at
            following = await iop.auth.refresh_token(client, refresh_token=token.refresh_token)
            assert following.sellers == token.sellers
            await client.as_seller(following).call("/seller/get")
            if "aliexpress" in profile:
                code = sandbox.authorize("1002")
                secure = await iop.auth.create_security_token(client, code=code)
                await iop.auth.refresh_security_token(client, refresh_token=secure.refresh_token)


async def test_a_dotted_name_goes_through_sync(app, gateway, sandbox):
    """Wrapped, and simplified where asked."""
    token = sandbox.grant("1001")["access_token"]
    async with iop.Client(app, gateway) as client:
        seller = client.as_seller(token)
        wrapped = await seller.call("aliexpress.ds.product.get", {"product_id": 1})
        simple = await seller.call("aliexpress.ds.product.get", {"product_id": 1}, simplify=True)
        assert "aliexpress_ds_product_get_response" in wrapped.body
        assert "aliexpress_ds_product_get_response" not in simple.body
        with pytest.raises(iop.PermissionDenied, match="InvalidApi"):
            await seller.call("no.such.api", simplify=True)


async def test_a_code_dies_of_use_of_age_and_of_uuid(app, gateway, sandbox):
    """InvalidCode, with advice, and nothing half done."""
    async with iop.Client(app, gateway) as client:
        used = sandbox.authorize("1001")
        await iop.auth.create_token(client, code=used)
        old = sandbox.authorize("1001")
        sandbox.clock.advance(31 * 60)
        for code in (used, old):
            with pytest.raises(iop.AuthError, match="InvalidCode"):
                await iop.auth.create_token(client, code=code)
        fresh = sandbox.authorize("1001")
        with pytest.warns(UserWarning, match="uuid"), pytest.raises(iop.AuthError):
            await iop.auth.create_token(client, code=fresh, uuid="u")


async def test_thirty_days_pass_without_waiting(app, gateway, sandbox):
    """The access token expires, the refresh token does not move its horizon."""
    async with iop.Client(app, gateway, now=sandbox.clock.now) as client:
        token = await iop.auth.create_token(client, code=sandbox.authorize("1001"))
        sandbox.clock.advance(31 * 86400)
        with pytest.raises(iop.AuthError, match="IllegalAccessToken"):
            await client.as_seller(token).call("/seller/get")
        successor = await iop.auth.refresh_token(client, refresh_token=token.refresh_token)
        assert abs(successor.refresh_expires_at - token.refresh_expires_at).total_seconds() < 5
        assert (successor.expires_at - token.expires_at).days >= 30


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
        ({"kind": "status", "status": 503}, iop.ServiceError, False),
        ({"kind": "ban", "seconds": 9}, iop.Throttled, False),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
async def test_a_refresh_whose_answer_is_lost_says_whether_it_may_have_happened(
    app, gateway, sandbox, fault, error, applied
):
    """The facts that a token manager decides on; and no message shows a token."""
    async with iop.Client(app, gateway) as client:
        token = await iop.auth.create_token(client, code=sandbox.authorize("1001"))
        sandbox.fail(**fault, api="/auth/token/refresh")
        with pytest.raises(error) as caught:
            await iop.auth.refresh_token(client, refresh_token=token.refresh_token)
        assert caught.value.may_have_been_applied == applied
        assert caught.value.retryable
        secrets = {token.access_token, token.refresh_token}
        secrets |= {pair.access_token for pair in sandbox.grants.live()}
        shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        ours = [line for line in shown.format() if "test_end_to_end" not in line]
        assert not any(secret in "".join(ours) for secret in secrets)


async def test_a_ban_says_for_how_long(app, gateway, sandbox):
    """Seconds, from the platform's own words."""
    sandbox.fail("ban", seconds=9, api="/sandbox/echo")
    async with iop.Client(app, gateway, retry=None) as client:
        with pytest.raises(iop.Throttled, match="ApiCallLimit") as caught:
            await client.call("/sandbox/echo")
        assert 8 <= caught.value.retry_after <= 9


async def test_a_slow_answer_ends_at_the_deadline(app, gateway, sandbox):
    """One deadline for all of it."""
    sandbox.fail("latency", seconds=30)
    transport = iop.HttpxTransport(timeouts=iop.Timeouts(total=0.2))
    async with iop.Client(app, gateway, transport=transport) as client:
        with pytest.raises(iop.TransportTimeout) as caught:
            await client.call("/sandbox/echo")
        assert caught.value.may_have_been_applied
    await transport.aclose()


@pytest.mark.parametrize("hours", [-3, 3])
async def test_a_clock_that_is_wrong_is_a_clock_error_where_no_date_tells(
    app, gateway, sandbox, hours
):
    """The gateway tolerates two hours."""
    sandbox.clock.skew = hours * 3600
    sandbox.fail("headers", headers={"date": None}, times=None)
    async with iop.Client(app, gateway) as client:
        with pytest.raises(iop.ClockError):
            await client.call("/sandbox/echo")


async def test_a_wrong_signature_shows_what_the_gateway_signed(app, gateway):
    """Two strings to compare, in the error and nowhere else."""
    signed = []

    class Mistaken:
        sign_method = "sha256"

        def sign(self, secret, path, params):
            signed.append(iop.signers.string_to_sign(path, params))
            return iop.signers.HMAC_SHA256.sign(secret, "", params)

    wrong = attrs.evolve(gateway, signer=Mistaken())
    async with iop.Client(app, wrong) as client:
        with pytest.raises(iop.SignatureError) as caught:
            await client.call("/sandbox/echo", {"title": "é"})
    assert caught.value.string_to_sign == signed[0]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    params=st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1).map("p{}".format), JSON
    ),
    method=st.sampled_from(["GET", "POST"]),
    upload=st.booleans(),
)
def test_whatever_the_client_encodes_the_gateway_verifies(app, params, method, upload):
    """Any Unicode, empty, nested; GET, POST and multipart; in one process, without sockets."""
    assume(not upload or not any(re.search(r'["\\\r\n]|%', name) for name in params))
    gateway = iop.gateways.Iop("http://127.0.0.1")
    inside = create_app(Sandbox(apps=[SandboxApp(app.key, app.secret)]))

    async def main():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(inside)) as http:
            client = iop.Client(app, gateway, transport=iop.HttpxTransport(http))
            files = {"f": b"content"} if upload else None
            reply = await client.call("/sandbox/echo", params, http_method=method, files=files)
            return reply.data["params"]

    echoed = anyio.run(main)
    from iop_async.gateways._forms import text_params

    assert echoed == text_params(params, iop.dates.milliseconds)


async def test_huge_values_are_verified_too(app, gateway):
    """A picture as four megabytes of signed text; GET turns into POST by itself."""
    async with iop.Client(app, gateway) as client:
        reply = await client.call("/sandbox/echo", {"image": "é" * 2_000_000}, http_method="GET")
        assert len(reply.data["params"]["image"]) == 2_000_000


@pytest_asyncio.fixture
async def shared_client(app, gateway):
    """A client in a fixture, which pytest-asyncio may enter and leave in different tasks."""
    async with iop.Client(app, gateway) as client:
        yield client


async def test_a_client_works_in_a_fixture(shared_client):
    """Like any other."""
    assert (await shared_client.call("/sandbox/echo", {"a": 1})).data["params"] == {"a": "1"}


async def test_a_client_works_in_the_lifespan_of_a_web_app(app, gateway):
    """One for all requests; closed with the app."""

    @asynccontextmanager
    async def lifespan(_):
        async with iop.Client(app, gateway) as client:
            yield {"iop": client}

    async def home(request):
        reply = await request.state.iop.call("/sandbox/echo", {"q": request.query_params["q"]})
        return JSONResponse(reply.data["params"])

    web_app = Starlette(routes=[Route("/", home)], lifespan=lifespan)
    async with lifespan(web_app) as state:
        transport = httpx.ASGITransport(partial(_with_state, web_app, state))
        async with httpx.AsyncClient(transport=transport, base_url="http://web.app") as browser:
            answers = [(await browser.get("/", params={"q": n})).json() for n in range(3)]
    assert answers == [{"q": "0"}, {"q": "1"}, {"q": "2"}]


async def _with_state(web_app, state, scope, receive, send):
    await web_app({**scope, "state": dict(state)}, receive, send)


def test_one_program_may_run_two_event_loops_one_after_the_other(app, gateway):
    """A client belongs to the loop it is used in; the next loop gets its own."""

    async def main():
        async with iop.Client(app, gateway) as client:
            return (await client.call("/sandbox/echo", {"a": 1})).data["params"]

    assert anyio.run(main) == anyio.run(main) == anyio.run(main, backend="trio") == {"a": "1"}
