"""Whether a pair can be kept is found out at the door, and whoever loses one is told in time."""

import json
import logging
import pickle

import anyio
import pytest
from attrs import evolve
from tokens_helpers import Outage
from tokens_scenario import either_loop

import iop_async as iop
from iop_async.stores import MemoryStore, SpillJournal, from_url


def without_journal(scenario):
    """A store with no file beside which a journal could be."""
    store = Outage(scenario.store())
    store.path = None
    return store


@pytest.fixture
def full_disk(monkeypatch):
    """Lets journals be written, or not; how often they were not."""

    class Disk:
        is_full = False
        refused = 0

    def append(path, line):
        if Disk.is_full:
            Disk.refused += 1
            raise OSError(28, "No space left on device")
        written(path, line)

    from iop_async.stores import _journal

    written = _journal.append
    monkeypatch.setattr(_journal, "append", append)
    return Disk


UNREACHABLE = {
    "redis": "redis://127.0.0.1:1",
    "postgresql": "postgresql+asyncpg://user:canary@127.0.0.1:1/db",
    "mariadb": "mysql+aiomysql://user:canary@127.0.0.1:1/db",
}


@pytest.mark.parametrize("url", UNREACHABLE.values(), ids=UNREACHABLE)
async def test_a_server_that_is_down_is_found_out_at_entering(scenario, url, tmp_path):
    """With its address in the error, and no password. Who has a journal may go on."""
    store = from_url(url)
    manager = iop.TokenManager(scenario.client(), store)
    with pytest.raises(iop.StoreError, match=r"127\.0\.0\.1:1") as caught:
        async with manager:
            pass
    assert caught.value.retryable
    assert "canary" not in str(caught.value)
    await store.aclose()
    store = from_url(url)
    options = {"on_store_failure": "journal", "journal": tmp_path / "own.spill"}
    manager = iop.TokenManager(scenario.client(), store, keeper=False, **options)
    events = manager.events()
    async with manager as tokens:
        token = await tokens.authorize(scenario.code())
        assert await tokens.token("1001") == token
        told = await anext(events)
        assert (told.kind, "127.0.0.1:1" in told.reason) == ("error", True)
        assert (await anext(events)).kind == "unpersisted"
    (record,) = await SpillJournal(tmp_path / "own.spill").records()
    assert json.loads(record.body)["token"]["refresh_token"] == token.refresh_token
    await store.aclose()


@pytest.mark.parametrize("on_store_failure", ["wait", "journal"])
async def test_tables_that_are_missing_are_found_out_at_entering(
    scenario, on_store_failure, tmp_path
):
    """Somebody must make them first, so that a journal is no way round."""
    store = from_url(f"sqlite+aiosqlite:///{tmp_path / 'other.db'}")
    manager = iop.TokenManager(
        scenario.client(), store, on_store_failure=on_store_failure, journal=tmp_path / "own.spill"
    )
    for _ in range(2):
        with pytest.raises(iop.StoreError, match="create_tables"):
            async with manager:
                pass
    await store.create_tables()
    async with manager as tokens:
        await tokens.authorize(scenario.code())
    await store.aclose()


@pytest.mark.parametrize("place", ["missing/own.spill", "tokens.db/own.spill", "."])
@either_loop
async def test_a_journal_that_cannot_be_written_is_found_out_at_entering(scenario, place):
    """And not when the store fails, which is when it is needed."""
    path = scenario.path.parent / place
    async with scenario.manager() as tokens:
        await tokens.authorize(scenario.code())
    with pytest.raises(iop.StoreError, match="journal of unsaved tokens") as caught:
        async with scenario.manager(journal=path):
            pass
    assert str(path) in str(caught.value)


@either_loop
async def test_a_store_that_does_not_answer_is_found_out_at_entering(scenario, monkeypatch):
    """It has a while to do so, and no longer."""

    class Silent(MemoryStore):
        async def check(self, scope):
            await anyio.sleep_forever()

    monkeypatch.setattr("iop_async.tokens._entering._CHECK_TIMEOUT", 0.05)
    with pytest.raises(iop.StoreError, match="did not answer") as caught:
        async with scenario.manager(Silent()):
            pass
    assert caught.value.retryable


@either_loop
async def test_entering_says_where_the_journal_is_or_that_there_is_none(scenario, caplog):
    """A store in memory keeps nothing anyhow."""
    async with scenario.manager():
        pass
    assert f"'{scenario.path}.spill'" in caplog.text
    assert not [each for each in caplog.records if each.levelno > logging.INFO]
    async with scenario.manager(MemoryStore()):
        pass
    assert "there is no journal" not in caplog.text
    async with scenario.manager(without_journal(scenario)):
        pass
    (line,) = [each for each in caplog.records if each.levelno > logging.INFO]
    assert "there is no journal" in line.message
    assert "journal='tokens.spill'" in line.message


@pytest.mark.parametrize("has_journal", [True, False])
@either_loop
async def test_an_approval_that_nothing_keeps_is_an_error_that_carries_the_token(
    scenario, has_journal, full_disk, caplog
):
    """It is served, written when the store is back, and can be saved by whoever catches it."""
    store = Outage(scenario.store()) if has_journal else without_journal(scenario)
    async with scenario.manager(store) as tokens:
        events = tokens.events()
        store.fails, full_disk.is_full = Outage.EVERYTHING, True
        with pytest.raises(iop.NotPersisted, match="its token is in memory alone") as caught:
            await tokens.authorize(scenario.code())
        error = caught.value
        assert error.token.refresh_token == scenario.live().refresh_token
        assert error.seller_id == "1001"
        assert not error.retryable
        with pytest.raises(iop.NotPersisted):
            await tokens.import_token(evolve(error.token, sellers=(iop.Seller("sg", "1002"),)))
        assert bool(full_disk.refused) == has_journal
        assert await tokens.token("1001") == error.token
        assert not (await tokens.status("1001")).is_persisted
        told = [await anext(events) for _ in range(2)]
        assert [(each.kind, each.seller_id) for each in told] == [
            ("unpersisted", "1001"),
            ("unpersisted", "1002"),
        ]
        assert "it ends with this process" in told[0].reason
        store.fails = frozenset()
        with anyio.fail_after(60):
            while not (await tokens.status("1001")).is_persisted:
                await anyio.sleep(0.01)
    async with scenario.manager() as tokens:
        assert (await tokens.token("1001")).refresh_token == error.token.refresh_token
    secrets = (error.token.access_token, error.token.refresh_token)
    copied = pickle.loads(pickle.dumps(error))
    assert (copied.token, copied.seller_id, str(copied)) == (None, "1001", str(error))
    for shown in (repr(error), str(error), repr(vars(error)), pickle.dumps(error).decode("latin")):
        assert not any(secret in shown for secret in secrets)
    assert "left with tokens" not in caplog.text


@either_loop
async def test_an_approval_that_the_journal_has_is_no_error(scenario):
    """It outlives the process; an event says that the store does not have it."""
    store = Outage(scenario.store())
    async with scenario.manager(store) as tokens:
        events = tokens.events()
        store.fails = Outage.EVERYTHING
        token = await tokens.authorize(scenario.code())
        told = await anext(events)
        assert (told.kind, told.reason) == (
            "unpersisted",
            "the store failed; the journal and memory have it",
        )
    async with scenario.manager() as tokens:
        assert (await tokens.token("1001")).refresh_token == token.refresh_token


@either_loop
async def test_a_journal_that_works_again_takes_what_it_did_not(scenario, full_disk):
    """The store is still down, and the process may end any moment."""
    store = Outage(scenario.store())
    async with scenario.manager(store, keeper=True, lease_seconds=0.5) as tokens:
        store.fails, full_disk.is_full = Outage.EVERYTHING, True
        with pytest.raises(iop.NotPersisted):
            await tokens.authorize(scenario.code())
        full_disk.is_full = False
        journal = SpillJournal(f"{scenario.path}.spill")
        with anyio.fail_after(60):
            while not (records := await journal.records()):
                await anyio.sleep(0.01)
        pair = json.loads(records[0].body)["token"]
        assert pair["refresh_token"] == scenario.live().refresh_token


@either_loop
async def test_leaving_says_whose_tokens_are_lost_and_raises_nothing(scenario, full_disk, caplog):
    """In the log as critical, and in events that are still read; others are in the journal."""
    store = Outage(scenario.store())
    async with scenario.manager(store) as tokens:
        events = tokens.events()
        store.fails = Outage.EVERYTHING
        await tokens.authorize(scenario.code("1003"))
        full_disk.is_full = True
        for seller in ("1001", "1002"):
            with pytest.raises(iop.NotPersisted):
                await tokens.authorize(scenario.code(seller))
    (line,) = [each for each in caplog.records if "left with tokens" in each.message]
    assert line.levelname == "CRITICAL"
    assert "sellers 1001, 1002 must authorize again" in line.message
    told = [(event.kind, event.seller_id) async for event in events]
    assert told == [("unpersisted", each) for each in ("1003", "1001", "1002", "1001", "1002")]


@either_loop
async def test_what_is_lost_at_leaving_is_there_where_the_manager_is_entered_again(
    scenario, full_disk
):
    """In the same process, which has it in memory."""
    store = Outage(scenario.store())
    manager = iop.TokenManager(scenario.client(), store, clock=scenario.clock, keeper=False)
    async with manager as tokens:
        store.fails, full_disk.is_full = Outage.EVERYTHING, True
        with pytest.raises(iop.NotPersisted):
            await tokens.authorize(scenario.code())
    store.fails, full_disk.is_full = frozenset(), False
    async with manager as tokens:
        assert (await tokens.token("1001")).refresh_token == scenario.live().refresh_token
        assert (await tokens.status("1001")).is_persisted
    await store.aclose()


@either_loop
async def test_a_seller_that_never_authorized_is_told_from_one_who_must_again(scenario):
    """By the class; both are a ReauthorizationRequired."""
    async with scenario.manager() as tokens:
        for ask in (tokens.token, tokens.refresh, tokens.status):
            with pytest.raises(iop.UnknownSeller, match="seller 1001 is not known here"):
                await ask("1001")
        await tokens.authorize(scenario.code())
        scenario.clock.advance(200 * 86400)
        with pytest.raises(iop.ReauthorizationRequired) as caught:
            await tokens.token("1001")
        assert not isinstance(caught.value, iop.UnknownSeller)
        await tokens.forget("1001")
        with pytest.raises(iop.UnknownSeller):
            await tokens.token("1001")
