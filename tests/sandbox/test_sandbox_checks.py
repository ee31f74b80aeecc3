"""The gateway refuses in one order, with the platform's codes and words."""

from datetime import UTC, datetime, timedelta
from urllib.parse import unquote, urlencode

import httpx
import pytest
from sandbox_helpers import KEY, SECRET, SandboxCaller, sign, signed

from iop_async.sandbox import Sandbox, SandboxApp, create_app
from iop_async.signers import STRING_TO_SIGN_HEADER

ECHO = "/sandbox/echo"


@pytest.fixture
async def caller():
    async with SandboxCaller(Sandbox()) as caller:
        yield caller


async def code_of(caller, params, api=ECHO):
    answer = (await caller.http.post(f"/rest{api}", data=params)).json()
    assert answer["request_id"]
    return answer["code"]


@pytest.mark.parametrize("name", ["app_key", "timestamp", "sign_method", "sign"])
@pytest.mark.parametrize("blank", [False, True])
async def test_a_missing_system_parameter_is_named(caller, name, blank):
    params = signed(caller.sandbox, ECHO, {})
    if blank:
        params[name] = " "
    else:
        del params[name]
    answer = (await caller.http.post(f"/rest{ECHO}", data=params)).json()
    assert (answer["code"], answer["type"]) == ("MissingParameter", "ISV")
    assert answer["message"] == (
        f"The input parameter “{name}” that is mandatory for processing this request "
        "is not supplied"
    )


async def test_every_check_comes_in_its_turn(caller):
    """Each call is wrong in all that follows too; the first thing wrong is what is answered."""
    caller.sandbox.add_app(SandboxApp(KEY, SECRET, ip_whitelist=("10.1.2.3",)))
    caller.sandbox.fail("ban", seconds=60)
    wrong = {"app_key": "9", "timestamp": "1", "sign_method": "md5", "access_token": "x"}
    assert await code_of(caller, wrong, "/no/api") == "MissingParameter"
    wrong["sign"] = "F" * 32
    assert await code_of(caller, wrong, "/no/api") == "InvalidAppkey"
    wrong["app_key"] = KEY
    assert await code_of(caller, wrong, "/no/api") == "IllegalTimestamp"
    wrong["timestamp"] = str(int(caller.sandbox.clock.wall().timestamp() * 1000))
    assert await code_of(caller, wrong, "/no/api") == "IncompleteSignature"
    right = signed(caller.sandbox, "/no/api", {}, access_token="x")
    assert await code_of(caller, right, "/no/api") == "AppWhiteIpLimit"
    caller.sandbox.add_app(SandboxApp(KEY, SECRET, ip_whitelist=("127.0.0.1",)))
    assert await code_of(caller, right, "/no/api") == "AppCallLimit"
    caller.sandbox.faults.clear()
    assert await code_of(caller, right, "/no/api") == "IllegalAccessToken"
    right = signed(caller.sandbox, "/no/api", {})
    assert await code_of(caller, right, "/no/api") == "InvalidApi"


@pytest.mark.parametrize(("seconds", "code"), [(7199, "0"), (7201, "IllegalTimestamp")])
@pytest.mark.parametrize("sign_of", [1, -1])
async def test_timestamps_are_taken_for_two_hours_both_ways(caller, seconds, code, sign_of):
    caller.sandbox.clock.speed = 0
    caller.sandbox.clock.set(datetime(2026, 1, 1, tzinfo=UTC))
    moment = caller.sandbox.clock.wall() + timedelta(seconds=seconds * sign_of)
    milliseconds = str(int(moment.timestamp() * 1000))
    assert await code_of(caller, signed(caller.sandbox, ECHO, {}, timestamp=milliseconds)) == code
    iso = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert await code_of(caller, signed(caller.sandbox, ECHO, {}, timestamp=iso)) == code


@pytest.mark.parametrize(
    "timestamp", ["1517820392", "now", "2017-11-11 12:00:00", "2017-13-45T12:00:00Z", "٣" * 13]
)
async def test_other_forms_of_time_are_illegal(caller, timestamp):
    params = signed(caller.sandbox, ECHO, {}, timestamp=timestamp)
    assert await code_of(caller, params) == "IllegalTimestamp"


async def test_the_window_follows_the_sandbox_clock(caller):
    real = str(int(datetime.now(UTC).timestamp() * 1000))
    caller.sandbox.clock.skew = -3 * 3600
    params = signed(caller.sandbox, ECHO, {}, timestamp=real)
    assert await code_of(caller, params) == "IllegalTimestamp"
    assert await code_of(caller, signed(caller.sandbox, ECHO, {})) == "0"


async def test_legacy_hmac_md5_is_still_accepted(caller):
    params = signed(caller.sandbox, ECHO, {}, sign_method="hmac")
    params["sign"] = sign(
        {name: value for name, value in params.items() if name != "sign"}, ECHO, algorithm="md5"
    )
    assert await code_of(caller, params) == "0"


@pytest.mark.parametrize("sign_method", ["md5", "hmac-sha256", "SHA256"])
async def test_other_sign_methods_are_not(caller, sign_method):
    params = signed(caller.sandbox, ECHO, {}, sign_method=sign_method)
    assert await code_of(caller, params) == "IncompleteSignature"


@pytest.mark.parametrize(
    "prefix", ["", "/sandbox/echo/", "sandbox/echo", "/rest/sandbox/echo", "/SANDBOX/ECHO"]
)
async def test_the_signed_path_matches_to_the_slash(caller, prefix):
    assert await code_of(caller, signed(caller.sandbox, prefix, {})) == "IncompleteSignature"


async def test_a_trailing_slash_belongs_to_what_is_signed(caller):
    params = signed(caller.sandbox, f"{ECHO}/", {})
    assert await code_of(caller, params, f"{ECHO}/") == "InvalidApi"


async def test_a_lower_case_signature_is_wrong(caller):
    params = signed(caller.sandbox, ECHO, {})
    params["sign"] = params["sign"].lower()
    assert await code_of(caller, params) == "IncompleteSignature"


@pytest.mark.parametrize("prefix", ["", "/auth/token/create"])
async def test_a_system_api_through_sync_never_has_a_right_signature(caller, prefix):
    params = signed(caller.sandbox, prefix, {"method": "/auth/token/create", "code": "0_x"})
    answer = (await caller.http.post("/sync", data=params)).json()
    assert answer["error_response"]["code"] == "IncompleteSignature"


@pytest.mark.parametrize("url", ["/rest", "/rest/", "/sync"])
async def test_a_call_that_names_no_api_lacks_a_method(caller, url):
    answer = (await caller.http.post(url, data=signed(caller.sandbox, "", {}))).json()
    error = answer.get("error_response", answer)
    assert error["code"] == "MissingParameter"
    assert "“method”" in error.get("message", error.get("msg"))


async def test_a_wrong_signature_shows_what_was_signed(caller):
    params = signed(caller.sandbox, ECHO, {"title": "茶 & tea"}) | {"sign": "0" * 64}
    response = await caller.http.post(f"/rest{ECHO}", data=params)
    shown = unquote(response.headers[STRING_TO_SIGN_HEADER])
    del params["sign"]
    assert shown == ECHO + "".join(name + params[name] for name in sorted(params))
    assert SECRET not in shown


@pytest.mark.parametrize("text", ["x" * 4_000_000, "茶" * 100_000, "€" * 900, "🫖" * 8_000])
async def test_of_a_long_string_to_sign_the_beginning_is_shown(caller, text):
    params = signed(caller.sandbox, ECHO, {"a": text}) | {"sign": "0" * 64}
    response = await caller.http.post(f"/rest{ECHO}", data=params)
    header = response.headers[STRING_TO_SIGN_HEADER]
    assert len(header) < 8_200
    shown = unquote(header, errors="strict")
    del params["sign"]
    whole = ECHO + "".join(name + params[name] for name in sorted(params))
    shown, _, length = shown.partition("...[")
    assert length == f"{len(whole)} characters in all]"
    assert len(shown) > 600
    assert whole.startswith(shown)


async def test_only_wrong_signatures_show_it(caller):
    right = await caller.post(ECHO)
    unknown = await caller.post("/no/api")
    assert STRING_TO_SIGN_HEADER not in {*right.headers, *unknown.headers}


async def test_a_query_beyond_eight_kilobytes_is_414_and_html(caller):
    params = signed(caller.sandbox, ECHO, {"a": "x" * 9000})
    response = await caller.http.get(f"/rest{ECHO}?{urlencode(params)}")
    assert response.status_code == 414
    assert "Request-URI Too Large" in response.text
    fits = signed(caller.sandbox, ECHO, {"a": "x" * 7000})
    assert (await caller.http.get(f"/rest{ECHO}?{urlencode(fits)}")).status_code == 200


async def test_other_http_methods_are_405(caller):
    assert (await caller.http.put(f"/rest{ECHO}")).status_code == 405


async def test_the_ip_whitelist_is_per_app(caller):
    caller.sandbox.add_app(SandboxApp(KEY, SECRET, ip_whitelist=("10.0.0.1",)))
    assert (await caller.call(ECHO))["code"] == "AppWhiteIpLimit"
    transport = httpx.ASGITransport(create_app(caller.sandbox), client=("10.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as http:
        response = await http.post(f"/rest{ECHO}", data=signed(caller.sandbox, ECHO, {}))
    assert response.json()["code"] == "0"


class TestTokens:
    @pytest.mark.parametrize("name", ["access_token", "session"])
    async def test_a_token_goes_by_either_name(self, caller, name):
        token = caller.sandbox.grant("1001")["access_token"]
        assert (await caller.call("/seller/get", **{name: token}))["code"] == "0"

    async def test_an_api_of_a_seller_needs_one(self, caller):
        answer = await caller.call("/seller/get")
        assert answer["code"] == "IllegalAccessToken"
        assert answer["message"] == "The specified access token is invalid or expired"

    async def test_a_wrong_one_is_refused_even_where_none_is_needed(self, caller):
        assert (await caller.call(ECHO, access_token="x"))["code"] == "IllegalAccessToken"

    async def test_it_works_up_to_its_last_second(self, caller):
        token = caller.sandbox.grant("1001")
        caller.sandbox.clock.speed = 0
        caller.sandbox.clock.set(caller.sandbox.grants.live()[0].access_until)
        caller.sandbox.clock.advance(-1)
        right = await caller.call("/seller/get", access_token=token["access_token"])
        caller.sandbox.clock.advance(1)
        late = await caller.call("/seller/get", access_token=token["access_token"])
        assert (right["code"], late["code"]) == ("0", "IllegalAccessToken")

    async def test_it_belongs_to_one_app(self, caller):
        caller.sandbox.add_app(SandboxApp("654321", "other"))
        token = caller.sandbox.grant("1001", app="654321")["access_token"]
        assert (await caller.call("/seller/get", access_token=token))["code"] == (
            "IllegalAccessToken"
        )
