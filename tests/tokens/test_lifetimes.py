"""Numbers of every kind in an answer that was paid for with a refresh token."""

import json
from datetime import timedelta

import anyio
import pytest
from attrs import evolve
from tokens_helpers import Between, WatchedStore
from tokens_scenario import DAY, LEAD, MONTH, REFRESH, all_told, either_loop, kinds

import iop_async as iop
from iop_async.tokens import Clock

YEARS = timedelta(days=365 * 99)


def milliseconds(clock: Clock, seconds: int) -> int:
    return int(clock.now().timestamp() * 1000) + seconds * 1000


@pytest.mark.parametrize(
    "fields",
    [
        {"expires_in": "10", "refresh_expires_in": "60", "error_code": "error_code"},
        {"expires_in": None},
        {"expires_in": ""},
        {"expires_in": "abc"},
        {"expires_in": -5},
        {"expires_in": 0},
        {"expires_in": 2592000.0},
        {"expires_in": 3153599922},
        {"expires_in": 10**40},
        {"expires_in": [], "refresh_expires_in": {"a": 1}},
        {"expires_in": True, "refresh_expires_in": "NaN"},
        {"refresh_expires_in": "0"},
        {"refresh_expires_in": 0},
        {"refresh_expires_in": 0.0},
        {"refresh_expires_in": None},
        {"account": "half of a pair: \ud83d", "note": "\udc00", "deep": [[[{"a": 1.5}]]]},
        {"seller_id": "\ud800"},
        {"seller_id": "nul\0"},
        {"user_id": 5, "seller_id": 7.25, "account_id": ["?"], "country": {}},
        {"user_info": [{"seller_id": "1001", "country": "\ud800"}]},
        {"user_info": [{"seller_id": "1001"}, {"seller_id": "nul\0"}, {"seller_id": "\ud800"}]},
    ],
    ids=repr,
)
@either_loop
async def test_a_pair_is_stored_whatever_stands_beside_it(scenario, fields):
    """Never a crash, and never a loss, once the refresh token is spent."""

    async def change(go_on):
        answer = await go_on()
        # In ASCII, since the sandbox itself would not send half of a surrogate pair.
        return evolve(answer, content=json.dumps(json.loads(answer.content) | fields).encode())

    transport = Between(change)
    async with scenario.manager(client=scenario.client(transport=transport)) as tokens:
        await tokens.authorize(scenario.code())
        scenario.clock.advance(MONTH - LEAD + 60)
        is_for_another = False
        try:
            new = await tokens.refresh("1001")
        except iop.TokenError as error:
            assert "another seller" in str(error)
            is_for_another = True
        else:
            assert new.refresh_token == scenario.live().refresh_token
            assert new.expires_at is None or new.expires_at - new.issued_at < 1.02 * YEARS
    await transport.aclose()
    async with scenario.store() as store:
        record = await store.get(f"123456@{scenario.url.removeprefix('http://')}", "1001")
    body = json.loads(record.body)
    # Another's pair is no answer: the intent stays, and the refresh token is presented again.
    assert (body["intent"] is not None) == is_for_another
    assert len(body["candidates"]) == is_for_another
    pairs = [body["token"], *body["candidates"]]
    assert pairs[-1]["refresh_token"] == scenario.live().refresh_token
    assert scenario.presented() == 1


@either_loop
async def test_a_moment_in_milliseconds_is_read_as_the_end(scenario):
    """``expire_time`` in the place of a lifetime."""
    async with scenario.manager() as tokens:
        await tokens.authorize(scenario.code())
        scenario.clock.advance(MONTH - LEAD + 60)
        end = milliseconds(scenario.clock, DAY)
        scenario.sandbox.fail(
            "patch", api=REFRESH, fields={"expire_time": end}, remove=["expires_in"]
        )
        new = await tokens.refresh("1001")
        assert int(new.expires_at.timestamp() * 1000) == end
        scenario.clock.advance(DAY - LEAD + 60)
        assert (await tokens.refresh_due()).refreshed == ("1001",)


@pytest.mark.parametrize("fields", [{"expires_in": "abc"}, {"expires_in": None}])
@either_loop
async def test_an_unreadable_lifetime_is_short_and_not_endless(scenario, fields):
    """Within two hours it is refreshed; it is not refreshed at birth."""
    async with scenario.manager() as tokens:
        await tokens.authorize(scenario.code())
        scenario.sandbox.fail("patch", api=REFRESH, fields=fields)
        await tokens.refresh("1001")
        assert (await tokens.refresh_due()).refreshed == ()
        scenario.clock.advance(2 * 3600)
        assert (await tokens.refresh_due()).refreshed == ("1001",)
        assert scenario.presented() == 2


@pytest.mark.parametrize("zero", ["0", 0, 0.0])
@either_loop
async def test_a_refresh_lifetime_of_zero_ends_the_refreshing(scenario, zero):
    """The access token is served to its end; the seller is asked once to authorize again."""
    async with scenario.manager() as tokens:
        events = tokens.events()
        await tokens.authorize(scenario.code())
        scenario.sandbox.fail("patch", api=REFRESH, fields={"refresh_expires_in": zero})
        new = await tokens.refresh("1001")
        scenario.clock.advance(MONTH - 60)
        assert (await tokens.token("1001")).access_token == new.access_token
        for _ in range(4):
            scenario.clock.advance(60)
            await tokens.refresh_due()
        with pytest.raises(iop.ReauthorizationRequired):
            await tokens.token("1001")
        seen = [event.kind for event in await all_told(tokens, events)]
        assert seen.count("reauthorize") == 1
    assert scenario.presented() == 1


@pytest.mark.parametrize("missing", [{"fields": {"refresh_expires_in": None}}, "remove"])
@either_loop
async def test_a_missing_refresh_lifetime_is_not_zero(scenario, missing):
    """Nothing is known of it, so the token is refreshed for as long as that works."""
    missing = {"remove": ["refresh_expires_in"]} if missing == "remove" else missing
    scenario.sandbox.fail("patch", api="/auth/token/create", **missing)
    async with scenario.manager() as tokens:
        token = await tokens.authorize(scenario.code())
        assert token.refresh_expires_at is None
        scenario.clock.advance(MONTH - LEAD + 60)
        assert (await tokens.refresh_due()).refreshed == ("1001",)


@either_loop
async def test_the_documented_sample_is_kept_fresh(scenario):
    """``"10"`` and ``"60"`` as text, and an ``error_code`` in a success."""
    sample = {"expires_in": "10", "refresh_expires_in": "60", "error_code": "error_code"}
    scenario.sandbox.fail("patch", api="/auth/token/create", fields=sample)
    scenario.sandbox.fail("patch", api=REFRESH, fields=sample, times=None)
    async with scenario.manager() as tokens:
        token = await tokens.authorize(scenario.code())
        assert (token.expires_at - token.issued_at).total_seconds() == 10
        assert (await tokens.token("1001")).access_token == token.access_token
        scenario.clock.advance(6)
        assert (await tokens.refresh_due()).refreshed == ("1001",)
        assert (await tokens.token("1001")).access_token == scenario.live().access_token
        assert scenario.presented() == 1


@either_loop
async def test_tokens_that_end_at_the_same_second_survive_a_long_outage(scenario):
    """Three days and three days: the refresh comes half a day before, and the alarm if it fails."""
    scenario.sandbox.grants.access_seconds = scenario.sandbox.grants.refresh_seconds = 3 * DAY
    async with scenario.manager() as tokens:
        events = tokens.events()
        for seller in ("1001", "1002"):
            await tokens.authorize(scenario.code(seller))
        scenario.sandbox.fail("error", code="ServiceUnavailable", seller_id="1002", times=None)
        scenario.clock.advance(2.5 * DAY + 1)
        scenario.sandbox.fail("error", code="ServiceUnavailable", seller_id="1001", times=1)
        assert (await tokens.refresh_due()).refreshed == ()
        for _ in range(11):
            scenario.clock.advance(3600)
            await tokens.refresh_due()
        assert (await tokens.status("1001")).generation == 2
        for _ in range(3):
            scenario.clock.advance(3600)
            await tokens.refresh_due()
        told = await all_told(tokens, events)
    lost = [event for event in told if event.seller_id == "1002"]
    assert [event.kind for event in lost if event.reason == "48 hours"] == ["authorize_by"]
    assert [event.kind for event in lost if event.kind == "reauthorize"] == ["reauthorize"]
    assert [event.kind for event in lost].count("refresh_failed") >= 10


@either_loop
async def test_a_dead_refresh_token_is_not_presented_while_the_access_token_is_served(scenario):
    """Twenty more days of it; the seller is told."""
    scenario.sandbox.grants.refresh_seconds = 10 * DAY
    async with scenario.manager() as tokens:
        events = tokens.events()
        token = await tokens.authorize(scenario.code())
        scenario.clock.advance(10 * DAY + 60)
        for _ in range(19):
            assert (await tokens.token("1001")).access_token == token.access_token
            assert (await tokens.refresh_due()).refreshed == ()
            await tokens.seller("1001").call("/seller/get")
            scenario.clock.advance(DAY)
        with pytest.raises(iop.ReauthorizationRequired, match="expired"):
            await tokens.refresh("1001")
        assert await kinds(events, 1) == ["reauthorize"]
    assert scenario.presented() == 0


@either_loop
async def test_a_dead_refresh_token_is_told_of_once_and_then_left_alone(scenario):
    """Neither the keeper nor those who are served ask the store for what cannot be had."""
    scenario.sandbox.grants.refresh_seconds = 10 * DAY
    store = WatchedStore(scenario.store())
    async with scenario.manager(store, keeper=True) as tokens:
        events = tokens.events()
        await tokens.authorize(scenario.code())
        scenario.clock.advance(10 * DAY + 60)
        assert await kinds(events, 1) == ["reauthorize"]
        for _ in range(20):
            await tokens.token("1001")
            await anyio.sleep(0.01)
        assert store.written == ["outcome"] * 2  # the approval, and that somebody was told
    assert scenario.presented() == 0


@either_loop
async def test_a_believed_refusal_is_told_of_once(scenario):
    """While the access token lives its end is announced; at that end nothing new is to be said.

    It is looked at again although the token is not due: the seller may have taken the permission
    back, and is told a minute later.
    """
    async with scenario.manager() as tokens:
        events = tokens.events()
        await tokens.authorize(scenario.code())
        scenario.sandbox.fail("error", code="IllegalRefreshToken", api=REFRESH, times=None)
        with pytest.raises(iop.ReauthorizationRequired):
            await tokens.refresh("1001")
        await tokens.refresh_due()
        scenario.clock.advance(61)
        await tokens.refresh_due()
        assert await kinds(events, 2) == ["refresh_failed", "reauthorize"]
        for _ in range(31):
            await tokens.refresh_due()
            scenario.clock.advance(DAY)
        told = [(event.kind, event.reason) for event in await all_told(tokens, events)]
    warnings = ["14 days", "7 days", "48 hours"]
    assert told == [("authorize_by", warning) for warning in warnings]
    assert scenario.sandbox.faults.rules[0].hits == 2


@either_loop
async def test_the_last_refresh_s_answer_is_served_beyond_the_refresh_token_s_end(scenario):
    """Its lifetime is the one that the answer gives, although the refresh token dies first."""
    scenario.sandbox.grants.refresh_seconds = 40 * DAY
    async with scenario.manager() as tokens:
        first = await tokens.authorize(scenario.code())
        scenario.clock.advance(MONTH - LEAD + 60)
        await tokens.refresh_due()
        scenario.clock.advance(9.5 * DAY + LEAD)
        assert (await tokens.refresh_due()).refreshed == ("1001",)
        last = await tokens.token("1001")
        assert last.refresh_expires_at - first.refresh_expires_at < timedelta(minutes=1)
        assert last.expires_at - last.issued_at == timedelta(days=30)
        scenario.clock.advance(29 * DAY)
        assert (await tokens.token("1001")).access_token == last.access_token
        await tokens.seller("1001").call("/seller/get")
        assert (await tokens.refresh_due()).refreshed == ()
        scenario.clock.advance(DAY + 1)
        with pytest.raises(iop.ReauthorizationRequired):
            await tokens.token("1001")
    assert scenario.presented() == 2


@either_loop
async def test_an_answer_with_the_same_refresh_token_is_fine(scenario):
    """It goes on with it."""
    scenario.sandbox.grants.rotation = "keep"
    async with scenario.manager() as tokens:
        old = await tokens.authorize(scenario.code())
        for _ in range(3):
            same = {"refresh_token": str(old.refresh_token)}
            scenario.sandbox.fail("patch", api=REFRESH, fields=same)
            assert (await tokens.refresh("1001")).refresh_token == old.refresh_token
        assert (await tokens.status("1001")).state == "live"


@either_loop
async def test_an_imported_token_of_unknown_age_is_neither_refreshed_at_once_nor_never(scenario):
    """Not in a burst at the import; within the time that any token may be taken to live."""
    async with scenario.manager() as tokens:
        for seller in ("1001", "1002", "1003"):
            pair = scenario.sandbox.grant(seller)
            await tokens.import_token(
                iop.Token(
                    access_token=pair["access_token"],
                    refresh_token=pair["refresh_token"],
                    issued_at=scenario.clock.now(),
                    sellers=(iop.Seller(seller_id=seller),),
                )
            )
            assert (await tokens.token(seller)).access_token == pair["access_token"]
        assert (await tokens.refresh_due()).refreshed == ()
        assert scenario.presented() == 0
        scenario.clock.advance(2 * 3600)
        assert len((await tokens.refresh_due()).refreshed) == 3
        for seller in ("1001", "1002", "1003"):
            assert (await tokens.token(seller)).expires_at is not None


@either_loop
async def test_a_slow_answer_s_lifetime_counts_from_the_request(scenario):
    """Twenty-five seconds are not added to the token's life."""

    async def slowly(go_on):
        answer = await go_on()
        scenario.clock.advance(25)
        return answer

    transport = Between(slowly)
    async with scenario.manager(client=scenario.client(transport=transport)) as tokens:
        await tokens.authorize(scenario.code())
        sent = scenario.clock.now()
        token = await tokens.refresh("1001")
        assert (token.issued_at - sent).total_seconds() < 20
        assert token.expires_at - token.issued_at == timedelta(days=30)
    await transport.aclose()
