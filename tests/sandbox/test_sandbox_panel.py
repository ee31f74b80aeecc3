"""Over HTTP the sandbox is looked at and moved."""

from datetime import datetime
from email.utils import parsedate_to_datetime

import pytest
from sandbox_hand import KEY, SECRET, Hand

from iop_async.sandbox import Sandbox, digest

ECHO = "/sandbox/echo"


@pytest.fixture
async def hand():
    async with Hand(Sandbox()) as hand:
        yield hand


async def look(hand, name, **params):
    response = await hand.http.get(f"/_sandbox/{name}", params=params)
    assert response.status_code == 200
    return response.json()


async def act(hand, name, **members):
    response = await hand.http.post(f"/_sandbox/{name}", json=members)
    assert response.status_code == 200, response.text
    return response.json()


class TestFaults:
    async def test_a_rule_is_added_listed_and_counted(self, hand):
        added = await act(hand, "faults", kind="error", code="1000", api=ECHO, times=2)
        assert (await hand.call(ECHO))["code"] == "1000"
        (rule,) = (await look(hand, "faults"))["faults"]
        assert rule["id"] == added["id"]
        assert (rule["kind"], rule["times"], rule["hits"]) == ("error", 1, 1)

    async def test_forever_and_null_mean_without_end(self, hand):
        for times in ("forever", None):
            assert (await act(hand, "faults", kind="empty", times=times))["times"] is None

    async def test_all_are_cleared(self, hand):
        await act(hand, "faults", kind="status", times=None)
        assert (await hand.http.delete("/_sandbox/faults")).json() == {"faults": []}
        assert (await hand.call(ECHO))["code"] == "0"
        await act(hand, "faults", kind="status", times=None)
        assert await act(hand, "clear_faults") == {"faults": []}
        assert (await hand.call(ECHO))["code"] == "0"


class TestClock:
    async def test_it_is_advanced_set_sped_up_and_put_wrong(self, hand):
        await act(hand, "clock", speed=0)
        await act(hand, "clock", set="2030-01-01T00:00:00Z")
        clock = await act(hand, "clock", advance=90, skew=-30)
        assert clock == {
            "now": "2030-01-01T00:01:30+00:00",
            "wall": "2030-01-01T00:01:00+00:00",
            "speed": 0,
            "skew": -30,
        }
        assert await look(hand, "clock") == clock

    async def test_every_answer_carries_its_date(self, hand):
        await act(hand, "clock", speed=0)
        await act(hand, "clock", set="2030-01-01T00:00:00Z", skew=7)
        for response in (
            await hand.post(ECHO),
            await hand.http.get("/_sandbox/clock"),
            await hand.http.get("/oauth/authorize"),
            await hand.http.get(f"/rest{ECHO}?{'x' * 9000}"),
        ):
            date = parsedate_to_datetime(response.headers["date"])
            assert date.isoformat() == "2030-01-01T00:00:00+00:00"

    async def test_tokens_age_by_it(self, hand):
        token = hand.sandbox.grant("1001")["access_token"]
        await act(hand, "clock", advance=31 * 24 * 3600)
        assert (await hand.call("/seller/get", access_token=token))["code"] == (
            "IllegalAccessToken"
        )


class TestGrants:
    async def test_a_grant_is_made_and_withdrawn_without_a_browser(self, hand):
        token = await act(hand, "grants", seller="1002")
        (live,) = (await look(hand, "grants"))["live"]
        assert (live["seller"], live["app"], live["generation"]) == ("1002", KEY, 1)
        assert live["refresh_digest"] == digest(token["refresh_token"])
        assert datetime.fromisoformat(live["access_until"]).utcoffset() is not None
        await hand.http.delete("/_sandbox/grants", params={"seller": "1002"})
        assert (await look(hand, "grants"))["live"] == []
        assert (await hand.refresh(token["refresh_token"]))["code"] == "IllegalRefreshToken"

    async def test_tokens_are_shown_to_those_who_ask(self, hand):
        token = await act(hand, "grants", seller="1001")
        hidden = (await hand.http.get("/_sandbox/grants")).text
        (shown,) = (await look(hand, "grants", tokens="1"))["live"]
        assert shown["access_token"] == token["access_token"]
        assert shown["refresh_token"] == token["refresh_token"]
        assert token["access_token"] not in hidden
        assert token["refresh_token"] not in hidden

    async def test_the_ledger_tells_refreshes_calls_and_what_is_live(self, hand):
        token = await act(hand, "grants", seller="1001")
        await act(hand, "grants", seller="1002")
        renewed = await hand.refresh(token["refresh_token"])
        await hand.refresh(token["refresh_token"])
        ledger = await look(hand, "ledger", seller="1001")
        assert [entry["code"] for entry in ledger["refreshes"]] == ["0", "IllegalRefreshToken"]
        assert ledger["refreshes"][0]["token"] == digest(token["refresh_token"])
        assert [(live["seller"], live["generation"]) for live in ledger["live"]] == [("1001", 2)]
        assert ledger["live"][0]["refresh_digest"] == digest(renewed["refresh_token"])
        calls = {(call["api"], call["code"]): call["count"] for call in ledger["calls"]}
        assert calls["/auth/token/refresh", "IllegalRefreshToken"] == 1
        assert len((await look(hand, "ledger"))["live"]) == 2


class TestParties:
    async def test_sellers_are_added_by_number_or_by_name(self, hand):
        assert len((await act(hand, "sellers", count=2))["sellers"]) == 2
        (added,) = (await act(hand, "sellers", seller_id="茶行", account="a@b.c"))["sellers"]
        assert (added["seller_id"], added["account"]) == ("茶行", "a@b.c")
        assert len((await look(hand, "sellers"))["sellers"]) == 6

    async def test_apps_are_added_and_their_secrets_not_shown(self, hand):
        await act(hand, "apps", key="7", secret="hush", ip_whitelist=["10.0.0.1"])
        assert hand.sandbox.apps["7"].ip_whitelist == ("10.0.0.1",)
        text = (await hand.http.get("/_sandbox/apps")).text
        assert '"7"' in text
        assert "hush" not in text
        assert SECRET not in text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("faults", b'{"kind": "flood"}'),
        ("faults", b"{}"),
        ("faults", b"{"),
        ("faults", b"[1]"),
        ("clock", b"{}"),
        ("clock", b'{"advance": "soon"}'),
        ("clock", b'{"set": 5}'),
        ("clock", b'{"rewind": 5}'),
        ("grants", b'{"seller": "9"}'),
        ("grants", b"{}"),
        ("sellers", b"{}"),
        ("apps", b'{"key": "1"}'),
    ],
)
async def test_what_makes_no_sense_is_400_and_says_so(hand, name, content):
    response = await hand.http.post(f"/_sandbox/{name}", content=content)
    assert response.status_code == 400
    assert response.json()["error"]


class TestPage:
    async def test_it_shows_what_is_going_on(self, hand):
        token = hand.sandbox.grant("1001")
        await hand.refresh(token["refresh_token"])
        hand.sandbox.fail("latency", seconds=0, api="<i>")
        response = await hand.http.get("/", follow_redirects=True)
        assert response.status_code == 200
        assert "1001" in response.text
        assert "&lt;i&gt;" in response.text
        assert token["access_token"] not in response.text
        assert "taobao_global" in response.text

    async def test_its_forms_work_without_scripts(self, hand):
        form = {"kind": "status", "api": ECHO, "times": "1", "status": "502", "seconds": ""}
        response = await hand.http.post("/_sandbox/faults", data=form)
        assert (response.status_code, response.headers["location"]) == (303, "./")
        assert (await hand.post(ECHO)).status_code == 502
        assert 'action="clear_faults"' in (await hand.http.get("/_sandbox/")).text
        await hand.http.post("/_sandbox/clear_faults", data={})
        before = hand.sandbox.clock.now()
        await hand.http.post("/_sandbox/clock", data={"advance": "3600"})
        assert (hand.sandbox.clock.now() - before).total_seconds() >= 3600
