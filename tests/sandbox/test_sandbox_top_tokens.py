"""TOP's token APIs trade on the same grants and write into the same ledger as IOP's."""

import json
from datetime import UTC, datetime
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from sandbox_helpers import KEY, SECRET
from top_helpers import CREATE, REFRESH, TopCaller

from iop_async.sandbox import Sandbox, SandboxApp, digest

USER = "taobao.user.seller.get"
SEC_TOKEN = "taobao.top.sec.token.get"
DAY = 86400


@pytest.fixture
async def caller():
    async with TopCaller(Sandbox(profile="taobao")) as caller:
        caller.sandbox.clock.speed = 0
        caller.sandbox.clock.set(datetime(2026, 1, 1, tzinfo=UTC))
        yield caller


async def create(caller, seller="1001"):
    return await trade(caller, CREATE, code=caller.sandbox.authorize(seller))


async def trade(caller, api, **params):
    answer = await caller.top(api, params)
    assert "token_result" in answer, answer
    assert type(answer["token_result"]) is str
    return json.loads(answer["token_result"])


async def test_a_code_buys_a_token_in_the_fields_of_top(caller):
    token = await create(caller)
    now = 1767225600000
    assert token.pop("access_token") != token.pop("refresh_token")
    assert token.pop("taobao_open_uid").startswith("AAE")
    assert unquote(token.pop("taobao_user_nick")) == caller.sandbox.sellers["1001"].account
    assert token == {
        "token_type": "Bearer",
        "expires_in": 90 * DAY,
        "expire_time": now + 90 * DAY * 1000,
        "re_expires_in": 365 * DAY,
        "refresh_token_valid_time": now + 365 * DAY * 1000,
        "taobao_user_id": "1001",
        "r1_expires_in": 90 * DAY,
        "r1_valid": now + 90 * DAY * 1000,
        "w1_expires_in": 90 * DAY,
        "w1_valid": now + 90 * DAY * 1000,
        "r2_expires_in": 1800,
        "r2_valid": now + 1800_000,
        "w2_expires_in": 1800,
        "w2_valid": now + 1800_000,
    }


async def test_the_nick_is_url_encoded(caller):
    assert "%40" in (await create(caller))["taobao_user_nick"]


async def test_the_token_opens_business_apis_and_a_refresh_kills_the_old_pair_at_once(caller):
    first = await create(caller)
    assert "user" in await caller.top(USER, {"fields": "nick"}, session=first["access_token"])
    second = await trade(caller, REFRESH, refresh_token=first["refresh_token"])
    again = await caller.top(REFRESH, {"refresh_token": first["refresh_token"]})
    assert (again["code"], again["sub_msg"]) == (27, "refresh token is invalid or expired")
    old = await caller.top(USER, {"fields": "nick"}, session=first["access_token"])
    assert old["sub_code"] == "session-not-exist"
    assert "user" in await caller.top(USER, {"fields": "nick"}, session=second["access_token"])


async def test_the_horizon_counts_down_and_a_refresh_does_not_move_it(caller):
    token = await create(caller)
    caller.sandbox.clock.advance(80 * DAY)
    later = await trade(caller, REFRESH, refresh_token=token["refresh_token"])
    assert (later["expires_in"], later["re_expires_in"]) == (90 * DAY, 285 * DAY)
    assert later["refresh_token_valid_time"] == token["refresh_token_valid_time"]
    caller.sandbox.clock.advance(285 * DAY)
    late = await caller.top(REFRESH, {"refresh_token": later["refresh_token"]})
    assert late["code"] == 27


async def test_zero_says_that_an_app_cannot_refresh(caller):
    caller.sandbox.add_app(SandboxApp(KEY, SECRET, refreshable=False))
    token = await create(caller)
    assert token["re_expires_in"] == 0
    assert (await caller.top(REFRESH, {"refresh_token": token["refresh_token"]}))["code"] == 27


async def test_a_market_only_app_is_refused_too(caller):
    token = await create(caller)
    caller.sandbox.add_app(SandboxApp(KEY, SECRET, market_only=True))
    error = await caller.top(REFRESH, {"refresh_token": token["refresh_token"]})
    assert (error["code"], error["sub_msg"]) == (27, "this app's sessions cannot be refreshed")


async def test_a_code_works_once_for_half_an_hour_and_with_any_uuid(caller):
    code = caller.sandbox.authorize("1001")
    await trade(caller, CREATE, code=code, uuid="abc")
    assert (await caller.top(CREATE, {"code": code}))["sub_msg"] == "authorize code expire"
    late = caller.sandbox.authorize("1001")
    caller.sandbox.clock.advance(1800)
    assert (await caller.top(CREATE, {"code": late}))["code"] == 27


@pytest.mark.parametrize(("api", "name"), [(CREATE, "code"), (REFRESH, "refresh_token")])
async def test_what_is_traded_in_must_be_there(caller, api, name):
    error = await caller.top(api, {name: " "})
    assert (error["code"], error["msg"]) == (40, f"Missing required arguments:{name}")
    assert error["sub_code"] == "isv.missing-parameter"


async def test_the_ledger_knows_every_refresh(caller):
    first = await create(caller)
    await trade(caller, REFRESH, refresh_token=first["refresh_token"])
    await caller.top(REFRESH, {"refresh_token": first["refresh_token"]})
    await caller.top(REFRESH, {"refresh_token": "never issued"})
    entries = caller.sandbox.ledger.refreshes
    assert [(e.seller, e.generation, e.accepted, e.code) for e in entries] == [
        ("1001", 1, True, "0"),
        ("1001", 1, False, "27"),
        (None, None, False, "27"),
    ]
    assert len(caller.sandbox.ledger.presented(digest(first["refresh_token"]))) == 2
    assert caller.sandbox.ledger.calls[REFRESH, "27"] == 2


async def test_a_pair_belongs_to_both_dialects(caller):
    """One seller, one authorization, whatever the endpoint."""
    iop = await caller.token("1001")
    assert "user" in await caller.top(USER, {"fields": "nick"}, session=iop["access_token"])
    top = await trade(caller, REFRESH, refresh_token=iop["refresh_token"])
    assert (await caller.call("/seller/get", access_token=top["access_token"]))["code"] == "0"
    assert (await caller.refresh(iop["refresh_token"]))["code"] == "IllegalRefreshToken"


@pytest.mark.parametrize("page", ["/authorize", "/oauth/authorize"])
async def test_a_seller_authorizes_at_either_address(caller, page):
    back = "http://app.example/callback"
    asked = {"client_id": KEY, "response_type": "code", "redirect_uri": back, "state": "s"}
    shown = await caller.http.get(page, params=asked)
    assert "Authorize" in shown.text
    form = {**asked, "seller_id": "1002", "decision": "approve"}
    response = await caller.http.post(page, data=form)
    sent = dict(parse_qsl(urlsplit(response.headers["location"]).query))
    assert sent["state"] == "s"
    assert (await trade(caller, CREATE, code=sent["code"]))["taobao_user_id"] == "1002"


@pytest.mark.parametrize("stage", ["online", "test"])
async def test_lifetimes_are_those_of_the_profile(stage):
    async with TopCaller(Sandbox(profile="taobao", stage=stage)) as caller:
        token = await create(caller)
    expected = {"online": (90 * DAY, 365 * DAY), "test": (DAY, 30 * DAY)}[stage]
    assert (token["expires_in"], token["re_expires_in"]) == expected


class TestSecToken:
    @pytest.mark.parametrize("name", ["oeid", "ieid", "open_id"])
    async def test_any_id_brings_a_token_without_a_session(self, caller, name):
        answer = await caller.top(SEC_TOKEN, {name: "123"})
        assert answer["result_code"] == "200"
        assert answer["token"].startswith("sec-")
        assert answer["token"] == (await caller.top(SEC_TOKEN, {name: "123"}))["token"]
        assert answer["token"] != (await caller.top(SEC_TOKEN, {name: "124"}))["token"]

    @pytest.mark.parametrize("format_", ["json", "xml"])
    async def test_without_one_it_is_the_documented_sample(self, caller, format_):
        response = await caller.ask(SEC_TOKEN, {"oeid": " "}, format=format_)
        if format_ == "json":
            answer = response.json()["top_sec_token_get_response"]
            del answer["request_id"]
            assert answer == {
                "result_code": "200",
                "token": "token",
                "result_msg": "token参数有误",
            }
        else:
            assert "<token>token</token><result_msg>token参数有误</result_msg>" in response.text
