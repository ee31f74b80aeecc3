"""Hundreds of thousands of sellers brought in at once: what is said of them is true."""

import gc
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import anyio
import pytest
from attrs import evolve
from importing_helpers import counts, held
from store_kinds import STORES
from tokens_helpers import Outage
from tokens_scenario import LEAD, each_store, either_loop, eventually

import iop_async as iop
from iop_async.stores import MemoryStore
from iop_async.tokens import _importing


@pytest.fixture
def small_chunks(monkeypatch):
    """How many tokens are read at a time."""
    monkeypatch.setattr(_importing, "_CHUNK", 50)
    return 50


class Counting:
    """A store without ``put_many`` or with one, which counts what it is asked."""

    def __init__(self, store):
        self._store = store
        self.path = getattr(store, "path", None)
        self.asked = Counter()

    def __getattr__(self, name):
        async def ask(*args, **options):
            self.asked[name] += 1
            return await getattr(self._store, name)(*args, **options)

        return ask if name in ("get", "put", "lease") else getattr(self._store, name)


def delegated(name):
    def method(self, *args, **options):
        return Counting.__getattr__(self, name)(*args, **options)

    return method


class Bulk(Counting):
    """``before`` is awaited with the records of each ``put_many``."""

    before = None

    async def get_many(self, scope, seller_ids):
        self.asked["get_many"] += 1
        return await self._store.get_many(scope, seller_ids)

    async def put_many(self, records):
        self.asked["put_many"] += 1
        if self.before is not None:
            await self.before(records)
        return await self._store.put_many(records)

    # What makes a protocol's instance is looked for without asking ``__getattr__``.
    get, put, remove, claim, lease, next_due, records, aclose = map(
        delegated, ("get", "put", "remove", "claim", "lease", "next_due", "records", "aclose")
    )


async def pairs_in(tokens):
    """Seller to access token, by what the manager has stored."""
    return {
        status.seller_id: (await tokens.token(status.seller_id)).access_token
        async for status in tokens.statuses()
    }


@either_loop
async def test_new_sellers_are_written_many_at_a_time(scenario, small_chunks):
    """A look at a chunk of them, and a write of all that are new."""
    store = Bulk(MemoryStore())
    now = scenario.clock.now()
    seen = []
    async with scenario.manager(store) as tokens:
        given = [held(now, number) for number in range(130)]
        report = await tokens.import_many(given, on_progress=seen.append)
        assert counts(report) == {"imported": 130}
        assert (await tokens.token("s129")).access_token == "access-129-"
        assert (await tokens.status("s7")).is_persisted
    assert store.asked == {"get_many": 3, "put_many": 3, "get": 2}
    assert [progress.done for progress in seen] == list(range(1, 131))
    assert {progress.total for progress in seen} == {130}
    assert {progress.latest.position for progress in seen} == set(range(130))


@either_loop
async def test_newer_pairs_are_written_many_at_a_time(scenario, small_chunks):
    """But for those of one venture of several, or whose record has changed since the look."""
    store = Bulk(inner := MemoryStore())
    now = scenario.clock.now()
    async with scenario.manager(inner) as other, scenario.manager(store) as tokens:
        given = [held(now, number) for number in range(48)]
        given += [held(now, 48, sellers=("sg", "my"))]
        assert counts(await tokens.import_many(given)) == {"imported": 49}
        store.asked.clear()
        newer = [held(now, number, pair="newer", age=9) for number in range(48)]
        newer += [held(now, 48, sellers=("sg",), pair="newer", age=9)]

        async def approve(_):
            store.before = None
            await other.import_token(held(now, 7, pair="newest", age=1))

        store.before = approve
        assert counts(await tokens.import_many(newer)) == {"replaced": 48, "unchanged": 1}
        assert store.asked["get_many"] == store.asked["put_many"] == 1
        assert store.asked["put"] <= 3
        found = await pairs_in(tokens)
        assert found.pop("s7") == "access-7-newest"
        assert found.pop("my") == "access-48-"
        assert {pair.rpartition("-")[2] for pair in found.values()} == {"newer"}
        assert (await tokens.status("s1")).generation == 2


@pytest.mark.parametrize("kind", [Counting, Bulk])
@either_loop
async def test_an_import_means_what_that_of_one_token_means(scenario, kind):
    """The same grants, seller by seller, ventures included; with a store of either sort."""
    now = scenario.clock.now()
    given = [
        held(now, 1),
        held(now, 2, sellers=("sg-2", "my-2", "vn-2")),
        held(now, 3, sellers=(), country="sg", account_id="a3"),
        held(now, 4, pair="older", age=500),
        held(now, 4, pair="newer", age=50),
        held(now, 5, sellers=("my-2",), pair="alone", age=5),
    ]
    given[2] = evolve(given[2], sellers=())
    seller_ids = ["s1", "sg-2", "my-2", "vn-2", "a3", "s4"]
    kept = []
    for many in (False, True):
        async with scenario.manager(kind(MemoryStore())) as tokens:
            if many:
                report = await tokens.import_many(iter(given))
                assert counts(report) == {"imported": 4, "replaced": 2}
            else:
                for token in given:
                    await tokens.import_token(token)
            kept.append([(await tokens.token(each)).access_token for each in seller_ids])
            kept[-1].append([(await tokens.status(each)).seller_ids for each in seller_ids])
    assert kept[0] == kept[1]


@pytest.mark.parametrize("kind", [Counting, Bulk])
@either_loop
async def test_importing_again_changes_nothing(scenario, kind):
    """Not a record is written; nor where a pair has been refreshed since."""
    store = kind(MemoryStore())
    scenario.sandbox.add_sellers(["s0"])
    granted = scenario.sandbox.grant("s0")
    now = scenario.clock.now()
    given = [held(now, number) for number in range(20)]
    given[0] = evolve(given[0], refresh_token=granted["refresh_token"])
    async with scenario.manager(store) as tokens:
        assert counts(await tokens.import_many(given)) == {"imported": 20}
        await tokens.refresh("s0")
        before = [record async for record in store.records(tokens.scope)]
        assert counts(await tokens.import_many(given)) == {"unchanged": 20}
        unknown_age = [evolve(token, issued_at=scenario.clock.now()) for token in given]
        assert counts(await tokens.import_many(unknown_age)) == {"unchanged": 20}
        assert [record async for record in store.records(tokens.scope)] == before


@pytest.mark.parametrize("kind", [Counting, Bulk])
@either_loop
async def test_a_newer_pair_is_never_replaced_by_an_older_one(scenario, kind):
    """In whatever order they come, one import or several; a newer one replaces, unless told not."""
    now = scenario.clock.now()
    older, newer = held(now, 1, pair="older", age=900), held(now, 1, pair="newer", age=30)
    for given in ([older, newer], [newer, older], [newer, older, newer]):
        async with scenario.manager(kind(MemoryStore())) as tokens:
            await tokens.import_many(given)
            assert await pairs_in(tokens) == {"s1": "access-1-newer"}
    async with scenario.manager(kind(MemoryStore())) as tokens:
        await tokens.import_many([older])
        report = await tokens.import_many([newer], replace=False)
        assert counts(report) == {"skipped": 1}
        assert "not to be replaced" in report.details[0].reason
        assert await pairs_in(tokens) == {"s1": "access-1-older"}
        assert counts(await tokens.import_many([newer])) == {"replaced": 1}
        assert counts(await tokens.import_many([older])) == {"unchanged": 1}
        assert await pairs_in(tokens) == {"s1": "access-1-newer"}


@pytest.mark.parametrize("kind", [Counting, Bulk])
@either_loop
async def test_a_later_pair_of_one_venture_keeps_an_older_one_of_all_out(scenario, kind):
    """It would cost that venture its pair; what is missing is told."""
    now = scenario.clock.now()
    async with scenario.manager(kind(MemoryStore())) as tokens:
        await tokens.import_many([held(now, 1, sellers=("sg",), pair="later", age=5)])
        report = await tokens.import_many([held(now, 1, sellers=("my", "sg"), age=50)])
        assert counts(report) == {"skipped": 1}
        assert report.details == (
            iop.tokens.ImportOutcome(
                0, "my", "skipped", "some of its sellers have a later pair, and others have none"
            ),
        )
        assert await pairs_in(tokens) == {"sg": "access-1-later"}


def spoiled(now):
    """Tokens that are of no use, each with what is said of it."""
    good = held(now, 1, pair="canary")
    deep = []
    for _ in range(100_000):
        deep = [deep]
    return {
        "has no refresh token": evolve(good, refresh_token=None),
        "cannot be refreshed": evolve(good, refresh_expires_at=good.issued_at),
        "refresh token has expired": evolve(
            good, refresh_expires_at=now - timedelta(seconds=1), issued_at=now - timedelta(days=9)
        ),
        "names no seller": evolve(good, sellers=()),
        "token is of type dict": {"access_token": "canary"},
        "token is of type NoneType": None,
        "with white space around it": evolve(good, sellers=(iop.Seller("sg", " s1"),)),
        "control character": evolve(good, sellers=(iop.Seller("sg", "s\n1"),)),
        "half a surrogate pair": evolve(good, sellers=(iop.Seller("sg", "s\ud8001"),)),
        "of type int": evolve(good, sellers=(iop.Seller("sg", 1),)),
        "sellers[0] is of type dict": evolve(good, sellers=({"seller_id": "s1"},)),
        "holds what JSON cannot": evolve(good, extra={"price": Decimal("1.5")}),
        "its extra holds": evolve(good, extra={"canary": deep}),
    }


@pytest.mark.parametrize("kind", [Counting, Bulk])
@either_loop
async def test_a_bad_token_costs_no_other(scenario, kind):
    """It is in the report with its position and the reason, and without a secret."""
    now = scenario.clock.now()
    bad = spoiled(now)
    given = [held(now, f"a{number}") for number in range(5)]
    given += [*bad.values(), *(held(now, f"b{number}") for number in range(5))]
    async with scenario.manager(kind(MemoryStore())) as tokens:
        report = await tokens.import_many(given)
        assert counts(report) == {"imported": 10, "failed": len(bad)}
        assert len(await pairs_in(tokens)) == 10
    assert [each.position for each in report.details] == list(range(5, 5 + len(bad)))
    for expected, told in zip(bad, report.details, strict=True):
        assert expected in told.reason
        assert "canary" not in repr(told)


@either_loop
async def test_details_are_bounded(scenario):
    """The counts are not."""
    async with scenario.manager(MemoryStore()) as tokens:
        report = await tokens.import_many(None for _ in range(1_100))
    assert report.failed == 1_100
    assert len(report.details) == 1_000


@either_loop
async def test_what_is_no_series_of_tokens_is_refused_before_anything_is_done(scenario):
    """A single token, a text, a function that was not called."""
    token = held(scenario.clock.now(), 1)
    async with scenario.manager(MemoryStore()) as tokens:
        for given in (token, "token", {"s1": token}, 7, None):
            with pytest.raises(TypeError, match="give an iterable"):
                await tokens.import_many(given)
        with pytest.raises(TypeError, match="True or False"):
            await tokens.import_many([token], replace="older")
        with pytest.raises(TypeError, match="on_progress"):
            await tokens.import_many([token], on_progress="loud")
        assert await pairs_in(tokens) == {}
    with pytest.raises(RuntimeError, match="not running"):
        await tokens.import_many([token])


@either_loop
async def test_an_error_of_a_listener_is_no_failure_of_an_import(scenario):
    """It is told as an event."""

    def complain(progress):
        raise RuntimeError("no")

    async with scenario.manager(MemoryStore()) as tokens, tokens.events() as events:
        report = await tokens.import_many([held(scenario.clock.now(), 1)], on_progress=complain)
        assert counts(report) == {"imported": 1}
        assert (await anext(events)).kind == "error"


@pytest.mark.parametrize("kind", [Counting, Bulk])
@either_loop
async def test_an_approval_that_comes_between_is_not_overwritten(scenario, kind):
    """What another process wrote after the import looked is later."""
    inner = MemoryStore()
    store = kind(inner)
    now = scenario.clock.now()
    approved = held(now, 1, pair="approved", age=1)
    async with scenario.manager(inner) as other, scenario.manager(store) as tokens:

        async def approve(_):
            store.before = None
            await other.import_token(approved)

        store.before = approve
        if kind is Counting:
            await approve(None)
        report = await tokens.import_many([held(now, 1), held(now, 2)])
        assert counts(report) == {"imported": 1, "unchanged": 1}
        assert (await pairs_in(tokens))["s1"] == "access-1-approved"


@either_loop
async def test_a_store_that_does_not_say_what_it_wrote_is_asked_again(scenario):
    """Repeating is no error, and what is there was written by this import."""
    store = Bulk(inner := MemoryStore())

    async def write_and_fail(records):
        store.before = None
        await inner.put_many(records)
        raise iop.StoreError("the connection was lost")

    store.before = write_and_fail
    async with scenario.manager(store) as tokens:
        report = await tokens.import_many(held(scenario.clock.now(), n) for n in range(30))
    assert counts(report) == {"imported": 30}
    assert store.asked["put_many"] == 2


@either_loop
async def test_what_many_at_a_time_cannot_do_is_done_one_by_one(scenario):
    """A store whose ``put_many`` is out of order."""
    store = Bulk(MemoryStore())

    async def fail(records):
        raise iop.StoreError("too many parameters", retryable=False)

    store.before = fail
    async with scenario.manager(store) as tokens:
        report = await tokens.import_many(held(scenario.clock.now(), n) for n in range(30))
        assert counts(report) == {"imported": 30}
        assert len(await pairs_in(tokens)) == 30


@either_loop
async def test_while_the_store_fails_an_import_ends_early_and_the_journal_has_its_tokens(scenario):
    """A few; given again when the store is back they are there, and the others come in."""
    store = Outage(scenario.store())
    now = scenario.clock.now()
    given = [held(now, number) for number in range(200)]
    told = []
    async with scenario.manager(store) as tokens:
        store.fails = Outage.EVERYTHING
        with pytest.raises(iop.StoreError, match="the import ended early") as caught:
            await tokens.import_many(given, on_progress=told.append)
        assert caught.value.retryable
        kept = [progress.latest for progress in told if progress.latest.verdict == "imported"]
        assert 20 <= len(kept) < 60
        assert all("the journal and memory have it" in each.reason for each in kept)
        assert (await tokens.token(kept[0].seller_id)).access_token
    async with scenario.manager() as tokens:
        stored = {status.seller_id async for status in tokens.statuses()}
        assert stored == {each.seller_id for each in kept}
        report = await tokens.import_many(given)
        assert counts(report) == {"imported": 200 - len(kept), "unchanged": len(kept)}


@either_loop
async def test_without_a_journal_nothing_is_said_to_be_kept_that_is_not(scenario):
    """The tokens are in memory alone."""
    store = Outage(MemoryStore())
    async with scenario.manager(store) as tokens:
        told = []
        store.fails = Outage.EVERYTHING
        with pytest.raises(iop.StoreError, match="0 tokens are kept"):
            await tokens.import_many(
                (held(scenario.clock.now(), n) for n in range(100)), on_progress=told.append
            )
        assert {progress.latest.verdict for progress in told} == {"failed"}
        assert len(told) < 60
        store.fails = frozenset()


@either_loop
async def test_what_an_import_left_in_the_journal_does_not_replace_a_later_pair(scenario):
    """The store could not say that it has one; it is looked at before the journal is written."""
    now = scenario.clock.now()
    async with scenario.manager() as tokens:
        await tokens.import_many([held(now, 1, pair="later", age=5)])
    store = Outage(scenario.store())
    async with scenario.manager(store) as tokens:
        store.fails = Outage.EVERYTHING
        report = await tokens.import_many([held(now, 1, age=900), held(now, 2, age=900)])
        assert counts(report) == {"imported": 2, "waiting": 2}
        store.fails = frozenset()
    async with scenario.manager() as tokens:
        assert await pairs_in(tokens) == {"s1": "access-1-later", "s2": "access-2-"}


@either_loop
async def test_a_record_that_cannot_be_read_costs_no_other(scenario):
    """Nor is it overwritten."""
    store = Bulk(inner := MemoryStore())
    now = scenario.clock.now()
    async with scenario.manager(store) as tokens:
        await tokens.import_many([held(now, 1)])
        record = await inner.get(tokens.scope, "s1")
        await inner.put(evolve(record, body=b"\xff"))
        report = await tokens.import_many([held(now, 1, pair="x", age=1), held(now, 2)])
        assert counts(report) == {"imported": 1, "failed": 1}
        assert "not readable" in report.details[0].reason
        assert (await inner.get(tokens.scope, "s1")).body == b"\xff"


@either_loop
async def test_an_import_that_is_cancelled_has_said_nothing_false(scenario, small_chunks):
    """All that was reported is there, and the rest comes in with the next."""
    store = Bulk(MemoryStore())
    now = scenario.clock.now()
    told = []
    async with scenario.manager(store) as tokens:
        with anyio.CancelScope() as scope:

            def stop(progress):
                told.append(progress.latest)
                if progress.done == 120:
                    scope.cancel()

            await tokens.import_many((held(now, n) for n in range(300)), on_progress=stop)
        assert scope.cancelled_caught
        there = set(await pairs_in(tokens))
        assert {each.seller_id for each in told} <= there
        report = await tokens.import_many(held(now, n) for n in range(300))
        assert counts(report) == {"imported": 300 - len(there), "unchanged": len(there)}


@either_loop
async def test_a_source_that_fails_costs_what_it_gave_nothing(scenario, small_chunks):
    """Its error comes out, and what was reported is there."""

    async def tokens_of_a_page():
        for number in range(120):
            yield held(scenario.clock.now(), number)
        raise LookupError("the other system is away")

    told = []
    async with scenario.manager(Bulk(MemoryStore())) as tokens:
        with pytest.raises(LookupError):
            await tokens.import_many(tokens_of_a_page(), on_progress=told.append)
        assert len(told) == 100
        assert {progress.total for progress in told} == {None}
        assert {each.latest.seller_id for each in told} <= set(await pairs_in(tokens))


@either_loop
async def test_a_keeper_refreshes_what_is_imported_due(scenario):
    """In the same manager, at once: nobody waits for its next look at the store."""
    scenario.sandbox.add_sellers([f"s{number}" for number in range(30)])
    now = scenario.clock.now()

    def due(number):
        pair = scenario.sandbox.grant(f"s{number}")
        return held(
            now,
            number,
            refresh_token=pair["refresh_token"],
            issued_at=now - timedelta(days=29),
            expires_at=now + timedelta(seconds=LEAD / 2),
        )

    given = [due(number) for number in range(30)]
    async with scenario.manager(Bulk(MemoryStore()), keeper=True) as tokens:
        assert counts(await tokens.import_many(given)) == {"imported": 30}
        await eventually(lambda: scenario.presented() == 30, seconds=8)
        await eventually(lambda: not tokens._lifecycle.here.flights.seller_ids)
        assert counts(await tokens.import_many(given)) == {"unchanged": 30}
        for number in range(30):
            assert (await tokens.token(f"s{number}")).refresh_token == (
                scenario.live(f"s{number}").refresh_token
            )


@either_loop
async def test_the_cache_does_not_serve_what_an_import_has_replaced(scenario):
    """Be it one by one or many at a time."""
    inner = MemoryStore()
    now = scenario.clock.now()
    async with scenario.manager(inner) as other, scenario.manager(Bulk(inner)) as tokens:
        await tokens.import_many([held(now, 1), held(now, 2)])
        assert await pairs_in(tokens) == {"s1": "access-1-", "s2": "access-2-"}
        await other.forget("s2")
        report = await tokens.import_many(
            [held(now, 1, pair="b", age=9), held(now, 2, pair="b", age=9)]
        )
        assert counts(report) == {"imported": 1, "replaced": 1}
        assert (await tokens.token("s1")).access_token == "access-1-b"
        assert (await tokens.token("s2")).access_token == "access-2-b"


@either_loop
async def test_memory_stays_flat_however_many_tokens_are_given(scenario, small_chunks):
    """No more of them are alive than two chunks hold."""
    alive = []
    store = Bulk(MemoryStore())

    async def forget(_):
        store._store._scopes.clear()  # what a store keeps is not what an import holds

    store.before = forget
    async with scenario.manager(store) as tokens:
        now = scenario.clock.now()

        def given():
            for number in range(20 * small_chunks):
                if number % (4 * small_chunks) == small_chunks // 2:
                    gc.collect()
                    alive.append(sum(isinstance(each, iop.Token) for each in gc.get_objects()))
                yield held(now, number)

        report = await tokens.import_many(given())
    assert report.imported == 20 * small_chunks
    assert max(alive) - alive[0] <= 2 * small_chunks


@pytest.mark.drill
@each_store
async def test_ten_thousand_sellers_come_in_over_every_store(shared):
    """Ventures, repeated sellers and bad ones among them; again; and with newer pairs."""
    now = shared.clock.now()
    chance = random.Random(5)

    def given(pair="", age=60.0, count=10_000):
        for number in range(count):
            if number % 1_000 == 999:
                yield held(now, number, refresh_token=None)
            elif number % 100 == 50:
                yield held(now, number, pair=pair, age=age, sellers=(f"s{number}", f"my{number}"))
            else:
                yield held(now, number, pair=pair, age=age)

    async with shared.manager() as tokens:
        assert counts(await tokens.import_many(given())) == {"imported": 9_990, "failed": 10}
        assert counts(await tokens.import_many(given())) == {"unchanged": 9_990, "failed": 10}
        found = 0
        async for status in tokens.statuses():
            found += len(status.seller_ids)
        assert found == 9_990 + 100
        for number in chance.sample(range(0, 9_900, 100), 20):
            assert (await tokens.token(f"my{number + 50}")).seller_id == f"s{number + 50}"
    async with shared.manager() as tokens:
        report = await tokens.import_many(given(pair="later", age=5, count=500))
        assert counts(report) == {"replaced": 500}
        assert (await tokens.token("s7")).access_token == "access-7-later"


@pytest.mark.drill
@each_store
async def test_two_hosts_may_import_the_same_at_once(shared):
    """Every seller is there once, and nobody fails."""
    now = shared.clock.now()
    reports = []
    async with shared.hosts(2) as hosts:

        async def bring(tokens):
            reports.append(await tokens.import_many(held(now, n) for n in range(1_500)))

        async with anyio.create_task_group() as tasks:
            for tokens in hosts:
                tasks.start_soon(bring, tokens)
        assert [report.failed + report.skipped for report in reports] == [0, 0]
        assert len([status async for status in hosts[0].statuses()]) == 1_500


DRIVER = Path(__file__).parent / "import_driver.py"


@pytest.mark.drill
def test_a_process_that_is_killed_has_said_nothing_false(tmp_path):
    """Wherever it dies: what it reported is there, and the next run brings in the rest."""
    chance = random.Random(11)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for round_ in range(5):
        path = tmp_path / f"{round_}.db"
        reported = set()
        for _ in range(3):
            with subprocess.Popen(
                [sys.executable, DRIVER, path, "6000"], stdout=subprocess.PIPE, text=True, env=env
            ) as process:
                process.stdout.readline()
                time.sleep(chance.random() * 0.8)
                os.kill(process.pid, signal.SIGKILL)
                reported |= set(process.stdout.read().split("\n")[:-1]) - {"6000 are there"}
            anyio.run(check_reported, path, reported)
        out = subprocess.run(
            [sys.executable, DRIVER, path, "6000"],
            capture_output=True,
            text=True,
            check=True,
            env=env,
        )
        assert out.stdout.splitlines()[-1] == "6000 are there"


async def check_reported(path, reported):
    store = STORES["sqlite"].make(f"sqlite:///{path}", "")
    there = {record.seller_id async for record in store.records("imports")}
    await store.aclose()
    assert reported <= there
