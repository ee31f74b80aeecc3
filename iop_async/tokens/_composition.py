"""A manager put together: what it keeps from one entering to the next, and what it makes anew."""

from __future__ import annotations

from typing import Final

from .._client import Client
from .._clock import Clock
from .._refresh import RefreshPolicy
from ..calling import Gate, RateLimiter
from ..protocols import TokenStore
from ._cache import Cache
from ._defaults import endpoints_of, journal_beside, scope_of
from ._events import Announcer
from ._follower import Follower
from ._inputs import Settings
from ._presentations import Presentations
from ._presenter import Presenter
from ._refresher import Refresher
from ._running import Running
from ._stored import Leases
from ._vault import Vault

_RECOVERY_PACE: Final = 20.0
"""Refreshes begun in a second after an outage of the token endpoint."""


def make_vault(
    client: Client, store: TokenStore, policy: RefreshPolicy, settings: Settings
) -> Vault:
    """The vault over a store.

    Raises:
        ValueError: without the store one is to go on with a journal, and there is none.
    """
    journal = journal_beside(store, settings.journal)
    alone = settings.on_store_failure == "journal"
    if alone and journal is None:
        msg = "to go on without the store there must be a journal: say journal='tokens.spill'"
        raise ValueError(msg)
    scope = scope_of(client) if settings.scope is None else settings.scope
    return Vault(
        store,
        cache=Cache(settings.cached),
        journal=journal,
        scope=scope,
        policy=policy,
        leases=Leases(store, scope, settings.lease_seconds),
        alone=alone,
    )


def make_running(
    client: Client,
    vault: Vault,
    settings: Settings,
    *,
    policy: RefreshPolicy,
    clock: Clock,
    announcer: Announcer,
    rate: RateLimiter,
) -> Running:
    """What runs from entering to leaving: gates, and what is known of incidents, begin anew."""
    gate = Gate(clock, limit=settings.concurrency, recovers_at=_RECOVERY_PACE)
    presentations = Presentations(gate, clock, announcer)
    refresher = _make_refresher(
        client, vault, presentations, policy=policy, clock=clock, announcer=announcer, rate=rate
    )
    is_follower = settings.role == "follower"
    return Running(
        refresher,
        Follower(vault, policy=policy, clock=clock) if is_follower else None,
        vault,
        policy=policy,
        clock=clock,
        announcer=announcer,
        presentations=presentations,
        capacity=settings.concurrency * 4 if settings.keeper and not is_follower else 0,
        places=settings.concurrency * 4,
        lease_seconds=settings.lease_seconds,
        drain_seconds=settings.drain_seconds,
    )


def _make_refresher(
    client: Client,
    vault: Vault,
    presentations: Presentations,
    *,
    policy: RefreshPolicy,
    clock: Clock,
    announcer: Announcer,
    rate: RateLimiter,
) -> Refresher:
    presenter = Presenter(
        client,
        endpoints_of(client),
        vault,
        policy=policy,
        clock=clock,
        rate=rate,
        presentations=presentations,
    )
    return Refresher(
        presenter,
        vault,
        policy=policy,
        clock=clock,
        announcer=announcer,
        presentations=presentations,
    )
