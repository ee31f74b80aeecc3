"""What is concluded from the answers to many sellers' refreshes, and from none at all."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from tokens_scenario import DAY, LEAD, MONTH, REFRESH, all_told, each_store, either_loop

import iop_async as iop
from iop_async.calling import LONGEST_WAIT
from iop_async.tokens._grant import Grant, refresh_at
from iop_async.tokens._transitions import intending
from iop_async.tokens._verdicts import after_failure

SELLERS = 30

LOST = (
    {"kind": "status", "status": 502},
    {"kind": "reset", "after": False},
    {"kind": "drop", "after": False},
    {"kind": "html", "after": False},
    {"kind": "error", "code": "ServiceTimeout"},
    {"kind": "error", "code": "NobodyKnowsThisCode"},
)
"""After which nobody knows whether the refresh token is spent; here it never is."""


def by_kind(fault):
    return "-".join(str(fault[name]) for name in ("kind", "code") if name in fault)


async def fallen_due(tokens, scenario, count=SELLERS):
    """The ids of so many sellers, all of whose tokens are due."""
    scenario.sandbox.add_sellers(count - 3)
    for seller_id in scenario.sandbox.sellers:
        await tokens.authorize(scenario.code(seller_id))
    scenario.clock.advance(MONTH - LEAD + 60)
    return list(scenario.sandbox.sellers)


async def keep_until(tokens, scenario, is_over, *, step, at_most):
    """Refresh what falls due, as time passes, until something is so."""
    passed = 0
    while not await is_over():
        assert passed < at_most
        scenario.clock.advance(step)
        await tokens.refresh_due()
        passed += step


async def states(tokens):
    return {status.seller_id: status async for status in tokens.statuses()}


async def told(tokens, events):
    """What was told of, and how often of each seller."""
    return Counter((event.kind, event.seller_id) for event in await all_told(tokens, events))


def times_presented(scenario):
    return Counter(entry.seller for entry in scenario.sandbox.ledger.refreshes)


@pytest.mark.parametrize(("outage", "most"), [(10, 2), (120, 4)])
@pytest.mark.parametrize("fault", LOST, ids=by_kind)
@either_loop
async def test_answers_lost_while_many_fall_due_cost_no_grant(scenario, fault, outage, most):
    """All are refreshed afterwards, and none was presented oftener than the schedule says."""
    async with scenario.manager() as tokens:
        events = tokens.events()
        seller_ids = await fallen_due(tokens, scenario, 12)
        scenario.sandbox.fail(**fault, api=REFRESH, for_seconds=outage)
        await tokens.refresh_due()

        async def are_refreshed():
            return all(one.generation == 2 for one in (await states(tokens)).values())

        await keep_until(tokens, scenario, are_refreshed, step=10, at_most=1200)
        assert {one.state for one in (await states(tokens)).values()} == {"live"}
        seen = await told(tokens, events)
        for seller_id in seller_ids:
            assert seen["refreshed", seller_id] == 1
            assert seen["ambiguous", seller_id] <= 1
            assert seen["reauthorize", seller_id] == 0
    assert max(times_presented(scenario).values()) <= most


@either_loop
async def test_answers_lost_with_every_token_spent_end_in_one_definite_answer_each(scenario):
    """What was presented before, and not answered, may well be spent: that is no incident."""
    async with scenario.manager() as tokens:
        events = tokens.events()
        seller_ids = await fallen_due(tokens, scenario, 30)
        scenario.sandbox.fail("drop", api=REFRESH, times=None, times_each=1)
        await tokens.refresh_due()

        async def are_given_up():
            return all(one.state == "reauthorize" for one in (await states(tokens)).values())

        await keep_until(tokens, scenario, are_given_up, step=30, at_most=3 * 3600)
        presented = scenario.presented()
        scenario.clock.advance(DAY)
        await tokens.refresh_due()
        seen = await told(tokens, events)
        assert scenario.presented() == presented
        for seller_id in seller_ids:
            assert seen["ambiguous", seller_id] == 1
            assert seen["reauthorize", seller_id] == 1
            assert seen["refreshed", seller_id] == 0
        assert seen["incident", None] == 0


@pytest.mark.parametrize("is_spent", [False, True], ids=["unspent", "spent"])
@each_store
async def test_lost_answers_end_definitely_in_every_store(shared, is_spent):
    """Across hosts: who presents next need not be who had no answer."""
    async with shared.hosts(2, lease_seconds=60) as hosts:
        seller_ids = await fallen_due(hosts[0], shared, 6)
        fault = {"kind": "drop", "times_each": 1} if is_spent else {"kind": "reset", "after": False}
        shared.sandbox.fail(**fault, api=REFRESH, times=None, for_seconds=120)
        passed = 0
        while any(
            one.state == "ambiguous" or (one.state == "live" and one.generation == 1)
            for one in (await states(hosts[1])).values()
        ):
            await hosts[passed // 10 % 2].refresh_due()
            shared.clock.advance(10)
            passed += 10
            assert passed < 1200
        ended = {(one.state, one.generation) for one in (await states(hosts[1])).values()}
    assert ended == {("reauthorize", 1) if is_spent else ("live", 2)}
    assert len(seller_ids) == len(times_presented(shared))
    assert max(times_presented(shared).values()) <= 5


@either_loop
async def test_refusals_of_everybody_are_believed_once_they_have_lasted(scenario):
    """After half an hour each grant is given up, and told of once; so is the incident."""
    async with scenario.manager() as tokens:
        events = tokens.events()
        seller_ids = await fallen_due(tokens, scenario, 12)
        for pair in scenario.sandbox.grants.live():
            pair.refresh_live = False
        await tokens.refresh_due()
        began = scenario.clock.now()

        async def are_given_up():
            return all(one.state == "reauthorize" for one in (await states(tokens)).values())

        await keep_until(tokens, scenario, are_given_up, step=30, at_most=2 * 3600)
        assert scenario.clock.now() - began >= timedelta(minutes=29)
        seen = await told(tokens, events)
        assert (seen["incident", None], seen["incident_over", None]) == (1, 1)
        for seller_id in seller_ids:
            assert seen["reauthorize", seller_id] == 1


@either_loop
async def test_a_gateway_that_is_down_for_a_day_is_asked_ever_more_seldom(scenario):
    """Fewer than a hundred presentations, although the access token is over; then it recovers."""
    async with scenario.manager() as tokens:
        await tokens.authorize(scenario.code())
        scenario.clock.advance(MONTH + 1)
        down = scenario.sandbox.fail("status", status=502, api=REFRESH, for_seconds=DAY)
        began = scenario.clock.now()
        moments = []
        while (await tokens.status("1001")).generation == 1:
            assert len(moments) < 100
            moments.append((scenario.clock.now() - began).total_seconds())
            await tokens.refresh_due()
            assert scenario.presented() == len(moments)
            status = await tokens.status("1001")
            if status.retry_at is not None:
                left = (status.retry_at - scenario.clock.now()).total_seconds()
                assert left <= LONGEST_WAIT * 1.2
                scenario.clock.advance(left + 0.01)
        assert sum(moment <= 20 * 60 for moment in moments) == 8
        assert DAY <= moments[-1] <= DAY + LONGEST_WAIT * 1.2 + 60
        assert down.hits == len(moments) - 1
        assert (await tokens.status("1001")).state == "live"


def another_s_pair(answer):
    """Of a seller whom nobody asked for."""
    return json.dumps(
        {
            "access_token": "a-of-another",
            "refresh_token": "r-of-another",
            "expires_in": 2592000,
            "refresh_expires_in": 5184000,
            "country_user_info": [{"country": "sg", "seller_id": "666", "user_id": "666"}],
            "code": "0",
            "request_id": "1",
        }
    )


@pytest.mark.parametrize(
    ("fault", "incidents"),
    [
        ({"kind": "error", "code": "IllegalRefreshToken"}, 1),
        ({"kind": "body", "body": another_s_pair, "after": False}, 1),
        ({"kind": "error", "code": "InvalidAppkey"}, 1),
    ],
    ids=["refusals", "another-seller", "app"],
)
@either_loop
async def test_five_seconds_in_which_everybody_is_refused_cost_no_grant(scenario, fault, incidents):
    """One event says that it is not believed, and one that it is over; all are refreshed."""
    async with scenario.manager() as tokens:
        events = tokens.events()
        seller_ids = await fallen_due(tokens, scenario)
        scenario.sandbox.fail(**fault, api=REFRESH, times=None, for_seconds=5)
        await tokens.refresh_due()
        before = await states(tokens)
        assert {one.state for one in before.values()} == {"live"}
        assert {one.generation for one in before.values()} == {1}

        async def are_refreshed():
            return all(one.generation == 2 for one in (await states(tokens)).values())

        await keep_until(tokens, scenario, are_refreshed, step=7, at_most=600)
        seen = await told(tokens, events)
        assert seen["incident", None] == seen["incident_over", None] == incidents
        for seller_id in seller_ids:
            assert seen["reauthorize", seller_id] == 0
            assert seen["refreshed", seller_id] == 1


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 429, "retry_after": "86400000"},
        {"kind": "status", "status": 503, "retry_after": "86400000"},
        {"kind": "status", "status": 429, "retry_after": "Fri, 01 Jan 2100 00:00:00 GMT"},
        {"kind": "status", "status": 503, "retry_after": "Fri, 01 Jan 2100 00:00:00 GMT"},
        {"kind": "ban", "seconds": 10**9, "times": 1},
    ],
    ids=lambda fault: "-".join(map(str, fault.values())),
)
@either_loop
async def test_a_wait_beyond_reason_is_a_quarter_of_an_hour(scenario, fault):
    """Whatever a gateway names, its ban is over by then, and the first try succeeds."""
    async with scenario.manager() as tokens:
        await fallen_due(tokens, scenario, 3)
        scenario.sandbox.fail(**fault, api=REFRESH)
        with pytest.raises(iop.ApiError):
            await tokens.refresh("1001")
        left = ((await tokens.status("1001")).retry_at - scenario.clock.now()).total_seconds()
        assert 0 < left <= LONGEST_WAIT + 1
        scenario.clock.advance(LONGEST_WAIT + 2)
        assert "1001" in (await tokens.refresh_due()).refreshed
        assert times_presented(scenario)["1001"] == 2


@pytest.mark.parametrize("retry_after", ["Sat, 01 Jan 2000 00:00:00 GMT", "0", "0.5", "-7"])
@either_loop
async def test_a_wait_that_is_over_is_none(scenario, retry_after):
    """A date in the past: it is presented again, and in line with all others."""
    async with scenario.manager() as tokens:
        await fallen_due(tokens, scenario, 3)
        scenario.sandbox.fail("status", status=429, retry_after=retry_after, api=REFRESH)
        assert (await tokens.refresh("1001")).access_token == scenario.live().access_token
        assert scenario.presented() == 2


@pytest.mark.parametrize("expires_in", [MONTH * 1000, str(MONTH * 1000), 0, -1, 10**15])
@either_loop
async def test_a_lifetime_that_cannot_be_is_served_and_refreshed_in_time(scenario, expires_in):
    """In milliseconds, none, less than none, and more than anybody gives."""
    async with scenario.manager() as tokens:
        await tokens.authorize(scenario.code())
        scenario.clock.advance(MONTH - LEAD + 60)
        scenario.sandbox.fail("patch", api=REFRESH, fields={"expires_in": expires_in})
        await tokens.refresh("1001")
        due_at = refresh_at(await tokens._vault.load("1001"), iop.RefreshPolicy())
        left = (due_at - scenario.clock.now()).total_seconds()
        assert 60 < left <= MONTH
        for _ in range(3):
            await tokens.seller("1001").call("/seller/get")
        assert scenario.presented() == 1
        scenario.clock.advance(left + 1)
        assert (await tokens.refresh_due()).refreshed == ("1001",)


NOW = datetime(2026, 1, 31, tzinfo=UTC)
REFUSED = iop.AuthError("IllegalRefreshToken", "no")
REFUSED.refresh_token_rejected = True
LATER = iop.ServiceError("ServiceUnavailable", "later")
LATER.may_have_been_applied = False
LATE = iop.ServiceError("ServiceTimeout", "late")
LATE.may_have_been_applied = True
SILENT = (
    iop.TransportTimeout("no answer", may_have_been_applied=True),
    iop.ProtocolError("no answer", content=b"<html>"),
    LATE,
    iop.ApiError("NobodyKnowsThisCode", "?"),
    iop.AuthError("IllegalAccessToken", "not presented"),
)
NOT_APPLIED = (
    iop.TransportError("nobody there", may_have_been_applied=False),
    LATER,
    iop.Throttled("ApiCallLimit", "slower"),
    iop.SignatureError("IncompleteSignature", "wrong"),
)
jitters = st.floats(0, 1)


def a_grant(left=timedelta(days=20)):
    token = iop.Token(
        access_token="a",
        refresh_token="r",
        issued_at=NOW - timedelta(days=10),
        expires_at=NOW + left,
        refresh_expires_at=NOW + timedelta(days=150),
        sellers=(iop.Seller(seller_id="1001"),),
    )
    return Grant(scope="s", seller_id="1001", seller_ids=("1001",), token=token)


@given(st.sampled_from([*SILENT, *NOT_APPLIED]), st.lists(jitters, min_size=2, max_size=20))
def test_no_wait_is_shorter_than_the_one_before_until_the_longest(error, luck):
    """However the jitter falls; and none is longer than a quarter of an hour and a fifth of it."""
    grant, now, waits = a_grant(), NOW, []
    for jitter in luck:
        grant = after_failure(intending(grant, now, "h"), error, now, jitter)
        waits.append((grant.retry_at - now).total_seconds())
        now = grant.retry_at
    assert all(later >= min(wait, LONGEST_WAIT) for wait, later in pairwise(waits))
    assert all(0 < wait <= LONGEST_WAIT * 1.2 for wait in waits)
    assert grant.attempts == len(luck)


@given(
    st.lists(st.tuples(st.sampled_from([*SILENT, *NOT_APPLIED]), jitters), max_size=30),
    st.integers(-90, 90),
)
def test_nothing_but_refusals_gives_a_grant_up(failures, minutes):
    """The pair and the hope of another are as they were, before the access token's end and after.

    A lost answer is asked for until one is definite: its intent stays through whatever follows.
    """
    grant, now = a_grant(left=timedelta(minutes=minutes)), NOW
    was_silent = 0
    for error, jitter in failures:
        grant = after_failure(intending(grant, now, "h"), error, now, jitter)
        was_silent += error in SILENT
        assert grant.state == ("live" if was_silent == 0 else grant.state)
        assert grant.state != "reauthorize"
        assert grant.token == a_grant(left=timedelta(minutes=minutes)).token
        assert (grant.intent is not None) == (was_silent > 0)
        assert grant.retry_at > now
        now = grant.retry_at


@given(st.integers(0, 7), st.integers(61, 29 * 60), jitters, st.integers(-90, 90))
def test_a_refusal_is_given_a_second_look_and_none_is_believed_in_an_incident(
    soon, later, jitter, minutes
):
    """Whoever asks; how long an incident lasts is not a grant's business."""
    asked = intending(a_grant(left=timedelta(minutes=minutes)), NOW, "h")
    first = after_failure(asked, REFUSED, NOW, jitter)
    assert (first.state, first.refused_at, first.intent) == ("live", NOW, None)
    assert NOW + timedelta(seconds=10) <= first.retry_at <= NOW + timedelta(seconds=60)

    def look(seconds, **options):
        now = NOW + timedelta(seconds=seconds)
        return after_failure(intending(first, now, "h"), REFUSED, now, jitter, **options)

    assert look(soon).state == "live"
    assert look(later, in_incident=True).state == "live"
    assert look(later).state == "reauthorize"
    assert look(30 * 60, in_incident=True).state == "live"


def test_no_incident_costs_a_grant_the_pair_that_it_uses():
    """One that was put aside takes its turn when a refusal counts, and not before."""
    grant = a_grant()
    aside = evolve(grant.token, access_token="a2", refresh_token="r2")
    grant = intending(evolve(grant, candidates=(aside,)), NOW, "h")
    assert after_failure(grant, REFUSED, NOW, 0.0, in_incident=True).token == grant.token
    assert after_failure(grant, REFUSED, NOW, 0.0).token == aside
