"""What an import costs a store does not depend on a clock: it is counted."""

from collections import Counter
from datetime import UTC, datetime

import pytest
from importing_helpers import counts, held
from sqlalchemy import event
from store_kinds import IN_TABLES, SHARED, provisioning

import iop_async as iop
from iop_async.stores._redis._runner import ScriptRunner
from iop_async.stores._worker import Worker

NEW = {"sqlite": 4, "postgresql": 12, "mariadb": 12, "redis": 12}
"""Jobs of a thread, statements or scripts, for a thousand sellers that are new."""

KNOWN = 2
"""... and for as many that are there already."""


@pytest.fixture(params=SHARED)
def location(request, tmp_path):
    with provisioning() as at:
        yield at(request.param, tmp_path)


def counted(monkeypatch, owner, name):
    """How often a method is called."""
    made = Counter()
    method = getattr(owner, name)

    async def watched(*args, **options):
        made[name] += 1
        return await method(*args, **options)

    monkeypatch.setattr(owner, name, watched)
    return made


def asked(monkeypatch, kind, store):
    """Counts whatever a store of some kind is told to do."""
    if kind not in IN_TABLES:
        owner, name = (Worker, "run") if kind == "sqlite" else (ScriptRunner, "execute")
        return counted(monkeypatch, owner, name)
    made = Counter()

    @event.listens_for(store._engine.pool.sync_engine, "before_cursor_execute")
    def sent(_connection, _cursor, statement, *_):
        made[statement.split()[0]] += not statement.startswith(("START", "BEGIN", "SET"))

    return made


async def test_a_thousand_sellers_cost_a_dozen_statements(location, monkeypatch, tmp_path):
    """However many of them there are in the store, and two where it has them all."""
    now = datetime.now(UTC)
    gateway = iop.gateways.Iop("http://127.0.0.1:9")
    async with (
        location.store() as store,
        iop.Client(iop.App("1", "2"), gateway) as client,
        iop.TokenManager(
            client, store, keeper=False, journal=tmp_path / "spill", scope="import"
        ) as tokens,
    ):
        for first in (0, 1_000, 2_000):
            given = [held(now, number) for number in range(first, first + 1_000)]
            made = asked(monkeypatch, location.kind, store)
            assert counts(await tokens.import_many(given)) == {"imported": 1_000}
            if first:  # with the first a connection is prepared
                assert made.total() == NEW[location.kind], made
        made = asked(monkeypatch, location.kind, store)
        assert counts(await tokens.import_many(given)) == {"unchanged": 1_000}
        assert made.total() == KNOWN, made
