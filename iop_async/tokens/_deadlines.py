"""When somebody must look at a grant next, and which warning its seller is due: pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from .._refresh import RefreshPolicy
from ._grants import LAST_WARNING, Grant, authorize_by

WARNINGS: Final = {
    "14 days": timedelta(days=14),
    "7 days": timedelta(days=7),
    "48 hours": timedelta(hours=48),
    LAST_WARNING: timedelta(0),
}
"""How long before a grant ends its seller is to be told, each once."""


def refresh_at(grant: Grant, policy: RefreshPolicy) -> datetime | None:
    """When to refresh, failures considered; ``None`` where nobody may."""
    token = grant.token
    if grant.state != "live" or not token.refreshable:
        return None
    moment = grant.intent.at if grant.intent else policy.due_at(token)
    if grant.wanted_at is not None:
        moment = min(moment, grant.wanted_at)
    if grant.retry_at is not None:
        moment = max(moment, grant.retry_at)
    if token.refresh_expires_at is not None and moment >= token.refresh_expires_at:
        return None
    return moment


def is_due(grant: Grant, policy: RefreshPolicy, now: datetime) -> bool:
    """Whether to refresh it now."""
    moment = refresh_at(grant, policy)
    return moment is not None and moment <= now and not is_dead(grant, now)


def is_dead(grant: Grant, now: datetime) -> bool:
    """Whether the refresh token has expired."""
    end = grant.token.refresh_expires_at
    return end is not None and now >= end


def due_at(grant: Grant, policy: RefreshPolicy) -> datetime | None:
    """When to look at the grant next, be it to refresh it or to warn.

    Once its last warning was given nobody need look: that was when its refresh token had expired.
    """
    # By somebody's clock, which may be wrong: who needs the token decides by his own.
    moment = None if LAST_WARNING in grant.warned else refresh_at(grant, policy)
    moments = (moment, *_warning_times(grant).values())
    return min((moment for moment in moments if moment is not None), default=None)


def warning_due(grant: Grant, now: datetime) -> str | None:
    """The most urgent warning whose time has come and that was not given."""
    come = [name for name, moment in _warning_times(grant).items() if moment <= now]
    return come[-1] if come else None


def warned(grant: Grant, warning: str) -> frozenset[str]:
    """The warnings given once this one is: a more urgent one makes the others idle."""
    names = list(WARNINGS)
    return grant.warned | set(names[: names.index(warning) + 1])


def _warning_times(grant: Grant) -> dict[str, datetime]:
    end = authorize_by(grant)
    if end is None:
        return {}
    return {
        name: end - lead
        for name, lead in WARNINGS.items()
        if name not in grant.warned and (not lead or end - lead > grant.token.issued_at)
    }
