"""Outages of the token endpoint, lived through and counted: a drill that prints its tables.

::

    python -m pytest -m drill tests/tokens/test_outages.py
"""

from collections import Counter
from datetime import timedelta
from itertools import product

import anyio
import pytest
from attrs import define, field
from tokens_scenario import DAY, LEAD, REFRESH
from virtual_time import (
    PATIENCE,
    InProcess,
    VirtualClock,
    import_sellers,
    lived_through,
    manager,
    new_sandbox,
)

SELLERS = 100
KINDS = {
    "502": {"kind": "status", "status": 502},
    "reset before": {"kind": "reset", "after": False},
    "reset after": {"kind": "drop"},
    "timeout": {"kind": "latency", "seconds": 60},
    "ServiceTimeout": {"kind": "error", "code": "ServiceTimeout"},
    "unknown code": {"kind": "error", "code": "NobodyKnowsThisCode"},
    "HTML": {"kind": "html"},
}
"""What came back, before a request was read or after it."""

LENGTHS = {"3 s": 3, "10 s": 10, "2 min": 120, "29 min": 29 * 60, "6 h": 6 * 3600}
MOST_PRESENTED = {"3 s": 3, "10 s": 3, "2 min": 5, "29 min": 9, "6 h": 30}
"""Times that the schedule of one seller allows, the second look at a refusal included."""


@define
class Outcome:
    """What became of the sellers of one outage.

    Attributes:
        told: how often of each kind and seller.
        ended_at: seconds after the outage's end until each was refreshed, or told to come.
        spent: whose refresh token the gateway took, and whose new pair nobody received.
        presented: how often each refresh token was.
    """

    told: Counter = field(factory=Counter)
    ended_at: dict = field(factory=dict)
    spent: set = field(factory=set)
    lost: set = field(factory=set)
    presented: Counter = field(factory=Counter)

    def times(self, kind):
        return sum(count for (told, _), count in self.told.items() if told == kind)


async def fall_due(clock, fault, length, *, sellers=SELLERS):
    """Sellers fall due one after the other, from an outage's first moment to its last."""
    sandbox, outcome = new_sandbox(clock, sellers), Outcome()
    lease_seconds = max(15.0, length / 72)  # who renews leases wakes up often
    transport = InProcess(sandbox)
    async with manager(clock, transport, lease_seconds=lease_seconds) as tokens:
        events, over_at = tokens.events(), clock.monotonic() + length
        await import_sellers(
            tokens, clock, sandbox, left=lambda rank: LEAD + length * rank / sellers
        )
        sandbox.fail(**fault, api=REFRESH, for_seconds=length)
        # Beyond the end of all: whatever became of a seller is told of once.
        with anyio.move_on_after(length + 300):
            async for event in events:
                outcome.told[event.kind, event.seller_id] += 1
                if event.kind in ("refreshed", "reauthorize"):
                    outcome.ended_at[event.seller_id] = clock.monotonic() - over_at
        outcome.lost = {one.seller_id async for one in tokens.statuses() if one.state != "live"}
    outcome.presented = transport.presented
    accepted = {entry.seller for entry in sandbox.ledger.refreshes if entry.accepted}
    outcome.spent = {each for each in accepted if not outcome.told["refreshed", each]}
    return outcome


@pytest.mark.parametrize("spends", [False, True])
def test_whoever_failed_for_hours_is_seen_to_as_soon_as_something_gets_through(spends):
    """Not by the schedule of each, which has grown to a quarter of an hour; spent or not."""
    fault = {**KINDS["ServiceTimeout"], "after": spends}
    outcome = lived_through(fall_due, fault, 3 * 3600, sellers=8)
    judge(outcome, sellers=8, spends=spends, length="6 h")
    ended = sorted(at for at in outcome.ended_at.values() if at > 0)
    assert ended[-1] - ended[0] <= seconds_after_the_first(spends=spends)


COLUMNS = "{:15}{:>7}{:>6}{:>5}{:>10}{:>12}{:>9}{:>11}{:>10}{:>7}"


@pytest.mark.drill
def test_an_outage_costs_nobody_whose_token_is_unspent_and_everybody_else_is_told(show):
    """Whatever comes back, and for however long: lost are the spent ones, each told of once."""
    words = "answer length spent lost ambiguous reauthorize incident presented".split()
    show(COLUMNS.format(*words, "of one", "until"))
    for (name, fault), length in product(KINDS.items(), LENGTHS):
        for spends in [False] if name == "reset before" else [False, True]:
            outcome = lived_through(fall_due, {**fault, "after": spends}, LENGTHS[length])
            show(
                COLUMNS.format(
                    name,
                    length,
                    len(outcome.spent),
                    len(outcome.lost),
                    *map(outcome.times, ("ambiguous", "reauthorize", "incident")),
                    outcome.presented.total(),
                    max(outcome.presented.values()),
                    f"{max(outcome.ended_at.values()):.0f} s",
                )
            )
            judge(outcome, sellers=SELLERS, spends=spends, length=length)
            # Probes that time out, and what follows the first that gets through.
            until = 60 * 1.2 + PATIENCE + seconds_after_the_first(spends=spends)
            assert max(outcome.ended_at.values()) <= until


def seconds_after_the_first(*, spends):
    """The pace, and the looks of a keeper; the second look at a refusal."""
    return 30 + 61 * spends


def judge(outcome, *, sellers, spends, length):
    assert bool(outcome.spent) == spends
    assert len(outcome.ended_at) == sellers
    assert outcome.lost == outcome.spent
    assert outcome.times("refreshed") == sellers - len(outcome.spent)
    for seller_id in outcome.ended_at:
        is_spent = seller_id in outcome.spent
        assert outcome.told["reauthorize", seller_id] == is_spent
        assert is_spent <= outcome.told["ambiguous", seller_id] <= 1
    assert outcome.times("incident") == 0
    assert max(outcome.presented.values()) <= MOST_PRESENTED[length]


async def a_day_long_outage(clock, sellers):
    """The gateway is down from the moment on at which all access tokens have ended."""
    sandbox, recovered_at = new_sandbox(clock, sellers), {}
    transport = InProcess(sandbox)
    async with manager(clock, transport, lease_seconds=1200.0) as tokens:
        events = tokens.events()
        await import_sellers(tokens, clock, sandbox, left=lambda _: DAY)
        await anyio.sleep(DAY - LEAD - 10 - clock.monotonic())
        sandbox.fail("status", status=502, api=REFRESH, for_seconds=DAY + LEAD + 10)
        over_at = clock.monotonic() + DAY + LEAD + 10
        with anyio.fail_after(DAY + 2 * 3600):
            async for event in events:
                if event.kind == "refreshed":
                    recovered_at[event.seller_id] = clock.monotonic() - over_at
                    if len(recovered_at) == sellers:
                        break
        assert {one.state async for one in tokens.statuses()} == {"live"}
    return transport.presented, [at - over_at for at in transport.sent_at], recovered_at


def busiest(moments, seconds):
    """Most of the moments that lie within so many seconds."""
    return max(sum(at <= moment < at + seconds for moment in moments) for at in moments)


@pytest.mark.drill
@pytest.mark.parametrize("sellers", [1, 500])
def test_a_day_long_outage_is_no_flood_and_over_a_minute_after_its_end(sellers, show):
    """However many ask: few presentations of each, and a pace for all of them together."""
    presented, sent_at, recovered_at = lived_through(a_day_long_outage, sellers)
    in_vain = [at for at in sent_at if at < 0]
    afterwards = [at for at in sent_at if at >= 0]
    show(
        f"{sellers} sellers, down for a day: {len(in_vain)} presentations in vain, "
        f"{max(presented.values())} of one at most; {busiest(sent_at, 1)} in the busiest "
        f"second; the first {min(afterwards):.0f} s after the end, all refreshed "
        f"{max(recovered_at.values()) - min(afterwards):.0f} s after that"
    )
    assert max(presented.values()) <= 110
    assert len(in_vain) <= DAY / 45 + 100
    assert max(recovered_at.values()) - min(afterwards) <= 60


class Lengthening(InProcess):
    """To a gateway whose ban begins anew with every call during it."""

    limit = None

    async def send(self, request):
        response = await super().send(request)
        if b"this ban will last" in response.content:
            self.limit._window_ends_at = VirtualClock().now() + timedelta(seconds=1)
        return response


async def a_limit_that_bans(clock, kind, *, latency):
    """Twenty in a second, and a second's ban, of which a batch of two hundred knows nothing."""
    sandbox = new_sandbox(clock, 200)
    limit = sandbox.fail("limit", api=REFRESH, calls=20, seconds=1.0, ban_seconds=1.0)
    transport = kind(sandbox, latency=latency)
    transport.limit = limit
    async with manager(clock, transport, keeper=False) as tokens:
        await import_sellers(tokens, clock, sandbox, left=lambda _: DAY)
        began = clock.monotonic()
        report = await tokens.refresh_many(sandbox.sellers)
        return report, limit.hits, clock.monotonic() - began


@pytest.mark.drill
@pytest.mark.parametrize("kind", [InProcess, Lengthening])
@pytest.mark.parametrize("latency", [0.01, 0.05, 0.1])
def test_a_batch_at_a_limit_waits_at_the_gate_and_then_succeeds(kind, latency, show):
    """Nobody fails, few ask during a ban, and it takes little longer than the limit demands."""
    report, refused, seconds = lived_through(a_limit_that_bans, kind, latency=latency)
    show(
        f"200 sellers at 20 a second, answers within {latency} s: "
        f"{len(report.refreshed)} refreshed, {refused} of {200 + refused} requests refused, "
        f"{seconds:.1f} s: {seconds / 10:.2f} of the ideal"
    )
    assert len(report.refreshed) == 200
    assert refused / (200 + refused) <= 0.05
    assert seconds <= 10 * 1.2
