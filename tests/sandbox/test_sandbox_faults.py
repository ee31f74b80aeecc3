"""Faults strike whom they name, as often as they say, before or after the work is done."""

import asyncio
import json
import time

import httpx
import pytest
from sandbox_hand import KEY, SECRET, Hand

from iop_async.sandbox import Sandbox, SandboxApp, serve

ECHO, REFRESH = "/sandbox/echo", "/auth/token/refresh"


@pytest.fixture
async def hand():
    async with Hand(Sandbox()) as hand:
        hand.sandbox.clock.speed = 0
        yield hand


@pytest.fixture
async def remote():
    """A sandbox behind a socket."""
    sandbox = Sandbox()
    async with serve(sandbox) as url, Hand(sandbox, url) as hand:
        yield hand


class TestWhom:
    async def test_a_fault_strikes_once_unless_it_says_more(self, hand):
        once = hand.sandbox.fail("error", code="SystemError")
        assert [(await hand.call(ECHO))["code"] for _ in range(3)] == ["SystemError", "0", "0"]
        assert (once.times, once.hits) == (0, 1)
        hand.sandbox.fail("error", code="SystemError", times=2)
        assert [(await hand.call(ECHO))["code"] for _ in range(3)] == [
            "SystemError",
            "SystemError",
            "0",
        ]
        hand.sandbox.fail("error", code="SystemError", times=None)
        assert {(await hand.call(ECHO))["code"] for _ in range(5)} == {"SystemError"}
        hand.sandbox.faults.clear()
        assert (await hand.call(ECHO))["code"] == "0"

    async def test_it_strikes_the_api_it_names(self, hand):
        hand.sandbox.fail("error", code="1000", api="/seller/get", times=None)
        assert (await hand.call(ECHO))["code"] == "0"
        assert (await hand.call("/seller/get"))["code"] == "1000"

    async def test_it_strikes_each_seller_no_more_often_than_it_says(self, hand):
        """However often it strikes in all."""
        tokens = [hand.sandbox.grant(seller)["access_token"] for seller in ("1001", "1002", "1003")]
        hand.sandbox.fail("error", code="1000", times=4, times_each=2)
        codes = [
            [(await hand.call(ECHO, access_token=token))["code"] for _ in range(3)]
            for token in tokens
        ]
        assert codes == [["1000", "1000", "0"], ["1000", "1000", "0"], ["0", "0", "0"]]

    async def test_it_strikes_the_app_it_names(self, hand):
        hand.sandbox.add_app(SandboxApp("7", SECRET))
        hand.sandbox.fail("error", code="1000", app="7", times=None)
        assert (await hand.call(ECHO))["code"] == "0"
        assert (await hand.call(ECHO, app_key="7"))["code"] == "1000"

    async def test_it_knows_a_seller_by_access_token_refresh_token_and_code(self, hand):
        mine, theirs = hand.sandbox.grant("1001"), hand.sandbox.grant("1002")
        code = hand.sandbox.authorize("1001")
        hand.sandbox.fail("error", code="1000", seller="1001", times=None)
        struck = [
            await hand.call("/seller/get", session=mine["access_token"]),
            await hand.refresh(mine["refresh_token"]),
            await hand.call("/auth/token/create", {"code": code}),
        ]
        assert {answer["code"] for answer in struck} == {"1000"}
        assert (await hand.refresh(theirs["refresh_token"]))["code"] == "0"

    async def test_the_first_rule_that_meets_a_call_decides(self, hand):
        hand.sandbox.fail("error", code="first")
        hand.sandbox.fail("error", code="second")
        assert [(await hand.call(ECHO))["code"] for _ in range(3)] == ["first", "second", "0"]

    async def test_an_imposed_error_comes_after_the_signature(self, hand):
        hand.sandbox.fail("error", code="1000", times=None)
        assert (await hand.call(ECHO, sign_method="md5"))["code"] == "IncompleteSignature"


class TestBans:
    @pytest.mark.parametrize(
        ("whose", "code"),
        [
            ({}, "AppCallLimit"),
            ({"app": KEY}, "AppCallLimit"),
            ({"seller": "1001"}, "SellerCallLimit"),
            ({"api": "/seller/get"}, "ApiCallLimit"),
            ({"api": "/seller/get", "seller": "1001", "app": KEY}, "ApiCallLimit"),
        ],
    )
    async def test_the_code_says_whose_limit_it_is_and_the_text_how_long(self, hand, whose, code):
        token = hand.sandbox.grant("1001")["access_token"]
        ban = hand.sandbox.fail("ban", seconds=10, **whose)
        hand.sandbox.clock.advance(2.5)
        answer = await hand.call("/seller/get", access_token=token)
        assert answer["code"] == code
        assert "this ban will last 8 seconds" in answer["message"]
        hand.sandbox.clock.advance(7.5)
        assert (await hand.call("/seller/get", access_token=token))["code"] == "0"
        assert ban.hits == 1

    async def test_a_limit_bans_for_the_rest_of_its_window(self, hand):
        hand.sandbox.fail("limit", calls=3, seconds=10, api=ECHO)
        codes = [(await hand.call(ECHO))["code"] for _ in range(5)]
        assert codes == ["0", "0", "0", "ApiCallLimit", "ApiCallLimit"]
        hand.sandbox.clock.advance(4)
        assert "last 6 seconds" in (await hand.call(ECHO))["message"]
        hand.sandbox.clock.advance(6)
        assert (await hand.call(ECHO))["code"] == "0"

    async def test_a_banned_refresh_spends_no_token(self, hand):
        token = hand.sandbox.grant("1001")
        hand.sandbox.fail("ban", seconds=5, api=REFRESH)
        assert (await hand.refresh(token["refresh_token"]))["code"] == "ApiCallLimit"
        hand.sandbox.clock.advance(5)
        assert (await hand.refresh(token["refresh_token"]))["code"] == "0"


class TestBrokenAnswers:
    """The gateway's work is done, and its answer is useless."""

    @pytest.mark.parametrize("kind", ["truncate", "empty", "control_characters"])
    async def test_the_body_is_no_json_and_the_refresh_is_spent(self, hand, kind):
        token = hand.sandbox.grant("1001")
        hand.sandbox.fail(kind, api=REFRESH)
        response = await hand.post(REFRESH, {"refresh_token": token["refresh_token"]})
        assert response.status_code == 200
        assert int(response.headers["content-length"]) == len(response.content)
        with pytest.raises(json.JSONDecodeError):
            json.loads(response.content)
        assert hand.sandbox.grants.live_pair(KEY, "1001").generation == 2
        assert (await hand.refresh(token["refresh_token"]))["code"] == "IllegalRefreshToken"

    async def test_raw_control_characters_are_all_that_is_wrong(self, hand):
        hand.sandbox.fail("control_characters")
        response = await hand.post(ECHO, {"a": "1"})
        body = json.loads(response.content, strict=False)
        assert body["data"]["params"] == {"a": "1"}
        assert {"\t", "\n", "\r"} < set(body["remark"])

    async def test_members_can_be_replaced_and_left_out(self, hand):
        token = hand.sandbox.grant("1001")
        fields = {"expires_in": None, "seller_Id": "1002"}
        hand.sandbox.fail("patch", api=REFRESH, fields=fields, remove=["refresh_token"])
        answer = await hand.refresh(token["refresh_token"])
        assert (answer["expires_in"], answer["seller_Id"]) == (None, "1002")
        assert "refresh_token" not in answer
        assert answer["access_token"]

    async def test_members_within_a_wrapper_too(self, hand):
        hand.sandbox.fail("patch", fields={"data": "x"})
        answer = await hand.sync("sandbox.echo")
        assert answer["sandbox_echo_response"]["data"] == "x"


class TestStatuses:
    async def test_a_punish_page_is_html_with_status_200_and_nothing_is_done(self, hand):
        token = hand.sandbox.grant("1001")
        hand.sandbox.fail("html")
        response = await hand.post(REFRESH, {"refresh_token": token["refresh_token"]})
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/html")
        assert "punish" in response.text
        assert hand.sandbox.grants.live_pair(KEY, "1001").generation == 1

    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 599])
    async def test_any_status_with_or_without_retry_after(self, hand, status):
        hand.sandbox.fail("status", status=status, retry_after=7)
        hand.sandbox.fail("status", status=status)
        patient, plain = await hand.post(ECHO), await hand.post(ECHO)
        assert {patient.status_code, plain.status_code} == {status}
        assert patient.headers["retry-after"] == "7"
        assert "retry-after" not in plain.headers

    @pytest.mark.parametrize("after", [False, True])
    @pytest.mark.parametrize("kind", ["status", "error", "html", "empty", "truncate", "drop"])
    async def test_whether_the_work_is_done_can_be_chosen(self, hand, kind, after):
        token = hand.sandbox.grant("1001")
        hand.sandbox.fail(kind, api=REFRESH, after=after, code="ServiceTimeout")
        try:
            await hand.post(REFRESH, {"refresh_token": token["refresh_token"]})
        except ConnectionAbortedError:
            assert kind == "drop"
        generation = hand.sandbox.grants.live_pair(KEY, "1001").generation
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


class TestInProcess:
    """Without a socket a broken connection is an exception."""

    @pytest.mark.parametrize("kind", ["drop", "reset"])
    async def test_it_raises(self, hand, kind):
        hand.sandbox.fail(kind)
        with pytest.raises(ConnectionAbortedError, match=kind):
            await hand.call(ECHO)
        assert (await hand.call(ECHO))["code"] == "0"


@pytest.mark.parametrize(
    ("kind", "members", "text"),
    [
        ("flood", {}, "no fault 'flood'; there are latency, reset"),
        ("error", {}, "an error needs a code"),
        ("status", {"status": 99}, "no status 99"),
        ("drop", {"path": "/x"}, "a fault has no path; it has after, api"),
        ("drop", {"times": "often"}, "invalid literal"),
    ],
)
def test_a_rule_that_makes_no_sense_says_so(kind, members, text):
    with pytest.raises(ValueError, match=text):
        Sandbox().fail(kind, **members)


def _is_reset(error):
    while error is not None:
        if isinstance(error, ConnectionResetError):
            return True
        error = error.__cause__ or error.__context__
    return False
