"""Batches: one signature, many calls, answers in their order."""

import json
from urllib.parse import unquote, urlencode

import anyio
import pytest
from sandbox_helpers import KEY, SECRET
from top_helpers import ECHO, SEPARATOR, TopCaller, sign, signed, text_of

from iop_async.gateways._xml import read_xml
from iop_async.sandbox import Sandbox, SandboxApp
from iop_async.sandbox._top.batch import MAX_CALLS
from iop_async.signers import STRING_TO_SIGN_HEADER

USER = "taobao.user.seller.get"
PUBLIC = b"#PUBLIC#method=taobao.sandbox.echo&same=1"


@pytest.fixture
async def caller():
    async with TopCaller(Sandbox(profile="taobao")) as caller:
        caller.sandbox.clock.speed = 0
        yield caller


def parts(response):
    assert response.status_code == 200
    return [json.loads(part) for part in response.content.split(SEPARATOR)]


def echoed(response):
    return [part["sandbox_echo_response"]["params"] for part in parts(response)]


async def test_answers_come_in_the_order_of_the_calls(caller):
    response = await caller.batch(*({"method": ECHO, "n": str(n)} for n in range(30)))
    assert response.headers["content-type"] == "text/plain;charset=UTF-8"
    assert echoed(response) == [{"n": str(n)} for n in range(30)]


async def test_what_is_public_belongs_to_every_call_and_each_may_say_otherwise(caller):
    response = await caller.batch(PUBLIC, {"n": "1"}, b"N", {"same": "2", "t": "茶 &=#PUBLIC#"})
    assert echoed(response) == [
        {"same": "1", "n": "1"},
        {"same": "1"},
        {"same": "2", "t": "茶 &=#PUBLIC#"},
    ]


@pytest.mark.parametrize("sign_method", ["md5", "hmac", "hmac-sha256"])
async def test_query_and_body_are_signed_together(caller, sign_method):
    assert echoed(await caller.batch({"method": ECHO}, sign_method=sign_method)) == [{}]


async def test_a_changed_body_is_refused_once_and_shows_what_was_signed(caller):
    query = signed(caller.sandbox, {}, body="method=x")
    url, body = f"/router/batch?{urlencode(query)}", "method=x" + SEPARATOR.decode() + "N"
    response = await caller.http.post(url, content=body, headers={"content-type": "text/plain"})
    (answer,) = parts(response)
    assert answer["error_response"]["code"] == 25
    del query["sign"]
    assert unquote(response.headers[STRING_TO_SIGN_HEADER]) == text_of(query, body)


async def test_several_sessions_and_methods_may_be_mixed(caller):
    tokens = {seller: caller.sandbox.grant(seller)["access_token"] for seller in ("1001", "1002")}
    calls = [
        {"method": USER, "fields": "nick", "session": tokens["1001"]},
        {"method": "taobao.time.get"},
        {"method": USER, "fields": "nick", "session": tokens["1002"]},
    ]
    first, time, second = parts(await caller.batch(*calls))
    nicks = [part["user_seller_get_response"]["user"]["nick"] for part in (first, second)]
    assert nicks == [caller.sandbox.sellers[seller].account for seller in tokens]
    assert time.keys() == {"time_get_response"}
    own = [{"method": USER, "fields": "nick"}, calls[2]]
    answers = parts(await caller.batch(*own, session=tokens["1001"]))
    assert [a["user_seller_get_response"]["user"]["nick"] for a in answers] == nicks


async def test_a_failing_call_fails_alone(caller):
    calls = [
        {"method": ECHO, "n": "1"},
        {"method": USER},
        {"method": "taobao.no.such"},
        {"a": "no method"},
        {"method": USER, "session": "x"},
        {"method": ECHO, "n": "2"},
    ]
    answers = parts(await caller.batch(*calls))
    codes = [a["error_response"]["code"] if "error_response" in a else 0 for a in answers]
    assert codes == [0, 26, 22, 21, 27, 0]
    assert caller.sandbox.ledger.calls[ECHO, "0"] == 2
    assert caller.sandbox.ledger.calls[USER, "26"] == 1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"sign": None}, 24),
        ({"sign": "F" * 32}, 25),
        ({"app_key": "9"}, 29),
        ({"timestamp": "2020-01-01 00:00:00"}, 31),
        ({"v": "1.0"}, 34),
        ({"format": "yaml"}, 23),
    ],
)
async def test_a_batch_that_is_refused_as_a_whole_has_one_answer(caller, change, code):
    calls = [{"method": ECHO}, {"method": ECHO}]
    response = await caller.batch(*calls, **change)
    assert SEPARATOR not in response.content
    assert f"{code}" in response.text
    assert "error_response" in response.text
    assert caller.sandbox.ledger.calls[ECHO, str(code)] == 2


async def test_there_is_a_largest_batch(caller):
    fits = await caller.batch(*[{"method": ECHO}] * MAX_CALLS)
    assert len(parts(fits)) == MAX_CALLS
    (refused,) = parts(await caller.batch(*[{"method": ECHO}] * (MAX_CALLS + 1)))
    assert refused["error_response"]["code"] == 41
    assert "at most, not 101" in refused["error_response"]["msg"]


async def test_a_body_without_calls_is_refused(caller):
    for body in (b"", PUBLIC):
        (refused,) = parts(await caller.batch(body))
        assert (refused["error_response"]["code"]) == 41
    form = signed(caller.sandbox, {"method": ECHO})
    response = await caller.http.post("/router/batch", data=form)
    assert parts(response)[0]["error_response"]["code"] == 41


async def test_there_are_no_uploads_in_a_batch(caller):
    session = caller.sandbox.grant("1001")["access_token"]
    call = {"method": "taobao.picture.upload", "picture_category_id": "0"}
    call |= {"image_input_title": "t", "img": "bytes?", "session": session}
    (refused,) = parts(await caller.batch(call))
    assert refused["error_response"]["msg"] == "Missing required arguments:img"
    form = signed(caller.sandbox, {"method": ECHO})
    response = await caller.http.post("/router/batch", data=form, files={"f": b"x"})
    assert parts(response)[0]["error_response"]["code"] == 41


async def test_a_separator_of_one_s_own(caller):
    body = "method=taobao.sandbox.echo&n=1%0D%0A-S-%0D%0A{x}method=taobao.sandbox.echo&n=2"
    query = signed(caller.sandbox, {}, body=body)
    response = await caller.http.post(
        f"/router/batch?{urlencode(query)}",
        content=body,
        headers={"content-type": "text/plain", "top-api-separator": "{x}"},
    )
    first, second = response.text.split("{x}")
    assert '"n":"1\\r\\n-S-\\r\\n"' in first
    assert '"n":"2"' in second


async def test_parts_are_xml_where_json_is_not_asked_for(caller):
    response = await caller.batch({"method": ECHO, "a": "1"}, {"method": USER}, format=None)
    (name, fine), (_, error) = map(read_xml, response.content.split(SEPARATOR))
    assert (name, fine["params"]) == ("sandbox_echo_response", {"a": "1"})
    assert error["code"] == "26"


async def test_a_call_may_ask_for_its_answer_simplified(caller):
    wrapped, simple = parts(
        await caller.batch({"method": ECHO}, {"method": ECHO, "simplify": "true"})
    )
    assert wrapped["sandbox_echo_response"].keys() == simple.keys()


async def test_the_address_list_holds_for_batches(caller):
    caller.sandbox.add_app(SandboxApp(KEY, SECRET, ip_whitelist=("10.0.0.1",)))
    answers = parts(await caller.batch({"method": ECHO}, {"method": ECHO}))
    assert {answer["error_response"]["code"] for answer in answers} == {11}


class TestFaults:
    CALLS = ({"method": ECHO, "n": "1"}, {"method": "taobao.time.get"}, {"method": ECHO, "n": "2"})

    async def test_a_ban_an_error_and_a_patch_are_about_calls(self, caller):
        caller.sandbox.fail("ban", seconds=9, api="taobao.time.get")
        caller.sandbox.fail("patch", fields={"params": "x"}, api=ECHO)
        first, time, second = parts(await caller.batch(*self.CALLS))
        assert first["sandbox_echo_response"]["params"] == "x"
        assert time["error_response"]["sub_msg"] == "This ban will last for 9 more seconds"
        assert second["sandbox_echo_response"]["params"] == {"n": "2"}

    async def test_a_limit_counts_every_call(self, caller):
        caller.sandbox.fail("limit", calls=1, seconds=9, api=ECHO)
        first, _, second = parts(await caller.batch(*self.CALLS))
        assert "sandbox_echo_response" in first
        assert second["error_response"]["code"] == 7

    @pytest.mark.parametrize(
        ("fault", "done"),
        [
            ({"kind": "status", "status": 502}, False),
            ({"kind": "html"}, False),
            ({"kind": "empty"}, True),
            ({"kind": "truncate"}, True),
            ({"kind": "status", "after": True}, True),
        ],
        ids=str,
    )
    async def test_what_breaks_an_exchange_breaks_the_batch(self, caller, fault, done):
        caller.sandbox.fail(**fault, api="taobao.time.get")
        broken = await caller.batch(*self.CALLS)
        whole = await caller.batch(*self.CALLS)
        assert len(parts(whole)) == 3
        assert broken.content != whole.content
        calls = caller.sandbox.ledger.calls
        assert calls[ECHO, "0"] == (4 if done else 2)
        assert calls[ECHO, f"fault:{fault['kind']}"] == (0 if done else 2)

    async def test_a_broken_connection_too(self, caller):
        caller.sandbox.fail("drop")
        with pytest.raises(ConnectionAbortedError, match="drop"):
            await caller.batch(*self.CALLS)

    async def test_a_latency_of_all_calls_passes_once(self, caller, monkeypatch):
        slept = []

        async def sleep(seconds):
            slept.append(seconds)

        monkeypatch.setattr(anyio, "sleep", sleep)
        caller.sandbox.fail("latency", seconds=7, times=None)
        await caller.batch(*self.CALLS)
        assert slept == [7]


async def test_an_hmac_over_the_body_alone_is_wrong(caller):
    body = "method=taobao.sandbox.echo"
    query = signed(caller.sandbox, {}, body=body, sign_method="hmac")
    query["sign"] = sign(body, "hmac")
    response = await caller.http.post(
        f"/router/batch?{urlencode(query)}", content=body, headers={"content-type": "text/plain"}
    )
    assert parts(response)[0]["error_response"]["code"] == 25
