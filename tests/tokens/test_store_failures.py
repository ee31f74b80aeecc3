"""The store fails after a refresh token was spent: the pair that came of it is never lost."""

import json
from contextlib import asynccontextmanager

import anyio
import pytest
from attrs import evolve
from tokens_hands import Outage, WatchedStore, failing
from tokens_world import LEAD, MONTH, REFRESH, either_loop, eventually, kinds

import iop_async as iop
from iop_async.stores import SpillJournal


async def journalled(world):
    """What the journal beside the store holds."""
    records = await SpillJournal(f"{world.path}.spill").records()
    return [json.loads(record.body)["token"]["refresh_token"] for record in records]


async def stored(world, seller="1001"):
    """What the store itself has, as another process reads it."""
    async with world.store() as store:
        return await store.get(f"123456@{world.url.removeprefix('http://')}", seller)


@asynccontextmanager
async def due(world, store, **options):
    """A manager with one seller whose token is due."""
    async with world.manager(store, **options) as tokens:
        await tokens.authorize(world.code())
        world.clock.advance(MONTH - LEAD + 60)
        yield tokens


@pytest.mark.parametrize("times", [1, 3, 20])
@either_loop
async def test_a_pair_that_the_store_did_not_take_is_served_journalled_and_written_later(
    world, times
):
    """However often it fails; the keeper writes it when the store is back."""
    store = WatchedStore(world.store())
    async with world.manager(store, keeper=True, lease_seconds=0.5) as tokens:
        events = tokens.events()
        await tokens.authorize(world.code())
        store.before = fails = failing(times)
        world.clock.advance(MONTH - LEAD + 60)
        assert await kinds(events, 2) == ["unpersisted", "refreshed"]
        assert (await tokens.token("1001")).refresh_token == world.live().refresh_token
        if fails.times < times:
            assert not (await tokens.status("1001")).is_persisted
            assert await journalled(world) == [world.live().refresh_token]
        with anyio.fail_after(60):
            while not (await tokens.status("1001")).is_persisted:
                await anyio.sleep(0.01)
        await eventually(lambda: fails.times == times)
        kept = await stored(world)
        assert json.loads(kept.body)["token"]["refresh_token"] == world.live().refresh_token
        assert kept.generation == 2
        with anyio.fail_after(60):
            while await journalled(world):
                await anyio.sleep(0.01)
        assert world.presented() == 1


@either_loop
async def test_what_only_the_journal_has_is_listed_too(world):
    """Each seller once, with the newest that there is of it."""
    store = Outage(world.store())
    async with world.manager(store) as tokens:
        for seller in ("1001", "1002"):
            await tokens.authorize(world.code(seller))
        store.fails = {"put"}
        for seller in ("1002", "1003"):
            await tokens.authorize(world.code(seller))
        listed = [(s.seller, s.is_persisted) async for s in tokens.statuses()]
        assert sorted(listed) == [("1001", True), ("1002", False), ("1003", False)]


@either_loop
async def test_a_pair_that_only_the_journal_has_is_found_by_the_next_process(world):
    """The store comes back after the restart."""
    store = WatchedStore(world.store())
    async with due(world, store) as tokens:
        store.before = failing(1000)
        new = await tokens.refresh("1001")
    assert await journalled(world) == [new.refresh_token]
    async with world.manager() as tokens:
        assert (await tokens.token("1001")).access_token == new.access_token
        assert (await tokens.status("1001")).is_persisted
        assert await journalled(world) == []
    assert world.presented() == 1


@either_loop
async def test_an_approval_in_a_shared_journal_wins_over_an_older_pair(world):
    """One process spilled a pair of the old approval, another the new one, and both ended."""
    store = WatchedStore(world.store())
    async with due(world, store) as one, world.manager(Outage(world.store())) as other:
        await one.refresh("1001")
        store.before = failing(1000)
        await one.refresh("1001")
        other._vault._store.fails = Outage.EVERYTHING
        new = await other.authorize(world.code())
        assert len(set(world.path.with_name("tokens.db.spill").read_text().splitlines())) == 2
    async with world.manager() as tokens:
        assert (await tokens.token("1001")).access_token == new.access_token
        assert (await tokens.refresh("1001")).refresh_token == world.live().refresh_token
        assert await journalled(world) == []


@either_loop
async def test_rival_pairs_in_a_shared_journal_are_all_kept(world):
    """Two processes received a pair for one refresh token; the gateway takes one of them."""
    store = WatchedStore(world.store())
    async with due(world, store) as tokens:
        store.before = failing(1000)
        await tokens.refresh("1001")
    journal = SpillJournal(f"{world.path}.spill")
    [live] = await journal.records()
    rival = live.body.replace(world.live().refresh_token.encode(), b"spent")
    await journal.append(evolve(live, revision=live.revision + 1, body=rival))
    async with world.manager() as tokens:
        assert await journal.records() == []
        await tokens.refresh("1001")
        assert (await tokens.token("1001")).refresh_token == world.live().refresh_token
    assert [entry.accepted for entry in world.sandbox.ledger.refreshes] == [True, False, True]


@either_loop
async def test_a_refresh_while_the_store_is_still_out_of_order_goes_on_from_the_newest_pair(world):
    """The spent refresh token, which is all that the store has, is not presented again."""
    store = WatchedStore(world.store())
    async with due(world, store) as tokens:
        store.before = failing(1)
        await tokens.refresh("1001")
        world.clock.advance(MONTH - LEAD + 60)
        assert (await tokens.refresh("1001")).refresh_token == world.live().refresh_token
        assert (await tokens.status("1001")).generation == 3
    presented = [entry.token for entry in world.sandbox.ledger.refreshes]
    assert len(presented) == len(set(presented)) == 2


@either_loop
async def test_a_store_with_a_bug_of_its_own_costs_no_pair(world, caplog):
    """One that raises what no store should: the pair is kept, its words are not repeated."""
    store = WatchedStore(world.store())

    async def break_down(kind):
        if kind == "outcome":
            raise LookupError("helloworld")

    async with due(world, store) as tokens:
        store.before = break_down
        new = await tokens.refresh("1001")
        assert not (await tokens.status("1001")).is_persisted
        assert await journalled(world) == [new.refresh_token] == [world.live().refresh_token]
    assert "LookupError" in caplog.text


@pytest.mark.parametrize("kind", ["intent", "outcome"])
@either_loop
async def test_a_lost_acknowledgement_neither_loses_a_pair_nor_counts_it_twice(world, kind):
    """The write was made although the store said that it failed."""
    store = WatchedStore(world.store())
    async with due(world, store) as tokens:
        store.after = failing(1, kind=kind)
        if kind == "intent":
            with pytest.raises(iop.StoreError):
                await tokens.refresh("1001")
            assert world.presented() == 0
        new = await tokens.refresh("1001")
        assert new.refresh_token == world.live().refresh_token
        await tokens.refresh_due()
        async with world.manager() as other:
            status = await other.status("1001")
            assert (status.generation, status.state, status.is_persisted) == (2, "live", True)
            assert (await other.token("1001")).access_token == new.access_token
        assert (await stored(world)).generation == 2
    assert world.presented() == 1


@either_loop
async def test_an_intent_whose_acknowledgement_was_lost_is_no_presentation(world):
    """Nobody must authorize again because of one answer that was lost: the next try is a probe."""
    store = WatchedStore(world.store())
    async with due(world, store) as tokens:
        store.after = failing(1, kind="intent")
        with pytest.raises(iop.StoreError):
            await tokens.refresh("1001")
        world.sandbox.fail("drop", api=REFRESH, times=1, after=False)
        with pytest.raises(iop.TransportError):
            await tokens.refresh("1001")
        status = await tokens.status("1001")
        assert (status.state, status.is_unanswered) == ("live", True)
        new = await tokens.refresh("1001")
        assert new.refresh_token == world.live().refresh_token


@either_loop
async def test_nothing_is_presented_where_the_intent_cannot_be_written(world):
    """Such as on a full disk: a typed error, the old token is served, the file is as it was."""
    store = WatchedStore(world.store())
    async with due(world, store) as tokens:
        old = await tokens.refresh("1001")
        before = await stored(world)
        store.before = failing(1000, kind="intent")
        with pytest.raises(iop.StoreError):
            await tokens.refresh("1001")
        assert (await tokens.token("1001")).access_token == old.access_token
        assert (await stored(world)).body == before.body
    assert world.presented() == 1


@either_loop
async def test_a_caller_that_is_cancelled_while_the_pair_is_written_changes_nothing(world):
    """The pair becomes durable, and the others get it."""
    store = WatchedStore(world.store())
    reached, go_on = anyio.Event(), anyio.Event()

    async def hold(kind):
        if kind == "outcome":
            reached.set()
            await go_on.wait()

    async with due(world, store) as tokens:
        store.before = hold
        served = []

        async def patient():
            served.append((await tokens.refresh("1001")).refresh_token)

        async with anyio.create_task_group() as others:
            async with anyio.create_task_group() as leaders:
                leaders.start_soon(tokens.refresh, "1001")
                await reached.wait()
                others.start_soon(patient)
                await anyio.sleep(0.01)
                leaders.cancel_scope.cancel()
            go_on.set()
        assert served == [world.live().refresh_token]
        assert (await tokens.status("1001")).is_persisted
        kept = await stored(world)
        assert json.loads(kept.body)["token"]["refresh_token"] == world.live().refresh_token
    assert world.presented() == 1


@pytest.mark.parametrize("garbage", [b"", b"not a database at all" * 400], ids=["empty", "garbage"])
@either_loop
async def test_a_damaged_store_is_an_error_and_never_an_empty_one(world, garbage):
    """At every start; what a seller grants meanwhile goes to the journal and is served."""
    world.path.write_bytes(garbage)
    for _ in range(2):
        async with world.manager() as tokens:
            with pytest.raises(iop.StoreError):
                await tokens.token("1001")
    async with world.manager() as tokens:
        token = await tokens.authorize(world.code())
        assert (await tokens.token("1001")).access_token == token.access_token
        assert not (await tokens.status("1001")).is_persisted
    assert await journalled(world) == [token.refresh_token]
    assert garbage in [path.read_bytes() for path in world.path.parent.iterdir()]
    async with world.manager() as tokens:
        assert (await tokens.token("1001")).access_token == token.access_token
    assert world.presented() == 0


@either_loop
async def test_a_pair_is_journalled_while_the_store_says_nothing(world, monkeypatch):
    """Neither yes nor no: it is in the journal before anybody has waited for long."""
    monkeypatch.setattr("iop_async.tokens._vault._PATIENCE", 0.1)
    wakes = anyio.Event()

    async def hang(written):
        if written == "outcome":
            await wakes.wait()

    store = WatchedStore(world.store())
    async with due(world, store) as tokens:
        store.before = hang
        token = await tokens.refresh("1001")
        assert token.refresh_token == world.live().refresh_token
        assert await journalled(world) == [token.refresh_token]
        wakes.set()


@pytest.mark.parametrize("refused", [True, False])
@either_loop
async def test_what_a_failed_refresh_taught_is_written_when_the_store_is_back(world, refused):
    """A refused refresh token is not presented again, nor is the next try taken for a probe."""
    store = WatchedStore(world.store())
    async with due(world, store) as tokens:
        events = tokens.events()
        if refused:
            world.sandbox.grants.find_refresh(world.live().refresh_token).refresh_live = False
        else:
            world.sandbox.fail("error", api=REFRESH, code="ServiceUnavailable", times=1)
        store.before = failing(1)
        with pytest.raises(iop.IopError):
            await tokens.refresh("1001")
        await tokens._vault.flush()
        status = await tokens.status("1001")
        assert (status.is_unanswered, status.attempts) == (False, 0 if refused else 1)
        if refused:
            with pytest.raises(iop.ReauthorizationRequired):
                await tokens.refresh("1001")
        else:
            await tokens.refresh("1001")
    assert [event.kind async for event in events] == (
        ["reauthorize"] if refused else ["refresh_failed", "refreshed"]
    )
    assert world.presented() == (1 if refused else 2)


@either_loop
async def test_one_grant_that_cannot_be_written_holds_up_no_other(world, caplog):
    """A store has its own idea of a seller's name, say."""

    class Choosy(WatchedStore):
        async def put(self, record, *, release=None):
            if record.seller == "1002":
                raise LookupError("helloworld")
            return await super().put(record, release=release)

    async with world.manager(Choosy(world.store()), keeper=True, lease_seconds=0.5) as tokens:
        await tokens.authorize(world.code("1002"))
        await tokens.authorize(world.code("1001"))
        world.clock.advance(MONTH - LEAD + 60)
        await eventually(world.presented)
        with anyio.fail_after(60):
            while (await tokens.status("1001")).generation == 1:
                await anyio.sleep(0.01)
    assert "seller 1002" in caplog.text


@either_loop
async def test_a_seller_that_nothing_can_keep_is_refused_and_holds_up_no_other(world):
    """Nothing of it waits for the store for ever."""
    async with world.manager() as tokens:
        token = await tokens.authorize(world.code())
        with pytest.raises(ValueError, match="NUL"):
            await tokens.import_token(evolve(token, sellers=(iop.Seller("sg", "a\0b"),)))
        assert not list(tokens._vault.unpersisted)


@either_loop
async def test_a_grant_that_is_stored_is_there_whatever_the_journal_does(world, monkeypatch):
    """Its disk is full when an earlier approval is to be dropped from it: it goes later."""
    store = WatchedStore(world.store(), before=failing(1))

    def fail(*_):
        raise OSError(28, "No space left on device")

    async with world.manager(store) as tokens:
        await tokens.authorize(world.code())
        with monkeypatch.context() as patch:
            patch.setattr("iop_async.stores._spill.replace", fail)
            new = await tokens.authorize(world.code())
            assert (await tokens.token("1001")).access_token == new.access_token
    async with world.manager() as tokens:
        assert (await tokens.token("1001")).access_token == new.access_token
        assert await journalled(world) == []
