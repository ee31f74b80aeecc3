"""Faults strike whom they name, as often as they say, before or after the work is done."""

import asyncio
import gzip
import json
import time

import httpx
import pytest
from sandbox_helpers import KEY, SECRET, SandboxCaller

from iop_async.sandbox import Sandbox, SandboxApp, serve

ECHO, REFRESH = "/sandbox/echo", "/auth/token/refresh"


@pytest.fixture
async def caller():
    async with SandboxCaller(Sandbox()) as caller:
        caller.sandbox.clock.speed = 0
        yield caller


@pytest.fixture
async def remote():
    """A sandbox behind a socket."""
    sandbox = Sandbox()
    async with serve(sandbox) as url, SandboxCaller(sandbox, url) as caller:
        yield caller


class TestWhom:
    async def test_a_fault_strikes_once_unless_it_says_more(self, caller):
        once = caller.sandbox.fail("error", code="SystemError")
        assert [(await caller.call(ECHO))["code"] for _ in range(3)] == ["SystemError", "0", "0"]
        assert (once.times, once.hits) == (0, 1)
        caller.sandbox.fail("error", code="SystemError", times=2)
        assert [(await caller.call(ECHO))["code"] for _ in range(3)] == [
            "SystemError",
            "SystemError",
            "0",
        ]
        caller.sandbox.fail("error", code="SystemError", times=None)
        assert {(await caller.call(ECHO))["code"] for _ in range(5)} == {"SystemError"}
        caller.sandbox.faults.clear()
        assert (await caller.call(ECHO))["code"] == "0"

    async def test_it_strikes_the_api_it_names(self, caller):
        caller.sandbox.fail("error", code="1000", api="/seller/get", times=None)
        assert (await caller.call(ECHO))["code"] == "0"
        assert (await caller.call("/seller/get"))["code"] == "1000"

    async def test_it_strikes_each_seller_no_more_often_than_it_says(self, caller):
        """However often it strikes in all."""
        tokens = [
            caller.sandbox.grant(seller)["access_token"] for seller in ("1001", "1002", "1003")
        ]
        caller.sandbox.fail("error", code="1000", times=4, times_each=2)
        codes = [
            [(await caller.call(ECHO, access_token=token))["code"] for _ in range(3)]
            for token in tokens
        ]
        assert codes == [["1000", "1000", "0"], ["1000", "1000", "0"], ["0", "0", "0"]]

    async def test_it_strikes_the_app_it_names(self, caller):
        caller.sandbox.add_app(SandboxApp("7", SECRET))
        caller.sandbox.fail("error", code="1000", app="7", times=None)
        assert (await caller.call(ECHO))["code"] == "0"
        assert (await caller.call(ECHO, app_key="7"))["code"] == "1000"

    async def test_it_knows_a_seller_by_access_token_refresh_token_and_code(self, caller):
        mine, theirs = caller.sandbox.grant("1001"), caller.sandbox.grant("1002")
        code = caller.sandbox.authorize("1001")
        caller.sandbox.fail("error", code="1000", seller_id="1001", times=None)
        struck = [
            await caller.call("/seller/get", session=mine["access_token"]),
            await caller.refresh(mine["refresh_token"]),
            await caller.call("/auth/token/create", {"code": code}),
        ]
        assert {answer["code"] for answer in struck} == {"1000"}
        assert (await caller.refresh(theirs["refresh_token"]))["code"] == "0"

    async def test_the_first_rule_that_meets_a_call_decides(self, caller):
        caller.sandbox.fail("error", code="first")
        caller.sandbox.fail("error", code="second")
        assert [(await caller.call(ECHO))["code"] for _ in range(3)] == ["first", "second", "0"]

    async def test_an_imposed_error_comes_after_the_signature(self, caller):
        caller.sandbox.fail("error", code="1000", times=None)
        assert (await caller.call(ECHO, sign_method="md5"))["code"] == "IncompleteSignature"


class TestBans:
    @pytest.mark.parametrize(
        ("whose", "code"),
        [
            ({}, "AppCallLimit"),
            ({"app": KEY}, "AppCallLimit"),
            ({"seller_id": "1001"}, "SellerCallLimit"),
            ({"api": "/seller/get"}, "ApiCallLimit"),
            ({"api": "/seller/get", "seller_id": "1001", "app": KEY}, "ApiCallLimit"),
        ],
    )
    async def test_the_code_says_whose_limit_it_is_and_the_text_how_long(self, caller, whose, code):
        token = caller.sandbox.grant("1001")["access_token"]
        ban = caller.sandbox.fail("ban", seconds=10, **whose)
        caller.sandbox.clock.advance(2.5)
        answer = await caller.call("/seller/get", access_token=token)
        assert answer["code"] == code
        assert "this ban will last 8 seconds" in answer["message"]
        caller.sandbox.clock.advance(7.5)
        assert (await caller.call("/seller/get", access_token=token))["code"] == "0"
        assert ban.hits == 1

    async def test_a_limit_bans_for_the_rest_of_its_window(self, caller):
        caller.sandbox.fail("limit", calls=3, seconds=10, api=ECHO)
        codes = [(await caller.call(ECHO))["code"] for _ in range(5)]
        assert codes == ["0", "0", "0", "ApiCallLimit", "ApiCallLimit"]
        caller.sandbox.clock.advance(4)
        assert "last 6 seconds" in (await caller.call(ECHO))["message"]
        caller.sandbox.clock.advance(6)
        assert (await caller.call(ECHO))["code"] == "0"

    async def test_a_banned_refresh_spends_no_token(self, caller):
        token = caller.sandbox.grant("1001")
        caller.sandbox.fail("ban", seconds=5, api=REFRESH)
        assert (await caller.refresh(token["refresh_token"]))["code"] == "ApiCallLimit"
        caller.sandbox.clock.advance(5)
        assert (await caller.refresh(token["refresh_token"]))["code"] == "0"


class TestBrokenAnswers:
    """The gateway's work is done, and its answer is useless."""

    @pytest.mark.parametrize("kind", ["truncate", "empty", "control_characters"])
    async def test_the_body_is_no_json_and_the_refresh_is_spent(self, caller, kind):
        token = caller.sandbox.grant("1001")
        caller.sandbox.fail(kind, api=REFRESH)
        response = await caller.post(REFRESH, {"refresh_token": token["refresh_token"]})
        assert response.status_code == 200
        assert int(response.headers["content-length"]) == len(response.content)
        with pytest.raises(json.JSONDecodeError):
            json.loads(response.content)
        assert caller.sandbox.grants.live_pair(KEY, "1001").generation == 2
        assert (await caller.refresh(token["refresh_token"]))["code"] == "IllegalRefreshToken"

    async def test_raw_control_characters_are_all_that_is_wrong(self, caller):
        caller.sandbox.fail("control_characters")
        response = await caller.post(ECHO, {"a": "1"})
        body = json.loads(response.content, strict=False)
        assert body["data"]["params"] == {"a": "1"}
        assert {"\t", "\n", "\r"} < set(body["remark"])

    async def test_members_can_be_replaced_and_left_out(self, caller):
        token = caller.sandbox.grant("1001")
        fields = {"expires_in": None, "seller_id": "1002"}
        caller.sandbox.fail("patch", api=REFRESH, fields=fields, remove=["refresh_token"])
        answer = await caller.refresh(token["refresh_token"])
        assert (answer["expires_in"], answer["seller_id"]) == (None, "1002")
        assert "refresh_token" not in answer
        assert answer["access_token"]

    async def test_members_within_a_wrapper_too(self, caller):
        caller.sandbox.fail("patch", fields={"data": "x"})
        answer = await caller.sync("sandbox.echo")
        assert answer["sandbox_echo_response"]["data"] == "x"


class TestStatuses:
    async def test_a_punish_page_is_html_with_status_200_and_nothing_is_done(self, caller):
        token = caller.sandbox.grant("1001")
        caller.sandbox.fail("html")
        response = await caller.post(REFRESH, {"refresh_token": token["refresh_token"]})
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/html")
        assert "punish" in response.text
        assert caller.sandbox.grants.live_pair(KEY, "1001").generation == 1

    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 599])
    async def test_any_status_with_or_without_retry_after(self, caller, status):
        caller.sandbox.fail("status", status=status, retry_after=7)
        caller.sandbox.fail("status", status=status)
        patient, plain = await caller.post(ECHO), await caller.post(ECHO)
        assert {patient.status_code, plain.status_code} == {status}
        assert patient.headers["retry-after"] == "7"
        assert "retry-after" not in plain.headers

    @pytest.mark.parametrize("after", [False, True])
    @pytest.mark.parametrize("kind", ["status", "error", "html", "empty", "truncate", "drop"])
    async def test_whether_the_work_is_done_can_be_chosen(self, caller, kind, after):
        token = caller.sandbox.grant("1001")
        caller.sandbox.fail(kind, api=REFRESH, after=after, code="ServiceTimeout")
        try:
            await caller.post(REFRESH, {"refresh_token": token["refresh_token"]})
        except ConnectionAbortedError:
            assert kind == "drop"
        generation = caller.sandbox.grants.live_pair(KEY, "1001").generation
        assert generation == (2 if after else 1)


class TestSocket:
    """What happens to a connection is seen at a socket."""

    async def test_a_reset_comes_within_the_answer(self, remote):
        token = remote.sandbox.grant("1001")
        remote.sandbox.fail("reset", api=REFRESH)
        with pytest.raises(httpx.ReadError) as raised:
            await remote.refresh(token["refresh_token"])
        assert _is_reset(raised.value)
        assert remote.sandbox.grants.live_pair(KEY, "1001").generation == 2

    async def test_a_reset_before_the_work_sends_nothing(self, remote):
        token = remote.sandbox.grant("1001")
        remote.sandbox.fail("reset", after=False)
        with pytest.raises(httpx.ReadError):
            await remote.refresh(token["refresh_token"])
        assert remote.sandbox.grants.live_pair(KEY, "1001").generation == 1

    async def test_a_drop_sends_no_byte(self, remote):
        token = remote.sandbox.grant("1001")
        remote.sandbox.fail("drop")
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            await remote.refresh(token["refresh_token"])
        assert remote.sandbox.grants.live_pair(KEY, "1001").generation == 2

    async def test_the_connections_of_others_live_on(self, remote):
        remote.sandbox.fail("drop", api="/seller/get", times=20)
        remote.sandbox.fail("reset", api="/orders/get", times=20)
        apis = [ECHO, "/seller/get", "/orders/get"] * 20
        results = await asyncio.gather(*map(remote.call, apis), return_exceptions=True)
        assert [result["code"] for result in results[::3]] == ["0"] * 20
        assert all(isinstance(result, httpx.TransportError) for result in results[1::3])
        assert all(isinstance(result, httpx.TransportError) for result in results[2::3])

    async def test_faults_are_no_errors_of_the_server(self, remote, caplog):
        for kind in ("drop", "reset"):
            remote.sandbox.fail(kind)
            with pytest.raises(httpx.TransportError):
                await remote.call(ECHO)
        assert not [record for record in caplog.records if record.name.startswith("uvicorn")]

    @pytest.mark.parametrize("after", [True, False])
    async def test_latency_delays_the_answer_and_by_default_not_the_work(self, remote, after):
        token = remote.sandbox.grant("1001")
        remote.sandbox.fail("latency", seconds=30, after=after)
        refresh = asyncio.create_task(remote.refresh(token["refresh_token"]))
        while not remote.sandbox.faults.rules[0].hits:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        generation = remote.sandbox.grants.live_pair(KEY, "1001").generation
        assert generation == (2 if after else 1)
        refresh.cancel()

    async def test_latency_goes_with_another_fault(self, remote):
        remote.sandbox.fail("latency", seconds=0.05)
        remote.sandbox.fail("status", status=502)
        started = time.perf_counter()
        assert (await remote.post(ECHO)).status_code == 502
        assert time.perf_counter() - started >= 0.05


class TestDurations:
    """A fault holds for a number of calls, for a time, or until it is cleared."""

    @pytest.mark.parametrize(
        "fault",
        [
            {"kind": "error", "code": "IllegalRefreshToken"},
            {"kind": "error", "code": "ServiceTimeout"},
            {"kind": "error", "code": "NobodyKnowsIt"},
            {"kind": "status", "status": 502},
            {"kind": "html"},
            {"kind": "drop", "after": False},
            {"kind": "reset", "after": False},
            {"kind": "empty"},
            {"kind": "body", "body": "{}"},
            {"kind": "patch", "fields": {"code": "x"}},
        ],
        ids=lambda fault: f"{fault['kind']}-{fault.get('code', '')}",
    )
    async def test_it_ends_when_its_time_is_over_however_many_it_met(self, caller, fault):
        rule = caller.sandbox.fail(**fault, api=ECHO, for_seconds=6)
        for _ in range(3):
            assert not await _is_served(caller)
        caller.sandbox.clock.advance(5.9)
        assert not await _is_served(caller)
        caller.sandbox.clock.advance(0.1)
        assert await _is_served(caller)
        assert rule.hits == 4

    async def test_both_a_time_and_a_number_may_be_given(self, caller):
        caller.sandbox.fail("error", code="1000", times=2, for_seconds=60)
        assert [await _is_served(caller) for _ in range(3)] == [False, False, True]
        caller.sandbox.fail("error", code="1000", times=2, for_seconds=60)
        caller.sandbox.clock.advance(60)
        assert await _is_served(caller)

    async def test_a_refused_refresh_token_is_good_when_the_incident_is_over(self, caller):
        token = caller.sandbox.grant("1001")
        caller.sandbox.fail("error", code="IllegalRefreshToken", api=REFRESH, for_seconds=5)
        assert (await caller.refresh(token["refresh_token"]))["code"] == "IllegalRefreshToken"
        caller.sandbox.clock.advance(5)
        assert (await caller.refresh(token["refresh_token"]))["code"] == "0"

    async def test_a_limit_may_be_followed_by_a_ban_of_its_own_length(self, caller):
        """Two calls a second, and who makes three is banned for thirty."""
        caller.sandbox.fail("limit", calls=2, seconds=1, ban_seconds=30, api=ECHO)
        assert [await _is_served(caller) for _ in range(3)] == [True, True, False]
        caller.sandbox.clock.advance(10)
        assert "last 20 seconds" in (await caller.call(ECHO))["message"]
        caller.sandbox.clock.advance(20)
        assert [await _is_served(caller) for _ in range(3)] == [True, True, False]

    async def test_calls_within_the_limit_are_never_banned(self, caller):
        caller.sandbox.fail("limit", calls=2, seconds=1, ban_seconds=30)
        for _ in range(5):
            assert [await _is_served(caller) for _ in range(2)] == [True, True]
            caller.sandbox.clock.advance(1)


class TestBodies:
    @pytest.mark.parametrize("body", ['{"error_response":"system error"}', b"\xff\xfe", "茶", ""])
    async def test_any_bytes_may_come_instead_of_an_answer(self, caller, body):
        caller.sandbox.fail("body", body=body)
        response = await caller.post(ECHO)
        assert response.content == (body if isinstance(body, bytes) else body.encode())
        assert response.status_code == 200

    async def test_the_answer_itself_may_be_spoiled(self, caller):
        """The pair of a refresh that happened, with something around it."""
        token = caller.sandbox.grant("1001")
        caller.sandbox.fail("body", api=REFRESH, body=lambda answer: b"ok(" + answer + b");")
        response = await caller.post(REFRESH, {"refresh_token": token["refresh_token"]})
        answer = json.loads(response.text.removeprefix("ok(").removesuffix(");"))
        live = caller.sandbox.grants.live_pair(KEY, "1001")
        assert answer["refresh_token"] == live.refresh_token

    async def test_a_pair_may_come_under_any_status(self, caller):
        token = caller.sandbox.grant("1001")
        caller.sandbox.fail("body", api=REFRESH, body=lambda answer: answer, status=503)
        response = await caller.post(REFRESH, {"refresh_token": token["refresh_token"]})
        assert response.status_code == 503
        assert response.json()["access_token"]

    async def test_compressed_with_the_header_that_says_so(self, caller):
        encoding = {"content-encoding": "gzip"}
        caller.sandbox.fail("body", body=gzip.compress, headers=encoding)
        assert (await caller.post(ECHO, {"a": "1"})).json()["data"]["params"] == {"a": "1"}

    async def test_another_sellers_pair_may_be_handed_out(self, caller):
        mine, theirs = caller.sandbox.grant("1001"), caller.sandbox.grant("1002")
        caller.sandbox.fail("patch", api=REFRESH, fields=theirs)
        answer = await caller.refresh(mine["refresh_token"])
        assert answer["seller_id"] == "1002"
        assert answer["refresh_token"] == theirs["refresh_token"]


class TestHeaders:
    @pytest.mark.parametrize("text", ["86400000", "1.5", "Fri, 31 Dec 2027 23:59:59 GMT", "soon"])
    @pytest.mark.parametrize(
        "fault",
        [{"kind": "status", "status": 429}, {"kind": "ban"}, {"kind": "html", "status": 403}],
        ids=lambda fault: fault["kind"],
    )
    async def test_a_retry_after_of_any_text_goes_with_any_fault(self, caller, fault, text):
        caller.sandbox.fail(**fault, retry_after=text)
        response = await caller.post(ECHO)
        assert response.headers["retry-after"] == text
        assert response.status_code == fault.get("status", 200)

    async def test_a_date_may_be_wrong_or_missing_and_the_answer_is_right(self, caller):
        caller.sandbox.fail("headers", headers={"Date": "yesterday"})
        caller.sandbox.fail("headers", headers={"date": None, "content-type": None, "x-a": "b"})
        wrong, none = [await caller.post(ECHO) for _ in range(2)]
        assert wrong.headers.get_list("date") == ["yesterday"]
        assert not {"date", "content-type"} & {*none.headers}
        assert none.headers["x-a"] == "b"
        assert wrong.json()["code"] == none.json()["code"] == "0"
        assert "date" in (await caller.post(ECHO)).headers

    async def test_over_a_socket_too(self, remote):
        remote.sandbox.fail("headers", headers={"date": None})
        remote.sandbox.fail("headers", headers={"date": "Thu, 01 Jan 1970 00:00:00 GMT"})
        none, wrong = [await remote.post(ECHO) for _ in range(2)]
        assert "date" not in none.headers
        assert wrong.headers.get_list("date") == ["Thu, 01 Jan 1970 00:00:00 GMT"]


class TestInProcess:
    """Without a socket a broken connection is an exception."""

    @pytest.mark.parametrize("kind", ["drop", "reset"])
    async def test_it_raises(self, caller, kind):
        caller.sandbox.fail(kind)
        with pytest.raises(ConnectionAbortedError, match=kind):
            await caller.call(ECHO)
        assert (await caller.call(ECHO))["code"] == "0"


@pytest.mark.parametrize(
    ("kind", "members", "text"),
    [
        ("flood", {}, "no fault 'flood'; there are latency, reset"),
        ("error", {}, "an error needs a code"),
        ("status", {"status": 99}, "no status 99"),
        ("drop", {"path": "/x"}, "a fault has no path; it has after, api"),
        ("drop", {"times": "often"}, "invalid literal"),
        ("drop", {"seller": "1001"}, "a fault has no seller; it has after, api"),
        ("body", {"body": 5}, "a body is text, bytes or a function"),
    ],
)
def test_a_rule_that_makes_no_sense_says_so(kind, members, text):
    with pytest.raises(ValueError, match=text):
        Sandbox().fail(kind, **members)


async def _is_served(caller):
    """Whether an echo gets through."""
    try:
        response = await caller.post(ECHO)
        return response.json()["code"] == "0"
    except (ConnectionAbortedError, json.JSONDecodeError, KeyError):
        return False


def _is_reset(error):
    while error is not None:
        if isinstance(error, ConnectionResetError):
            return True
        error = error.__cause__ or error.__context__
    return False
