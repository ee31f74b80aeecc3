"""TOP refuses in one order, with its integer codes and its words."""

from datetime import UTC, datetime
from urllib.parse import unquote

import httpx
import pytest
from sandbox_helpers import KEY, SECRET
from top_helpers import ECHO, REFRESH, TopCaller, china, sign, signed, text_of

from iop_async.sandbox import Sandbox, SandboxApp, create_app
from iop_async.signers import STRING_TO_SIGN_HEADER

USER = "taobao.user.seller.get"


@pytest.fixture
async def caller():
    async with TopCaller(Sandbox(profile="taobao")) as caller:
        caller.sandbox.clock.speed = 0
        caller.sandbox.clock.set(datetime(2026, 1, 1, 23, 59, tzinfo=UTC))
        yield caller


async def error_of(caller, params):
    answer = (await caller.http.post("/router/rest", data=params)).json()
    assert answer.keys() == {"error_response"}
    error = answer["error_response"]
    assert error.pop("request_id")
    assert type(error["code"]) is int
    return error


@pytest.mark.parametrize(
    ("name", "code", "msg"),
    [
        ("method", 21, "Missing method"),
        ("sign", 24, "Missing signature"),
        ("app_key", 28, "Missing app key"),
        ("timestamp", 30, "Missing timestamp"),
        ("v", 32, "Missing version"),
    ],
)
@pytest.mark.parametrize("blank", [False, True])
async def test_a_missing_system_parameter_has_its_code(caller, name, code, msg, blank):
    params = signed(caller.sandbox, {"method": ECHO, "format": "json"})
    if blank:
        params[name] = " "
    else:
        del params[name]
    error = await error_of(caller, params)
    assert (error["code"], error["msg"]) == (code, msg)


async def test_every_check_comes_in_its_turn(caller):
    """Each call is wrong in all that follows too; the first thing wrong is what is answered."""
    caller.sandbox.add_app(SandboxApp(KEY, SECRET, ip_whitelist=("10.1.2.3",)))
    caller.sandbox.fail("ban", seconds=60)
    codes, params = [], {"format": "json "}
    for change in (
        {},
        {"method": "taobao.no.such"},
        {"method": USER},
        {"format": "json"},
        {"sign": "F" * 32},
        {"app_key": "9"},
        {"app_key": KEY},
        {"timestamp": "1"},
        {"timestamp": china(caller.sandbox)},
        {"v": "two"},
        {"v": "1.0"},
        {"v": "2.0"},
    ):
        params |= change
        response = await caller.http.post("/router/rest", data=params)
        text = response.text
        codes.append(int(text.partition("code>" if "<" in text else '"code":')[2][:2]))
    assert codes == [21, 22, 23, 24, 28, 29, 30, 31, 32, 33, 34, 25]
    assert (await caller.top(USER))["code"] == 11
    caller.sandbox.add_app(SandboxApp(KEY, SECRET, ip_whitelist=("127.0.0.1",)))
    assert (await caller.top(USER))["code"] == 7
    caller.sandbox.faults.clear()
    assert (await caller.top(USER))["code"] == 26
    assert (await caller.top(USER, session="x"))["code"] == 27
    token = caller.sandbox.grant("1001")["access_token"]
    assert (await caller.top(USER, session=token))["code"] == 40


@pytest.mark.parametrize("sign_method", ["md5", "hmac", "hmac-sha256"])
async def test_three_ways_to_sign(caller, sign_method):
    assert (await caller.top(ECHO, {"a": "茶"}, sign_method=sign_method))["params"] == {"a": "茶"}


async def test_md5_is_meant_where_no_way_is_named(caller):
    assert "params" in await caller.top(ECHO, sign_method=None)


@pytest.mark.parametrize("sign_method", ["MD5", "sha256", "", "hmac-md5"])
async def test_other_ways_are_not_known(caller, sign_method):
    form = signed(caller.sandbox, {"method": ECHO}, sign_method="md5") | {
        "sign_method": sign_method
    }
    assert (await error_of(caller, form))["code"] == 25


@pytest.mark.parametrize(
    "wrap", [lambda text: f"{SECRET}{text}{SECRET}", lambda text: f"/router/rest{text}"]
)
@pytest.mark.parametrize("sign_method", ["hmac", "hmac-sha256"])
async def test_an_hmac_is_not_wrapped_and_has_no_path(caller, sign_method, wrap):
    form = signed(caller.sandbox, {"method": ECHO}, sign_method=sign_method)
    del form["sign"]
    form["sign"] = sign(wrap(text_of(form)), sign_method)
    assert (await error_of(caller, form))["code"] == 25


async def test_a_lower_case_signature_is_wrong(caller):
    form = signed(caller.sandbox, {"method": ECHO})
    assert (await error_of(caller, form | {"sign": form["sign"].lower()}))["code"] == 25


@pytest.mark.parametrize("name", ["session", "added", "format", "partner_id"])
async def test_what_is_added_or_changed_after_signing_makes_it_wrong(caller, name):
    form = signed(caller.sandbox, {"method": ECHO}) | {name: "xml"}
    form["format"] = "json" if name != "format" else "xml"
    response = await caller.http.post("/router/rest", data=form)
    assert "25" in response.text
    assert "Invalid signature" in response.text


@pytest.mark.parametrize("format_", ["json", "xml"])
async def test_a_wrong_signature_shows_what_was_signed(caller, format_):
    form = signed(caller.sandbox, {"method": ECHO, "title": "茶 & tea"}, format=format_)
    response = await caller.http.post("/router/rest", data=form | {"sign": "0" * 32})
    del form["sign"]
    assert unquote(response.headers[STRING_TO_SIGN_HEADER]) == text_of(form)
    assert SECRET not in response.headers[STRING_TO_SIGN_HEADER]
    assert STRING_TO_SIGN_HEADER not in (await caller.ask(USER)).headers


@pytest.mark.parametrize(("seconds", "code"), [(600, None), (601, 31), (-600, None), (-601, 31)])
async def test_timestamps_are_taken_for_ten_minutes_both_ways(caller, seconds, code):
    answer = await caller.top(ECHO, timestamp=china(caller.sandbox, seconds))
    assert answer.get("code") == code
    moment = caller.sandbox.clock.wall().timestamp() + seconds
    answer = await caller.top(ECHO, timestamp=str(int(moment * 1000)))
    assert answer.get("code") == code


@pytest.mark.parametrize(
    "timestamp",
    [
        "now",
        "1517820392",
        "2026-01-01T23:59:00Z",
        "2026-13-45 12:00:00",
        "2026-01-01 23:59:00",
        "٣" * 13,
    ],
)
async def test_other_forms_of_time_and_other_zones_are_invalid(caller, timestamp):
    """The last but one is the right moment, in UTC."""
    assert (await caller.top(ECHO, timestamp=timestamp))["code"] == 31


async def test_the_window_follows_the_sandbox_clock(caller):
    right = china(caller.sandbox)
    caller.sandbox.clock.skew = -3600
    assert (await caller.top(ECHO, timestamp=right))["code"] == 31
    assert "params" in await caller.top(ECHO)


async def test_the_ip_whitelist_names_the_address(caller):
    caller.sandbox.add_app(SandboxApp(KEY, SECRET, ip_whitelist=("10.0.0.1",)))
    error = await caller.top(ECHO)
    assert error["sub_code"] == "isv.permission-ip-whitelist-limit"
    assert "127.0.0.1" in error["sub_msg"]
    transport = httpx.ASGITransport(create_app(caller.sandbox), client=("10.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as http:
        form = signed(caller.sandbox, {"method": "taobao.appip.get"})
        answer = (await http.post("/router/rest", data=form)).json()
    assert answer["appip_get_response"]["ip"] == "10.0.0.1"


class TestSessions:
    async def test_one_is_needed_where_the_api_needs_it(self, caller):
        error = await caller.top(USER, {"fields": "nick"})
        assert (error["code"], error["msg"]) == (26, "Missing session")
        assert "sub_code" not in error

    async def test_the_sub_code_says_why_one_is_not_good(self, caller):
        token = caller.sandbox.grant("1001")
        retired = caller.sandbox.grant("1002")["access_token"]
        caller.sandbox.grant("1002")
        caller.sandbox.add_app(SandboxApp("654321", "other"))
        others = caller.sandbox.grant("1003", app="654321")["access_token"]
        answers = [
            await caller.top(USER, {"fields": "nick"}, session=session)
            for session in ("x", others, retired)
        ]
        caller.sandbox.clock.advance(token["expires_in"])
        answers.append(await caller.top(USER, {"fields": "nick"}, session=token["access_token"]))
        assert [(a["code"], a["msg"], a["sub_code"]) for a in answers] == [
            (27, "Invalid session", "invalid-sessionkey"),
            (27, "Invalid session", "invalid-sessionkey"),
            (27, "Invalid session", "session-not-exist"),
            (27, "Invalid session", "session-expired"),
        ]

    async def test_a_wrong_one_is_refused_even_where_none_is_needed(self, caller):
        assert (await caller.top(ECHO, session="x"))["code"] == 27

    async def test_the_token_apis_do_not_look_at_it(self, caller):
        refresh_token = caller.sandbox.grant("1001")["refresh_token"]
        answer = await caller.top(REFRESH, {"refresh_token": refresh_token}, session="x")
        assert "token_result" in answer

    async def test_it_goes_by_no_other_name(self, caller):
        token = caller.sandbox.grant("1001")["access_token"]
        assert (await caller.top(USER, {"access_token": token}))["code"] == 26
