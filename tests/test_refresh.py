"""When to refresh, over all numbers."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import iop_async as iop
from iop_async._refresh import Freshness, RefreshPolicy

SENT = datetime(2026, 1, 1, tzinfo=UTC)
DAY = 86400
POLICY = RefreshPolicy()


def token(access, refresh, *, refresh_token="r"):
    return iop.Token(
        access_token="a",
        refresh_token=refresh_token,
        issued_at=SENT,
        expires_at=None if access is None else SENT + timedelta(seconds=access),
        refresh_expires_at=None if refresh is None else SENT + timedelta(seconds=refresh),
    )


def at(seconds):
    return SENT + timedelta(seconds=seconds)


def freshness_of(access, refresh, now, **options):
    return POLICY.freshness(token(access, refresh, **options), at(now))


@pytest.mark.parametrize(
    ("access", "refresh", "now", "freshness", "until"),
    [
        (30 * DAY, 180 * DAY, 0, Freshness.FRESH, 30 * DAY - 1800),
        (30 * DAY, 180 * DAY, 30 * DAY - 1800, Freshness.DUE, 30 * DAY - 60),
        (30 * DAY, 180 * DAY, 30 * DAY - 60, Freshness.MUST_WAIT, 30 * DAY),
        (30 * DAY, 180 * DAY, 30 * DAY, Freshness.MUST_WAIT, 180 * DAY),
        (30 * DAY, 180 * DAY, 180 * DAY, Freshness.DEAD, None),
        (10, 60, 0, Freshness.FRESH, 5),
        (10, 60, 5, Freshness.DUE, 9),
        (3600, 7200, 0, Freshness.FRESH, 1800),
        (30 * DAY, 0, 0, Freshness.CANNOT_REFRESH, 30 * DAY),
        (30 * DAY, 0, 30 * DAY, Freshness.DEAD, None),
        (30 * DAY, None, 0, Freshness.FRESH, 30 * DAY - 1800),
        (None, 60 * DAY, 0, Freshness.FRESH, 5400),
        (None, 60 * DAY, 5400, Freshness.DUE, 60 * DAY),
        (None, 60 * DAY, 60 * DAY, Freshness.CANNOT_REFRESH, None),
        (0, 60, 0, Freshness.MUST_WAIT, 60),
    ],
)
def test_the_states_of_a_token_s_life(access, refresh, now, freshness, until):
    """Thirty minutes early, at most half of a short life, and no refresh where none is allowed."""
    assert freshness_of(access, refresh, now) is freshness
    if until is None:
        assert freshness_of(access, refresh, 1000 * DAY) is freshness
    else:
        assert freshness_of(access, refresh, until - 1e-6) is freshness
        assert freshness_of(access, refresh, until) is not freshness or until in (access, refresh)


def test_a_token_without_a_refresh_token_is_served_to_its_end():
    """And then is dead."""
    assert freshness_of(100, 1000, 99, refresh_token=None) is Freshness.CANNOT_REFRESH
    assert freshness_of(100, 1000, 100, refresh_token=None) is Freshness.DEAD


def test_tokens_that_die_at_the_same_second_are_refreshed_long_before():
    """A longer outage than half an hour must not cost a grant."""
    assert freshness_of(3 * DAY, 3 * DAY, 2.5 * DAY - 1) is Freshness.FRESH
    assert freshness_of(3 * DAY, 3 * DAY, 2.5 * DAY) is Freshness.DUE


def test_the_last_refresh_comes_before_the_refresh_token_dies_and_only_once():
    """Its answer may outlive the refresh token; it is not refreshed again for that."""
    first = token(30 * DAY, 10 * DAY)
    due_at = POLICY.due_at(first)
    assert due_at == at(9.5 * DAY)
    last = iop.Token(
        access_token="a",
        refresh_token="r",
        issued_at=due_at,
        expires_at=due_at + timedelta(days=30),
        refresh_expires_at=first.refresh_expires_at,
    )
    assert POLICY.due_at(last) > last.refresh_expires_at
    assert POLICY.freshness(last, at(10 * DAY)) is Freshness.CANNOT_REFRESH


def test_a_policy_is_checked_when_it_is_made():
    """Nonsense never reaches a decision."""
    for nonsense in ({"lead": timedelta(0)}, {"share": 0}, {"share": 1.0}):
        with pytest.raises(ValueError, match="must be"):
            RefreshPolicy(**nonsense)
    with pytest.raises(ValueError, match="naive"):
        POLICY.freshness(token(1, 1), datetime(2026, 1, 1))  # noqa: DTZ001


seconds = st.integers(0, 10**9) | st.integers(0, 10**9).map(lambda ms: ms / 1000)
lifetimes = st.none() | seconds
policies = st.builds(
    RefreshPolicy,
    lead=st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=60)),
    share=st.floats(0.01, 0.99),
    horizon_lead=st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=60)),
)


@given(policies, lifetimes, lifetimes, seconds)
def test_no_token_that_cannot_be_refreshed_is_to_be(policy, access, refresh, elapsed):
    """A dead or forbidden refresh token is not presented; one that is alive may be."""
    grant = token(access, refresh)
    now = at(elapsed)
    found = policy.freshness(grant, now)
    may_refresh = found in (Freshness.FRESH, Freshness.DUE, Freshness.MUST_WAIT)
    if refresh == 0 or (refresh is not None and elapsed >= refresh):
        assert not may_refresh
    else:
        assert may_refresh
    if access is not None and elapsed >= access:
        assert found in (Freshness.MUST_WAIT, Freshness.DEAD)


@given(policies, st.integers(1, 10**7), st.none() | st.integers(1, 10**8))
def test_there_is_never_a_hot_loop(policy, access, refresh):
    """Every refresh follows its predecessor by a share of a lifetime; one more at the end."""
    grant = token(access, refresh)
    soonest = timedelta(seconds=access) * min(policy.share, 0.01)
    horizon_refreshes = 0
    for _ in range(50):
        due_at = policy.due_at(grant)
        if grant.refresh_expires_at is not None and due_at >= grant.refresh_expires_at:
            break
        if due_at - grant.issued_at < soonest:
            horizon_refreshes += 1
        grant = iop.Token(
            access_token="a",
            refresh_token="r",
            issued_at=due_at,
            expires_at=due_at + timedelta(seconds=access),
            refresh_expires_at=grant.refresh_expires_at,
        )
    assert horizon_refreshes <= 1


@given(policies, st.integers(1, 10**7), st.integers(1, 10**8))
def test_no_refresh_token_dies_unused_while_its_access_token_could_have_been_renewed(
    policy, access, refresh
):
    """Where the horizon comes within an access token's life, one refresh comes shortly before."""
    assume(refresh > access / 4 + 1)
    grant = token(access, refresh)
    while (due_at := policy.due_at(grant)) < grant.refresh_expires_at:
        grant = iop.Token(
            access_token="a",
            refresh_token="r",
            issued_at=due_at,
            expires_at=due_at + timedelta(seconds=access),
            refresh_expires_at=grant.refresh_expires_at,
        )
        if (grant.refresh_expires_at - SENT) / timedelta(seconds=access) > 200:
            return
    lead = grant.refresh_expires_at - grant.issued_at
    longest = timedelta(seconds=access) * max(policy.share, 1 - policy.share)
    assert lead <= max(min(policy.horizon_lead, timedelta(seconds=access) / 4), longest)
