"""Rows that were torn, or planted by who can write to the database, under a manager."""

import json
import sqlite3
from contextlib import closing

import anyio
import pytest
from attrs import evolve
from tokens_scenario import MONTH, each_store, either_loop, eventually

import iop_async as iop

LEAD_AND_MORE = 60 * 20
PLANTED = 60


def body(change):
    """What becomes of the body of a row, which it keeps as JSON."""

    def spoil(text):
        made = change(json.loads(text))
        return made if isinstance(made, bytes) else json.dumps(made).encode()

    return spoil


SPOILED = {
    "due before all time": {"due_at": -(2**63)},
    "expiry as text": {"dies_at": "soon"},
    "sellers torn": {"sellers": '["1'},
    "generation negative": {"generation": -1},
    "generation huge": {"generation": 2**63 - 1},
    "body torn": {"body": body(lambda grant: json.dumps(grant).encode()[:-9])},
    "body nested deep": {"body": body(lambda _: b"[" * 3_000 + b"]" * 3_000)},
    "schema as text": {"body": body(lambda grant: {**grant, "schema": "1"})},
    "a time out of range": {
        "body": body(lambda grant: {**grant, "token": {**grant["token"], "expires_at": 10**40}})
    },
    "a time as text": {"body": body(lambda grant: {**grant, "retry_at": "soon"})},
    "attempts as text": {"body": body(lambda grant: {**grant, "attempts": "many"})},
    "epoch as a list": {"body": body(lambda grant: {**grant, "authorization": [1]})},
    "warned as a number": {"body": body(lambda grant: {**grant, "warned": 7})},
    "an intent as text": {"body": body(lambda grant: {**grant, "intent": "yes"})},
    "a presentation as text": {
        "body": body(lambda grant: {**grant, "intent": {"at": 1, "presentations": "two"}})
    },
    "no token": {"body": body(lambda _: {})},
    "an access token that is a number": {
        "body": body(lambda grant: {**grant, "token": {**grant["token"], "access_token": 7}})
    },
    "attempts without end": {"body": body(lambda grant: {**grant, "attempts": 10**40})},
    "a seller that is a number": {
        "body": body(lambda grant: {**grant, "token": {**grant["token"], "account": 7}})
    },
    "a state of its own": {"body": body(lambda grant: {**grant, "state": ["live"]})},
}


def spoil(path, seller, columns):
    with closing(sqlite3.connect(path)) as db, db:
        for column, value in columns.items():
            if callable(value):
                found = db.execute("SELECT body FROM records WHERE seller = ?", (seller,))
                value = value(found.fetchone()[0])  # noqa: PLW2901
            db.execute(f"UPDATE records SET {column} = ? WHERE seller = ?", (value, seller))


def plant(path, count):
    """Rows of no seller, which are due and expire before all others: more than a page of claims."""
    with closing(sqlite3.connect(path)) as db, db:
        for n in range(count):
            db.execute(
                """INSERT INTO records
                    (scope, seller, sellers, due_at, dies_at, generation, revision, body)
                    SELECT scope, :seller, json_array(:seller), 0, 0, 1, 1, X'00'
                    FROM records LIMIT 1""",
                {"seller": f"planted {n}"},
            )


async def authorized(scenario):
    """Four times as many sellers as there are ways to spoil one, and every fourth is spoiled."""
    scenario.sandbox.add_sellers(4 * len(SPOILED))
    sellers = list(scenario.sandbox.sellers)[-4 * len(SPOILED) :]
    async with scenario.manager(concurrency=30) as tokens:
        for seller in sellers:
            await tokens.authorize(scenario.code(seller))
    for seller, columns in zip(sellers[::4], SPOILED.values(), strict=True):
        spoil(scenario.path, seller, columns)
    plant(scenario.path, PLANTED)
    scenario.clock.advance(MONTH - LEAD_AND_MORE)
    spoiled = set(sellers[::4])
    return spoiled, [seller for seller in sellers if seller not in spoiled]


@either_loop
async def test_no_spoiled_grant_stops_the_refreshing_of_another(scenario):
    """By a batch of those that are due; each of the others is refreshed once."""
    spoiled, whole = await authorized(scenario)
    async with scenario.manager(concurrency=5) as tokens:
        report = await tokens.refresh_due()
        assert sorted(report.refreshed) == sorted(whole)
        assert not set(report.failed) & set(whole)
        statuses = tokens.statuses()
        seen = [(await anext(statuses)).seller_id for _ in whole]
        assert sorted(seen) == sorted(whole)
        with pytest.raises(iop.StoreError, match=f"^{len(spoiled) + PLANTED} cannot be read: "):
            await anext(statuses)
        for seller in spoiled:
            with pytest.raises(iop.StoreError):
                await tokens.token(seller)


@either_loop
async def test_no_spoiled_grant_stops_the_keeper(scenario):
    """It goes on to the others, and to those that fall due later."""
    _, whole = await authorized(scenario)
    async with scenario.manager(keeper=True, concurrency=5):
        with anyio.fail_after(60):
            await eventually(lambda: scenario.presented() == len(whole))


BODIES = {name: columns["body"] for name, columns in SPOILED.items() if "body" in columns}


async def authorized_in(shared):
    """As above, in any store: those that are spoiled expire first, and stand before all others."""
    shared.sandbox.add_sellers(4 * len(BODIES))
    sellers = list(shared.sandbox.sellers)[-4 * len(BODIES) :]
    spoiled, whole = sellers[: len(BODIES)], sellers[len(BODIES) :]
    async with shared.manager(concurrency=30) as tokens:
        for some in (spoiled, whole):
            for seller in some:
                await tokens.authorize(shared.code(seller))
            shared.clock.advance(1)
        store = shared.store()
        for seller, change in zip(spoiled, BODIES.values(), strict=True):
            record = await store.get(tokens.scope, seller)
            await store.put(evolve(record, body=change(record.body)))
        await store.aclose()
    shared.clock.advance(MONTH - LEAD_AND_MORE)
    return spoiled, whole


def named(caplog, seller):
    words = f"the record of seller {seller} is not readable"
    return sum(words in each.getMessage() for each in caplog.records)


@each_store
async def test_spoiled_grants_that_stand_before_all_others_are_named_and_passed_by(
    shared, monkeypatch, caplog
):
    """A batch refreshes the others, and names each of them once, however often it meets them."""
    monkeypatch.setattr("iop_async.tokens._batch._FIRST_PAGE", 5)
    spoiled, whole = await authorized_in(shared)
    async with shared.manager(concurrency=5) as tokens:
        report = await tokens.refresh_due()
        assert sorted(report.refreshed) == sorted(whole)
        store = shared.store()
        for seller in spoiled:
            await store.lease(tokens.scope, seller, holder=tokens._vault.leases.holder, seconds=0)
        await store.aclose()
        assert (await tokens.refresh_due()).refreshed == ()
        assert [named(caplog, seller) for seller in spoiled] == [1] * len(spoiled)
        statuses = tokens.statuses()
        seen = [(await anext(statuses)).seller_id for _ in whole]
        assert sorted(seen) == sorted(whole)
        with pytest.raises(iop.StoreError, match=f"^{len(spoiled)} cannot be read: "):
            await anext(statuses)


@each_store
async def test_spoiled_grants_that_stand_before_all_others_do_not_stop_the_keeper(shared, caplog):
    """It has room for fewer than there are of them."""
    spoiled, whole = await authorized_in(shared)
    async with shared.manager(keeper=True, concurrency=1, lease_seconds=0.5):
        await eventually(lambda: shared.presented() == len(whole))
        await eventually(lambda: all(named(caplog, seller) for seller in spoiled))
    assert [named(caplog, seller) for seller in spoiled] == [1] * len(spoiled)
    accepted = [entry.seller for entry in shared.sandbox.ledger.refreshes if entry.accepted]
    assert sorted(accepted) == sorted(whole)
