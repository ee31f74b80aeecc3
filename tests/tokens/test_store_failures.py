"""The store fails after a refresh token was spent: the pair that came of it is never lost."""

import json
from contextlib import asynccontextmanager
from datetime import timedelta

import anyio
import pytest
from attrs import evolve
from tokens_helpers import LEASE, Outage, WatchedStore, failing
from tokens_scenario import LEAD, MONTH, REFRESH, SECOND_LOOK, either_loop, eventually, kinds

import iop_async as iop
from iop_async.stores import MemoryStore, SpillJournal, _journal
from iop_async.tokens._grant_json import to_record
from iop_async.tokens._transitions import authorized


async def journalled(scenario):
    """What the journal beside the store holds."""
    records = await SpillJournal(f"{scenario.path}.spill").records()
    return [json.loads(record.body)["token"]["refresh_token"] for record in records]


async def stored(scenario, seller="1001"):
    """What the store itself has, as another process reads it."""
    async with scenario.store() as store:
        return await store.get(f"123456@{scenario.url.removeprefix('http://')}", seller)


@asynccontextmanager
async def due(scenario, store, **options):
    """A manager with one seller whose token is due."""
    async with scenario.manager(store, **options) as tokens:
        await tokens.authorize(scenario.code())
        scenario.clock.advance(MONTH - LEAD + 60)
        yield tokens


@pytest.mark.parametrize("times", [1, 3, 20])
@either_loop
async def test_a_pair_that_the_store_did_not_take_is_served_journalled_and_written_later(
    scenario, times
):
    """However often it fails; the keeper writes it when the store is back."""
    store = WatchedStore(scenario.store())
    async with scenario.manager(store, keeper=True, lease_seconds=0.5) as tokens:
        events = tokens.events()
        await tokens.authorize(scenario.code())
        store.before = fails = failing(times)
        scenario.clock.advance(MONTH - LEAD + 60)
        assert await kinds(events, 2) == ["unpersisted", "refreshed"]
        assert (await tokens.token("1001")).refresh_token == scenario.live().refresh_token
        if fails.times < times:
            assert not (await tokens.status("1001")).is_persisted
            assert await journalled(scenario) == [scenario.live().refresh_token]
        with anyio.fail_after(60):
            while not (await tokens.status("1001")).is_persisted:
                await anyio.sleep(0.01)
        await eventually(lambda: fails.times == times)
        kept = await stored(scenario)
        assert json.loads(kept.body)["token"]["refresh_token"] == scenario.live().refresh_token
        assert kept.generation == 2
        with anyio.fail_after(60):
            while await journalled(scenario):
                await anyio.sleep(0.01)
        assert scenario.presented() == 1


@either_loop
async def test_what_only_the_journal_has_is_listed_too(scenario):
    """Each seller once, with the newest that there is of it."""
    store = Outage(scenario.store())
    async with scenario.manager(store) as tokens:
        for seller in ("1001", "1002"):
            await tokens.authorize(scenario.code(seller))
        store.fails = {"put"}
        for seller in ("1002", "1003"):
            await tokens.authorize(scenario.code(seller))
        listed = [(s.seller_id, s.is_persisted) async for s in tokens.statuses()]
        assert sorted(listed) == [("1001", True), ("1002", False), ("1003", False)]


@either_loop
async def test_a_pair_that_only_the_journal_has_is_found_by_the_next_process(scenario):
    """The store comes back after the restart."""
    store = WatchedStore(scenario.store())
    async with due(scenario, store) as tokens:
        store.before = failing(1000)
        new = await tokens.refresh("1001")
    assert await journalled(scenario) == [new.refresh_token]
    async with scenario.manager() as tokens:
        assert (await tokens.token("1001")).access_token == new.access_token
        assert (await tokens.status("1001")).is_persisted
        assert await journalled(scenario) == []
    assert scenario.presented() == 1


@pytest.mark.parametrize("count", [300, pytest.param(5_000, marks=pytest.mark.drill)])
@either_loop
async def test_a_long_journal_is_written_to_the_store_beside_the_work(scenario, monkeypatch, count):
    """Its tokens are served at once, and it is rewritten once for a thousand of them."""
    journal, now = SpillJournal(f"{scenario.path}.spill"), scenario.clock.now()
    tokens_of = {
        f"{seller}": iop.Token(
            access_token=f"access{seller:060}",
            refresh_token=f"refresh{seller:060}",
            issued_at=now,
            expires_at=now + timedelta(days=30),
            sellers=(iop.Seller(seller_id=f"{seller}"),),
        )
        for seller in range(count)
    }
    for token in tokens_of.values():
        grant = authorized(f"123456@{scenario.url.removeprefix('http://')}", token, None)
        await journal.append(to_record(grant, due_at=None))
    rewritten, replace = [], _journal.replace
    monkeypatch.setattr(_journal, "replace", lambda *args: (rewritten.append(1), replace(*args))[1])
    store, is_back = WatchedStore(scenario.store()), anyio.Event()

    async def wait(_):
        await is_back.wait()

    store.before = wait
    async with scenario.manager(store) as tokens:
        for seller in ("0", f"{count - 1}"):
            assert (await tokens.token(seller)).access_token == tokens_of[seller].access_token
        assert not store.written
        is_back.set()
        with anyio.fail_after(200):
            while await journalled(scenario):
                await anyio.sleep(0.05)
        kept = {one.seller_id: one async for one in tokens.statuses()}
        assert kept.keys() == tokens_of.keys()
        assert all(one.is_persisted for one in kept.values())
    assert len(rewritten) <= -(-count // 1000)
    assert len(store.written) == count


@either_loop
async def test_an_approval_in_a_shared_journal_wins_over_an_older_pair(scenario):
    """One process spilled a pair of the old approval, another the new one, and both ended."""
    store = WatchedStore(scenario.store())
    async with (
        due(scenario, store, lease_seconds=LEASE) as one,
        scenario.manager(Outage(scenario.store()), lease_seconds=LEASE) as other,
    ):
        await one.refresh("1001")
        store.before = failing(1000)
        await one.refresh("1001")
        other._vault._store.fails = Outage.EVERYTHING
        new = await other.authorize(scenario.code())
        assert len(set(scenario.path.with_name("tokens.db.spill").read_text().splitlines())) == 2
    async with scenario.manager() as tokens:
        assert (await tokens.token("1001")).access_token == new.access_token
        assert (await tokens.refresh("1001")).refresh_token == scenario.live().refresh_token
        assert await journalled(scenario) == []


@either_loop
async def test_rival_pairs_in_a_shared_journal_are_all_kept(scenario):
    """Two processes received a pair for one refresh token; the gateway takes one of them."""
    store = WatchedStore(scenario.store())
    async with due(scenario, store, lease_seconds=LEASE) as tokens:
        store.before = failing(1000)
        await tokens.refresh("1001")
    journal = SpillJournal(f"{scenario.path}.spill")
    [live] = await journal.records()
    rival = live.body.replace(scenario.live().refresh_token.encode(), b"spent")
    await journal.append(evolve(live, revision=live.revision + 1, body=rival))
    async with scenario.manager() as tokens:
        assert await journal.records() == []
        await tokens.refresh("1001")
        assert (await tokens.token("1001")).refresh_token == scenario.live().refresh_token
    assert [entry.accepted for entry in scenario.sandbox.ledger.refreshes] == [True, False, True]


@either_loop
async def test_a_refresh_while_the_store_is_still_out_of_order_goes_on_from_the_newest_pair(
    scenario,
):
    """The spent refresh token, which is all that the store has, is not presented again."""
    store = WatchedStore(scenario.store())
    async with due(scenario, store) as tokens:
        store.before = failing(1)
        await tokens.refresh("1001")
        scenario.clock.advance(MONTH - LEAD + 60)
        assert (await tokens.refresh("1001")).refresh_token == scenario.live().refresh_token
        assert (await tokens.status("1001")).generation == 3
    presented = [entry.token for entry in scenario.sandbox.ledger.refreshes]
    assert len(presented) == len(set(presented)) == 2


@either_loop
async def test_a_store_with_a_bug_of_its_own_costs_no_pair(scenario, caplog):
    """One that raises what no store should: the pair is kept, its words are not repeated."""
    store = WatchedStore(scenario.store())

    async def break_down(kind):
        if kind == "outcome":
            raise LookupError("helloworld")

    async with due(scenario, store) as tokens:
        store.before = break_down
        new = await tokens.refresh("1001")
        assert not (await tokens.status("1001")).is_persisted
        assert await journalled(scenario) == [new.refresh_token] == [scenario.live().refresh_token]
    assert "LookupError" in caplog.text


@pytest.mark.parametrize("kind", ["intent", "outcome"])
@either_loop
async def test_a_lost_acknowledgement_neither_loses_a_pair_nor_counts_it_twice(scenario, kind):
    """The write was made although the store said that it failed."""
    store = WatchedStore(scenario.store())
    async with due(scenario, store) as tokens:
        store.after = failing(1, kind=kind)
        if kind == "intent":
            with pytest.raises(iop.StoreError):
                await tokens.refresh("1001")
            assert scenario.presented() == 0
        new = await tokens.refresh("1001")
        assert new.refresh_token == scenario.live().refresh_token
        await tokens.refresh_due()
        async with scenario.manager() as other:
            status = await other.status("1001")
            assert (status.generation, status.state, status.is_persisted) == (2, "live", True)
            assert (await other.token("1001")).access_token == new.access_token
        assert (await stored(scenario)).generation == 2
    assert scenario.presented() == 1


@either_loop
async def test_an_intent_whose_acknowledgement_was_lost_is_no_presentation(scenario):
    """Nobody must authorize again because of one answer that was lost: the next try is a probe."""
    store = WatchedStore(scenario.store())
    async with due(scenario, store) as tokens:
        store.after = failing(1, kind="intent")
        with pytest.raises(iop.StoreError):
            await tokens.refresh("1001")
        scenario.sandbox.fail("drop", api=REFRESH, times=1, after=False)
        with pytest.raises(iop.TransportError):
            await tokens.refresh("1001")
        status = await tokens.status("1001")
        assert (status.state, status.is_unanswered) == ("live", True)
        new = await tokens.refresh("1001")
        assert new.refresh_token == scenario.live().refresh_token


@either_loop
async def test_nothing_is_presented_where_the_intent_cannot_be_written(scenario):
    """Such as on a full disk: a typed error, the old token is served, the file is as it was."""
    store = WatchedStore(scenario.store())
    async with due(scenario, store) as tokens:
        old = await tokens.refresh("1001")
        before = await stored(scenario)
        store.before = failing(1000, kind="intent")
        with pytest.raises(iop.StoreError):
            await tokens.refresh("1001")
        assert (await tokens.token("1001")).access_token == old.access_token
        assert (await stored(scenario)).body == before.body
    assert scenario.presented() == 1


@either_loop
async def test_a_caller_that_is_cancelled_while_the_pair_is_written_changes_nothing(scenario):
    """The pair becomes durable, and the others get it."""
    store = WatchedStore(scenario.store())
    reached, go_on = anyio.Event(), anyio.Event()

    async def hold(kind):
        if kind == "outcome":
            reached.set()
            await go_on.wait()

    async with due(scenario, store) as tokens:
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
        assert served == [scenario.live().refresh_token]
        assert (await tokens.status("1001")).is_persisted
        kept = await stored(scenario)
        assert json.loads(kept.body)["token"]["refresh_token"] == scenario.live().refresh_token
    assert scenario.presented() == 1


@pytest.mark.parametrize("garbage", [b"", b"not a database at all" * 400], ids=["empty", "garbage"])
@either_loop
async def test_a_damaged_store_is_an_error_and_never_an_empty_one(scenario, garbage):
    """At every start, whatever is to happen where a store fails; it stays as it is."""
    scenario.path.write_bytes(garbage)
    for options in ({}, {}, {"on_store_failure": "journal"}):
        with pytest.raises(iop.StoreError) as caught:
            async with scenario.manager(**options):
                pass
        assert str(scenario.path) in str(caught.value)
    assert garbage in [path.read_bytes() for path in scenario.path.parent.iterdir()]


@pytest.mark.parametrize("garbage", [b"", b"not a database at all" * 400], ids=["empty", "garbage"])
@either_loop
async def test_what_is_granted_over_a_store_that_was_damaged_is_journalled_and_served(
    scenario, garbage
):
    """It was damaged while it was in use; the next start does not take it for an empty one."""
    async with scenario.manager() as tokens:
        scenario.path.write_bytes(garbage)
        token = await tokens.authorize(scenario.code())
        assert (await tokens.token("1001")).access_token == token.access_token
        assert not (await tokens.status("1001")).is_persisted
    assert await journalled(scenario) == [token.refresh_token]
    with pytest.raises(iop.StoreError):
        async with scenario.manager():
            pass
    assert await journalled(scenario) == [token.refresh_token]
    assert scenario.presented() == 0


@either_loop
async def test_a_pair_is_journalled_while_the_store_says_nothing(scenario, monkeypatch):
    """Neither yes nor no: it is in the journal before anybody has waited for long."""
    wakes = anyio.Event()

    async def hang(written):
        if written == "outcome":
            await wakes.wait()

    store = WatchedStore(scenario.store())
    async with due(scenario, store) as tokens:
        store.before = hang
        monkeypatch.setattr("iop_async.tokens._vault.KEEP_TIMEOUT", 0.1)
        token = await tokens.refresh("1001")
        assert token.refresh_token == scenario.live().refresh_token
        assert await journalled(scenario) == [token.refresh_token]
        wakes.set()


@pytest.mark.parametrize("refused", [True, False])
@either_loop
async def test_what_a_failed_refresh_taught_is_written_when_the_store_is_back(scenario, refused):
    """A refused refresh token is not presented again, nor is the next try taken for a probe."""
    store = WatchedStore(scenario.store())
    async with due(scenario, store) as tokens:
        events = tokens.events()
        if refused:
            scenario.sandbox.grants.find_refresh(scenario.live().refresh_token).refresh_live = False
        else:
            scenario.sandbox.fail("error", api=REFRESH, code="ServiceUnavailable", times=1)
        store.before = failing(1)
        with pytest.raises(iop.IopError):
            await tokens.refresh("1001")
        await tokens._vault.flush()
        status = await tokens.status("1001")
        assert (status.is_unanswered, status.attempts) == (False, 1)
        scenario.clock.advance(SECOND_LOOK)
        if refused:
            with pytest.raises(iop.ReauthorizationRequired):
                await tokens.refresh("1001")
        else:
            await tokens.refresh("1001")
    assert [event.kind async for event in events][:2] == [
        "refresh_failed",
        "reauthorize" if refused else "refreshed",
    ]
    assert scenario.presented() == 2


@either_loop
async def test_one_grant_that_cannot_be_written_holds_up_no_other(scenario, caplog):
    """A store has its own idea of a seller's name, say."""

    class Choosy(WatchedStore):
        async def put(self, record, *, release=None):
            if record.seller_id == "1002":
                raise LookupError("helloworld")
            return await super().put(record, release=release)

    async with scenario.manager(Choosy(scenario.store()), keeper=True, lease_seconds=0.5) as tokens:
        await tokens.authorize(scenario.code("1002"))
        await tokens.authorize(scenario.code("1001"))
        scenario.clock.advance(MONTH - LEAD + 60)
        await eventually(scenario.presented)
        with anyio.fail_after(60):
            while (await tokens.status("1001")).generation == 1:
                await anyio.sleep(0.01)
    assert "seller 1002" in caplog.text


@either_loop
async def test_a_seller_that_nothing_can_keep_is_refused_and_holds_up_no_other(scenario):
    """Nothing of it waits for the store for ever."""
    async with scenario.manager() as tokens:
        token = await tokens.authorize(scenario.code())
        with pytest.raises(ValueError, match="control character"):
            await tokens.import_token(evolve(token, sellers=(iop.Seller("sg", "a\0b"),)))
        assert not list(tokens._vault.unpersisted)


@either_loop
async def test_a_grant_that_is_stored_is_there_whatever_the_journal_does(scenario, monkeypatch):
    """Its disk is full when an earlier approval is to be dropped from it: it goes later."""
    store = WatchedStore(scenario.store(), before=failing(1))

    def fail(*_):
        raise OSError(28, "No space left on device")

    async with scenario.manager(store) as tokens:
        await tokens.authorize(scenario.code())
        with monkeypatch.context() as patch:
            patch.setattr("iop_async.stores._journal.replace", fail)
            new = await tokens.authorize(scenario.code())
            assert (await tokens.token("1001")).access_token == new.access_token
    async with scenario.manager() as tokens:
        assert (await tokens.token("1001")).access_token == new.access_token
        assert await journalled(scenario) == []


class AlwaysNewer(MemoryStore):
    """A store in which, whatever was read, there is something newer when that is written."""

    is_contended = False
    tries = 0

    async def put(self, record, *, release=None):
        if self.is_contended and not json.loads(record.body)["intent"]:
            self.tries += 1
            raise iop.StaleRecord("somebody else's came first")
        return await super().put(record, release=release)


@either_loop
async def test_a_store_that_always_has_something_newer_is_not_asked_for_ever(scenario, tmp_path):
    """What was to be written goes to the journal, and is served."""
    store = AlwaysNewer()
    async with scenario.manager(store, journal=tmp_path / "own.spill") as tokens:
        await tokens.authorize(scenario.code())
        store.is_contended = True
        for get in (tokens.refresh("1001"), tokens.authorize(scenario.code())):
            token = await get
            assert token.refresh_token == scenario.live().refresh_token
            assert (await tokens.token("1001")).access_token == token.access_token
        store.is_contended = False
    assert store.tries <= 1_000
