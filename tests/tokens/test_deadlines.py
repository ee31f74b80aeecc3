"""When a grant is looked at next: never again for what has been done."""

from datetime import UTC, datetime, timedelta

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

import iop_async as iop
from iop_async.tokens._grant import WARNINGS, Grant, due_at, refresh_at, warned, warning_due

BORN = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = iop.RefreshPolicy()
moments = st.integers(0, 90 * 24).map(lambda hours: BORN + timedelta(hours=hours))

tokens = st.builds(
    iop.Token,
    access_token=st.just("a"),
    refresh_token=st.none() | st.just("r"),
    issued_at=st.just(BORN),
    expires_at=st.none() | moments,
    refresh_expires_at=st.none() | moments,
)
grants = st.builds(
    Grant,
    scope=st.just("s"),
    seller_id=st.just("1001"),
    seller_ids=st.just(("1001",)),
    token=tokens,
    state=st.sampled_from(["live", "ambiguous", "reauthorize"]),
    retry_at=st.none() | moments,
    wanted_at=st.none() | moments,
    warned=st.frozensets(st.sampled_from(list(WARNINGS))),
)


@settings(max_examples=300)
@given(grants, moments)
def test_once_warned_a_grant_is_due_only_where_it_can_be_refreshed(grant, now):
    """Whoever looks at it would look again and again otherwise."""
    if (warning := warning_due(grant, now)) is not None:
        grant = evolve(grant, warned=warned(grant, warning))
    due = due_at(grant, POLICY)
    if due is not None and due <= now:
        horizon = grant.token.refresh_expires_at
        assert due == refresh_at(grant, POLICY)
        assert grant.token.refresh_token is not None
        assert horizon is None or horizon > now
