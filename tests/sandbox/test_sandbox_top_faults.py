"""Faults strike TOP calls as they strike others, and speak TOP's language."""

import json
from xml.etree import ElementTree as ET

import pytest
from sandbox_helpers import KEY
from top_helpers import ECHO, REFRESH, TopCaller

from iop_async.gateways._xml import read_xml
from iop_async.sandbox import Sandbox

USER = "taobao.user.seller.get"


@pytest.fixture
async def caller():
    async with TopCaller(Sandbox(profile="taobao")) as caller:
        caller.sandbox.clock.speed = 0
        yield caller


class TestBans:
    @pytest.mark.parametrize(
        ("whose", "code", "sub_code"),
        [
            ({}, 7, "accesscontrol.limited-by-app-access-count"),
            ({"app": KEY}, 7, "accesscontrol.limited-by-app-access-count"),
            ({"api": USER}, 7, "accesscontrol.limited-by-api-access-count"),
            ({"api": USER, "app": KEY}, 7, "accesscontrol.limited-by-app-api-access-count"),
            ({"seller_id": "1001"}, 5, None),
            ({"code": "8"}, 8, None),
            ({"code": "isp.call-limited"}, 7, "isp.call-limited"),
        ],
    )
    @pytest.mark.parametrize("format_", ["json", "xml"])
    async def test_code_and_sub_code_say_whose_limit_it_is_and_the_text_how_long(
        self, caller, whose, code, sub_code, format_
    ):
        token = caller.sandbox.grant("1001")["access_token"]
        caller.sandbox.fail("ban", seconds=10, **whose)
        caller.sandbox.clock.advance(2.5)
        params = {"fields": "nick"}
        response = await caller.ask(USER, params, session=token, format=format_)
        if format_ == "json":
            error = response.json()["error_response"]
        else:
            error = {child.tag: child.text for child in ET.fromstring(response.text)}
        assert str(error["code"]) == str(code)
        assert error.get("sub_code") == sub_code
        assert error["sub_msg"] == "This ban will last for 8 more seconds"
        caller.sandbox.clock.advance(7.5)
        assert "user" in await caller.top(USER, params, session=token)

    async def test_a_limit_bans_for_the_rest_of_its_window(self, caller):
        caller.sandbox.fail("limit", calls=3, seconds=10, api=ECHO, app=KEY)
        codes = [(await caller.top(ECHO)).get("code") for _ in range(5)]
        assert codes == [None, None, None, 7, 7]
        caller.sandbox.clock.advance(4)
        assert "for 6 more seconds" in (await caller.top(ECHO))["sub_msg"]

    async def test_a_banned_refresh_spends_no_token(self, caller):
        token = caller.sandbox.grant("1001")["refresh_token"]
        caller.sandbox.fail("ban", seconds=5, api=REFRESH)
        assert (await caller.top(REFRESH, {"refresh_token": token}))["code"] == 7
        caller.sandbox.clock.advance(5)
        assert "token_result" in await caller.top(REFRESH, {"refresh_token": token})


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"code": "10"}, (10, "Service currently unavailable", None, None)),
        (
            {"code": "50", "sub_code": "isv.invalid-parameter", "sub_message": "参数异常"},
            (50, "Remote service error", "isv.invalid-parameter", "参数异常"),
        ),
        (
            {"code": "isp.service-error"},
            (15, "Remote service error", "isp.service-error", None),
        ),
        (
            {"code": "ServiceTimeout"},
            (15, "Remote service error", "isp.top-remote-connection-timeout", None),
        ),
        (
            {"code": "530", "message": "Its own", "sub_code": "isv.x:GENERIC_FAILURE"},
            (530, "Its own", "isv.x:GENERIC_FAILURE", None),
        ),
        ({"code": "53"}, (53, "Insufficient session security level", None, None)),
    ],
)
async def test_an_error_is_a_code_a_sub_code_or_a_reason(caller, fault, said):
    caller.sandbox.fail("error", **fault)
    error = await caller.top(ECHO)
    assert tuple(error.get(name) for name in ("code", "msg", "sub_code", "sub_msg")) == said
    assert "params" in await caller.top(ECHO)


async def test_sub_codes_come_with_aliexpress_too(caller):
    caller.sandbox.fail("error", code="15", sub_code="isv.x", sub_message="why")
    error = (await caller.sync("sandbox.echo"))["error_response"]
    assert (error["code"], error["sub_code"], error["sub_msg"]) == ("15", "isv.x", "why")


@pytest.mark.parametrize("format_", ["json", "xml"])
async def test_raw_control_characters_are_all_that_is_wrong(caller, format_):
    caller.sandbox.fail("control_characters")
    content = (await caller.ask(ECHO, {"a": "1"}, format=format_)).content
    assert b"raw\tcontrol" in content
    if format_ == "json":
        with pytest.raises(json.JSONDecodeError):
            json.loads(content)
        answer = json.loads(content, strict=False)["sandbox_echo_response"]
    else:
        _, answer = read_xml(content)
    assert answer["params"] == {"a": "1"}
    assert answer["remark"] == "raw\tcontrol\r\ncharacters"


@pytest.mark.parametrize("options", [{}, {"format": "xml"}, {"simplify": "true"}], ids=str)
async def test_members_can_be_replaced_and_left_out_in_every_format(caller, options):
    caller.sandbox.fail("patch", fields={"sizes": [1, 2]}, remove=["params"])
    response = await caller.ask(ECHO, {"a": "1"}, **options)
    if "format" in options:
        _, answer = read_xml(response.content)
        assert answer["sizes"] == {"number": ["1", "2"]}
    else:
        answer = response.json()
        answer = answer.get("sandbox_echo_response", answer)
        assert answer["sizes"] == ([1, 2] if "simplify" in options else {"number": [1, 2]})
    assert "params" not in answer


@pytest.mark.parametrize("kind", ["patch", "control_characters"])
async def test_they_can_be_changed_before_any_work_is_done(caller, kind):
    token = caller.sandbox.grant("1001")["refresh_token"]
    caller.sandbox.fail(kind, api=REFRESH, after=False, fields={"token_result": "{}"})
    content = (await caller.ask(REFRESH, {"refresh_token": token})).content
    answer = json.loads(content, strict=False)["top_auth_token_refresh_response"]
    assert answer.get("token_result") == ("{}" if kind == "patch" else None)
    assert caller.sandbox.grants.live_pair(KEY, "1001").generation == 1
    assert caller.sandbox.ledger.calls[REFRESH, f"fault:{kind}"] == 1


async def test_members_of_an_error_too(caller):
    caller.sandbox.fail("patch", remove=["msg"])
    assert "msg" not in await caller.top("taobao.no.such")


@pytest.mark.parametrize("kind", ["truncate", "empty", "html", "status"])
@pytest.mark.parametrize("format_", ["json", "xml"])
async def test_broken_answers_break_either_format(caller, kind, format_):
    caller.sandbox.fail(kind)
    whole = (await caller.ask(ECHO, format=format_)).content
    again = (await caller.ask(ECHO, format=format_)).content
    assert whole != again
    assert b"sandbox_echo_response" in again


async def test_a_fault_knows_a_seller_by_the_session_of_a_retired_pair(caller):
    old = caller.sandbox.grant("1001")["access_token"]
    caller.sandbox.grant("1001")
    caller.sandbox.fail("error", code="10", seller_id="1001")
    assert (await caller.top(USER, session=old))["code"] == 10


async def test_the_panel_takes_and_shows_sub_codes(caller):
    fault = {"kind": "error", "code": "50", "sub_code": "isv.x", "sub_message": "why"}
    shown = (await caller.http.post("/_sandbox/faults", json=fault)).json()
    assert (shown["sub_code"], shown["sub_message"]) == ("isv.x", "why")
    assert (await caller.top(ECHO))["sub_code"] == "isv.x"
    assert 'name="sub_code"' in (await caller.http.get("/_sandbox/")).text


async def test_a_refusal_may_stand_inside_a_token_result(caller):
    """As production answers at times: called a success, and no token in it."""
    pair = caller.sandbox.grant("1001")
    refusal = json.dumps({"error": "27", "error_description": "refresh token is expired"})
    caller.sandbox.fail("patch", api=REFRESH, after=False, fields={"token_result": refusal})
    fields = await caller.top(REFRESH, {"refresh_token": pair["refresh_token"]})
    assert json.loads(fields["token_result"])["error"] == "27"
    again = await caller.top(REFRESH, {"refresh_token": pair["refresh_token"]})
    assert json.loads(again["token_result"])["access_token"]


async def test_a_fault_of_a_time_spoils_a_batch_as_a_whole(caller):
    caller.sandbox.clock.speed = 0
    caller.sandbox.fail("status", status=502, for_seconds=10, api=ECHO)
    statuses = []
    for _ in range(3):
        statuses.append((await caller.batch({"method": ECHO}, {"method": ECHO})).status_code)
        caller.sandbox.clock.advance(5)
    assert statuses == [502, 502, 200]
