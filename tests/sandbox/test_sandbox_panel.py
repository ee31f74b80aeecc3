"""Over HTTP the sandbox is looked at and moved."""

from datetime import datetime
from email.utils import parsedate_to_datetime

import pytest
from sandbox_helpers import KEY, SECRET, SandboxCaller

from iop_async.sandbox import Sandbox, digest

ECHO = "/sandbox/echo"


@pytest.fixture
async def caller():
    async with SandboxCaller(Sandbox()) as caller:
        yield caller


async def look(caller, name, **params):
    response = await caller.http.get(f"/_sandbox/{name}", params=params)
    assert response.status_code == 200
    return response.json()


async def act(caller, name, **members):
    response = await caller.http.post(f"/_sandbox/{name}", json=members)
    assert response.status_code == 200, response.text
    return response.json()


class TestFaults:
    async def test_a_rule_is_added_listed_and_counted(self, caller):
        added = await act(caller, "faults", kind="error", code="1000", api=ECHO, times=2)
        assert (await caller.call(ECHO))["code"] == "1000"
        (rule,) = (await look(caller, "faults"))["faults"]
        assert rule["id"] == added["id"]
        assert (rule["kind"], rule["times"], rule["hits"]) == ("error", 1, 1)

    async def test_forever_and_null_mean_without_end(self, caller):
        for times in ("forever", None):
            assert (await act(caller, "faults", kind="empty", times=times))["times"] is None

    async def test_every_member_can_be_given_and_is_shown(self, caller):
        members = {
            "kind": "body", "body": "{", "status": 429, "headers": {"date": None}, "api": ECHO,
            "retry_after": "soon", "for_seconds": 60, "ban_seconds": 5, "seller_id": None,
        }  # fmt: skip
        added = await act(caller, "faults", **members)
        assert {name: added[name] for name in members} == members
        response = await caller.post(ECHO)
        assert (response.status_code, response.text) == (429, "{")
        assert response.headers["retry-after"] == "soon"
        assert "date" not in response.headers

    async def test_a_body_made_by_a_function_is_shown_as_one(self, caller):
        caller.sandbox.fail("body", body=lambda answer: answer)
        caller.sandbox.fail("body", body=b"\xff")
        rules = (await look(caller, "faults"))["faults"]
        assert [rule["body"] for rule in rules] == ["a function", "\ufffd"]

    async def test_all_are_cleared(self, caller):
        await act(caller, "faults", kind="status", times=None)
        assert (await caller.http.delete("/_sandbox/faults")).json() == {"faults": []}
        assert (await caller.call(ECHO))["code"] == "0"
        await act(caller, "faults", kind="status", times=None)
        assert await act(caller, "clear_faults") == {"faults": []}
        assert (await caller.call(ECHO))["code"] == "0"


class TestClock:
    async def test_it_is_advanced_set_sped_up_and_put_wrong(self, caller):
        await act(caller, "clock", speed=0)
        await act(caller, "clock", set="2030-01-01T00:00:00Z")
        clock = await act(caller, "clock", advance=90, skew=-30)
        assert clock == {
            "now": "2030-01-01T00:01:30+00:00",
            "wall": "2030-01-01T00:01:00+00:00",
            "speed": 0,
            "skew": -30,
        }
        assert await look(caller, "clock") == clock

    async def test_every_answer_carries_its_date(self, caller):
        await act(caller, "clock", speed=0)
        await act(caller, "clock", set="2030-01-01T00:00:00Z", skew=7)
        for response in (
            await caller.post(ECHO),
            await caller.http.get("/_sandbox/clock"),
            await caller.http.get("/oauth/authorize"),
            await caller.http.get(f"/rest{ECHO}?{'x' * 9000}"),
        ):
            date = parsedate_to_datetime(response.headers["date"])
            assert date.isoformat() == "2030-01-01T00:00:00+00:00"

    async def test_tokens_age_by_it(self, caller):
        token = caller.sandbox.grant("1001")["access_token"]
        await act(caller, "clock", advance=31 * 24 * 3600)
        assert (await caller.call("/seller/get", access_token=token))["code"] == (
            "IllegalAccessToken"
        )


class TestGrants:
    async def test_a_grant_is_made_and_withdrawn_without_a_browser(self, caller):
        token = await act(caller, "grants", seller_id="1002")
        (live,) = (await look(caller, "grants"))["live"]
        assert (live["seller_id"], live["app"], live["generation"]) == ("1002", KEY, 1)
        assert live["refresh_digest"] == digest(token["refresh_token"])
        assert datetime.fromisoformat(live["access_until"]).utcoffset() is not None
        await caller.http.delete("/_sandbox/grants", params={"seller_id": "1002"})
        assert (await look(caller, "grants"))["live"] == []
        assert (await caller.refresh(token["refresh_token"]))["code"] == "IllegalRefreshToken"

    async def test_tokens_are_shown_to_those_who_ask(self, caller):
        token = await act(caller, "grants", seller_id="1001")
        hidden = (await caller.http.get("/_sandbox/grants")).text
        (shown,) = (await look(caller, "grants", tokens="1"))["live"]
        assert shown["access_token"] == token["access_token"]
        assert shown["refresh_token"] == token["refresh_token"]
        assert token["access_token"] not in hidden
        assert token["refresh_token"] not in hidden

    async def test_the_ledger_tells_refreshes_calls_and_what_is_live(self, caller):
        token = await act(caller, "grants", seller_id="1001")
        await act(caller, "grants", seller_id="1002")
        renewed = await caller.refresh(token["refresh_token"])
        await caller.refresh(token["refresh_token"])
        ledger = await look(caller, "ledger", seller_id="1001")
        assert [entry["code"] for entry in ledger["refreshes"]] == ["0", "IllegalRefreshToken"]
        assert ledger["refreshes"][0]["token"] == digest(token["refresh_token"])
        assert [(live["seller_id"], live["generation"]) for live in ledger["live"]] == [("1001", 2)]
        assert ledger["live"][0]["refresh_digest"] == digest(renewed["refresh_token"])
        calls = {(call["api"], call["code"]): call["count"] for call in ledger["calls"]}
        assert calls["/auth/token/refresh", "IllegalRefreshToken"] == 1
        assert len((await look(caller, "ledger"))["live"]) == 2


class TestParties:
    async def test_sellers_are_added_by_number_or_by_name(self, caller):
        assert len((await act(caller, "sellers", count=2))["sellers"]) == 2
        (added,) = (await act(caller, "sellers", seller_id="茶行", account="a@b.c"))["sellers"]
        assert (added["seller_id"], added["account"]) == ("茶行", "a@b.c")
        assert len((await look(caller, "sellers"))["sellers"]) == 6

    async def test_apps_are_added_and_their_secrets_not_shown(self, caller):
        await act(caller, "apps", key="7", secret="hush", ip_whitelist=["10.0.0.1"])
        assert caller.sandbox.apps["7"].ip_whitelist == ("10.0.0.1",)
        text = (await caller.http.get("/_sandbox/apps")).text
        assert '"7"' in text
        assert "hush" not in text
        assert SECRET not in text


class TestAnswers:
    async def test_an_api_is_taught_and_listed(self, caller):
        assert await look(caller, "answers") == {"answers": []}
        await act(caller, "answers", api="/stock/get", data={"data": [1]})
        assert await look(caller, "answers") == {"answers": ["/stock/get"]}
        assert (await caller.call("/stock/get"))["data"] == [1]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("answers", b'{"api": "/stock/get"}'),
        ("answers", b'{"api": "stock", "data": 1}'),
        ("answers", b'{"api": 5, "data": 1}'),
        ("faults", b'{"kind": "body", "body": 5}'),
        ("faults", b'{"kind": "flood"}'),
        ("faults", b"{}"),
        ("faults", b"{"),
        ("faults", b"[1]"),
        ("clock", b"{}"),
        ("clock", b'{"advance": "soon"}'),
        ("clock", b'{"set": 5}'),
        ("clock", b'{"rewind": 5}'),
        ("grants", b'{"seller_id": "9"}'),
        ("grants", b"{}"),
        ("sellers", b"{}"),
        ("apps", b'{"key": "1"}'),
    ],
)
async def test_what_makes_no_sense_is_400_and_says_so(caller, name, content):
    response = await caller.http.post(f"/_sandbox/{name}", content=content)
    assert response.status_code == 400
    assert response.json()["error"]


class TestPage:
    async def test_it_shows_what_is_going_on(self, caller):
        token = caller.sandbox.grant("1001")
        await caller.refresh(token["refresh_token"])
        caller.sandbox.fail("latency", seconds=0, api="<i>")
        response = await caller.http.get("/", follow_redirects=True)
        assert response.status_code == 200
        assert "1001" in response.text
        assert "&lt;i&gt;" in response.text
        assert token["access_token"] not in response.text
        assert "taobao_global" in response.text

    async def test_its_forms_work_without_scripts(self, caller):
        form = {"kind": "status", "api": ECHO, "times": "1", "status": "502", "seconds": ""}
        response = await caller.http.post("/_sandbox/faults", data=form)
        assert (response.status_code, response.headers["location"]) == (303, "./")
        assert (await caller.post(ECHO)).status_code == 502
        form = {"kind": "status", "for_seconds": "60", "seconds": ""}
        await caller.http.post("/_sandbox/faults", data=form)
        assert [(await caller.post(ECHO)).status_code for _ in range(2)] == [503, 503]
        assert 'action="clear_faults"' in (await caller.http.get("/_sandbox/")).text
        await caller.http.post("/_sandbox/clear_faults", data={})
        before = caller.sandbox.clock.now()
        await caller.http.post("/_sandbox/clock", data={"advance": "3600"})
        assert (caller.sandbox.clock.now() - before).total_seconds() >= 3600
