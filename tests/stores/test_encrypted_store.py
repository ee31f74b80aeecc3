"""An encrypted store around a real one: rows that do not open, exchanged keys, the journal."""

import logging
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from attrs import evolve
from store_helpers import BACKENDS, SCOPE, anything, record, rows, run

from iop_async import StaleRecord, StoreError
from iop_async.stores import EncryptedStore, MemoryStore, SpillJournal, SQLiteStore

NEW, OLD = {"2026": b"n" * 32}, {"2025": b"o" * 32}
DUE = datetime(2020, 1, 1, tzinfo=UTC)
CANARY = b"50000601c30canary3mSoB7701"
CONTENT = "SELECT scope, seller, sellers, due_at, dies_at, generation, revision, body FROM records"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tokens.db"


def opened(path, keys=NEW, **options):
    return EncryptedStore(SQLiteStore(path), keys, **options)


async def filled(path, keys, sellers, **facts):
    async with opened(path, keys) as store:
        return [await store.put(record(each, body=CANARY, **facts)) for each in sellers]


async def claimed(store, limit=10, holder="h"):
    records = await store.claim(
        SCOPE, due_by=datetime.now(UTC), limit=limit, holder=holder, seconds=600
    )
    return [each.seller_id for each in records]


def test_no_token_is_in_the_file_or_beside_it(path):
    """Not in its log either, while it is open; what the store searches by is."""

    async def main():
        async with opened(path) as store:
            for n in range(20):
                kept = await store.put(record(f"{n}", body=CANARY + b"1"))
                await store.put(evolve(kept, body=CANARY + b"2"))
            files = list(path.parent.iterdir())
            assert {file.suffix for file in files} == {".db", ".db-wal", ".db-shm"}
            return [file.read_bytes() for file in files]

    content = b"".join([*run(main), path.read_bytes()])
    assert CANARY[:8] not in content
    assert SCOPE.encode() in content


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_row_with_the_body_of_another_is_refused(path, backend):
    """Whoever can write to the database cannot give one seller the token of another."""
    run(lambda: filled(path, NEW, ["1001", "2002"]))
    run(lambda: filled(path, NEW, ["1001"], scope="another app"))
    rows(path, "UPDATE records SET body = (SELECT body FROM records WHERE seller = '2002')")
    before = rows(path, CONTENT)

    async def main():
        async with opened(path) as store:
            assert (await store.get(SCOPE, "2002")).body == CANARY
            for scope in (SCOPE, "another app"):
                with pytest.raises(StoreError, match="'1001': it was changed, or belongs to anoth"):
                    await store.get(scope, "1001")
                with pytest.raises(StoreError, match="'1001': it was changed"):
                    await store.lease(scope, "1001", holder="h", seconds=60)

    run(main, backend)
    assert rows(path, CONTENT) == before


def test_an_index_that_was_bent_is_refused(path):
    """A whole row in the place of another is no answer to what was asked for."""
    run(lambda: filled(path, NEW, ["1001", "2002"]))
    run(lambda: filled(path, NEW, ["1001"], scope="another app"))
    rows(path, "UPDATE sellers SET record = (SELECT record FROM sellers WHERE seller = '2002')")

    async def main():
        async with opened(path) as store:
            for scope in (SCOPE, "another app"):
                with pytest.raises(StoreError, match=r"'2002': .* in the place of '1001'"):
                    await store.get(scope, "1001")

    run(main)


def test_a_record_whose_seller_was_taken_over_still_opens(path):
    """The store files it under another name without knowing what is in it."""

    async def main():
        async with opened(path) as store:
            await store.put(record("a", "b", "c", body=b"old"))
            await store.put(record("x", "a", body=b"new"))
            assert (await store.get(SCOPE, "b")).body == b"old"
            assert (await store.get(SCOPE, "a")).body == b"new"
            moved = await store.get(SCOPE, "c")
            assert (moved.seller_id, moved.seller_ids) == ("b", ("b", "c"))
            assert await store.put(evolve(moved, seller_ids=("b", "c", "a"), body=b"x"))
            assert (await store.get(SCOPE, "a")).body == b"x"

    run(main)


def test_a_repeated_write_is_the_same_write(path):
    """Also in another process, with the same keys."""

    async def main():
        async with opened(path) as store:
            kept = await store.put(record())
            change = evolve(kept, body=CANARY)
            written = await store.put(change)
        async with opened(path, NEW | OLD) as store:
            assert await store.put(change) == written
            with pytest.raises(StaleRecord):
                await store.put(evolve(change, body=b"another"))
            assert await store.get(SCOPE, "1001") == written

    run(main)


@pytest.mark.parametrize(
    ("keys", "words"),
    [(NEW, "key id '2025' is missing"), ({"2025": b"x" * 32}, "it was changed")],
    ids=["missing", "wrong"],
)
def test_without_the_key_nothing_is_read_or_changed(path, keys, words):
    """An error, never an absence; byte for byte as it was, and read again with the key."""
    kept = run(lambda: filled(path, OLD, ["1001"], due_at=DUE))
    before = rows(path, CONTENT)

    async def main():
        async with opened(path, keys) as store:
            with pytest.raises(StoreError, match=words) as caught:
                await store.get(SCOPE, "1001")
            assert not caught.value.retryable
            with pytest.raises(StoreError, match=words):
                await store.lease(SCOPE, "1001", holder="h", seconds=60)
            with pytest.raises(StaleRecord):
                await store.put(record("1001"))
            with pytest.raises(StoreError, match=words):
                await store.reencrypt(SCOPE)

    run(main)
    assert rows(path, CONTENT) == before

    async def again():
        async with opened(path, keys | OLD) as store:
            assert await store.get(SCOPE, "1001") == kept[0]

    run(again)


def test_a_lease_that_shows_nothing_is_not_kept(path):
    """Whoever has the key would wait for its end; a lease of his own stays his."""
    run(lambda: filled(path, OLD, ["1001"]))

    async def main():
        async with opened(path, NEW) as without, opened(path, OLD) as within:
            with pytest.raises(StoreError, match="key id '2025' is missing"):
                await without.lease(SCOPE, "1001", holder="a", seconds=600)
            assert await within.lease(SCOPE, "1001", holder="b", seconds=600) is not None
            assert await without.lease(SCOPE, "1001", holder="a", seconds=600) is None

    run(main)


def test_what_cannot_be_decrypted_can_be_removed(path):
    """A key that is lost for good must not stand in the way of a new authorization."""
    run(lambda: filled(path, OLD, ["1001"]))

    async def main():
        async with opened(path) as store:
            assert await store.remove(SCOPE, "1001")
            assert await store.put(record(body=b"anew"))

    run(main)


def test_a_claim_passes_over_what_cannot_be_decrypted(path, caplog):
    """It hides no other, is told of once, and is not back before its lease ends."""
    run(lambda: filled(path, OLD, ["1", "3"], due_at=DUE, dies_at=DUE))
    run(lambda: filled(path, NEW, ["2", "4"], due_at=DUE))

    async def main():
        async with opened(path) as store:
            assert sorted(await claimed(store)) == ["2", "4"]
            assert await claimed(store) == []
            assert await store.next_due(SCOPE) > datetime.now(UTC)
            for seller in ("1", "3"):
                await store._inner.lease(SCOPE, seller, holder="h", seconds=0)
            assert await claimed(store) == []

    run(main)
    told = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert sorted(each.getMessage() for each in told) == [
        "a record that is due is passed over: cannot decrypt the record of seller "
        f"'{seller}': key id '2025' is missing; there is '2026'"
        for seller in "13"
    ]


def test_what_cannot_be_decrypted_takes_no_place_of_a_claim(path):
    """A claim is filled up with the next that can."""
    run(lambda: filled(path, OLD, ["1", "3"], due_at=DUE, dies_at=DUE))
    run(lambda: filled(path, NEW, ["2", "4", "5", "6"], due_at=DUE))

    async def main():
        async with opened(path) as store:
            assert len(await claimed(store, limit=3)) == 3
            assert len(await claimed(store, limit=3)) == 1

    run(main)


def test_many_that_cannot_be_decrypted_do_not_hide_one_that_can(path):
    """Though they die first, and are more than are claimed at a time."""
    run(lambda: filled(path, OLD, [f"{n}" for n in range(25)], due_at=DUE, dies_at=DUE))
    run(lambda: filled(path, NEW, ["good"], due_at=DUE))

    async def main():
        async with opened(path) as store:
            assert await claimed(store, limit=0) == []
            assert await claimed(store, limit=4) == ["good"]
            assert await claimed(store, limit=4) == []

    run(main)


def test_records_gives_all_that_can_be_decrypted_and_then_an_error(path):
    """One seller's trouble hides no other seller, and is not hidden itself."""
    run(lambda: filled(path, OLD, ["1", "3"]))
    run(lambda: filled(path, NEW, ["2", "4"]))

    async def main():
        async with opened(path) as store:
            records = store.records(SCOPE)
            seen = [(await anext(records)).seller_id for _ in range(2)]
            with pytest.raises(StoreError, match=r"2 cannot be read: .*'1'"):
                await anext(records)
            assert [each async for each in records] == []
        async with opened(path, OLD | NEW) as store:
            assert len([each async for each in store.records(SCOPE)]) == 4
        return seen

    assert sorted(run(main)) == ["2", "4"]


def key_ids(path):
    found = rows(path, "SELECT body FROM records ORDER BY seller")
    return [body.partition(b'"key":"')[2][:4].decode() for (body,) in found]


def test_a_key_is_exchanged_while_everything_runs(path):
    """An old record is read as ever, and sealed anew by the next write, or by all at once."""
    run(lambda: filled(path, OLD, ["1", "2", "3"]))

    async def main():
        async with opened(path, NEW | OLD) as store:
            kept = await store.get(SCOPE, "1")
            await store.put(evolve(kept, body=CANARY + b"!"))
            assert key_ids(path) == ["2026", "2025", "2025"]
            assert await store.reencrypt(SCOPE) == 2
            assert await store.reencrypt(SCOPE) == 0
            assert await store.reencrypt("another") == 0
        async with opened(path, NEW) as store:
            return [each.body async for each in store.records(SCOPE)]

    assert sorted(run(main)) == [CANARY, CANARY, CANARY + b"!"]
    assert key_ids(path) == ["2026"] * 3


def test_reencrypting_does_what_it_can(path):
    """What it cannot decrypt is an error in the end, and as it was."""
    run(lambda: filled(path, {"lost": b"l" * 32}, ["1", "4"]))
    run(lambda: filled(path, OLD, ["2", "3"]))

    async def main():
        async with opened(path, NEW | OLD) as store:
            with pytest.raises(StoreError, match=r"2 cannot be read: .*'lost'"):
                await store.reencrypt(SCOPE)

    run(main)
    assert key_ids(path) == ["lost", "2026", "2026", "lost"]


def test_reencrypting_goes_on_past_what_was_sealed_with_another_key_meanwhile():
    """It is an error in the end, and nobody's lease; all others are done."""
    lost = {"lost": b"l" * 32}

    class Busy(MemoryStore):
        async def lease(self, scope, seller, **options):
            kept = await self.get(scope, seller)
            if seller == "1" and b"lost" not in kept.body:
                await self.put(EncryptedStore(self, lost).seal(evolve(kept, body=b"x")))
            return await super().lease(scope, seller, **options)

    async def main():
        busy = Busy()
        for seller in "123":
            await EncryptedStore(busy, OLD).put(record(seller))
        with pytest.raises(StoreError, match=r"1 cannot be read: .*'lost'"):
            await EncryptedStore(busy, NEW | OLD).reencrypt(SCOPE)
        assert [b"2026" in (await busy.get(SCOPE, each)).body for each in "123"] == [
            False,
            True,
            True,
        ]
        assert await busy.lease(SCOPE, "1", holder="h", seconds=60) is not None

    run(main)


@pytest.mark.parametrize("backend", BACKENDS)
def test_reencrypting_beside_writers_loses_no_write(path, backend):
    """Neither theirs nor its own, and whoever holds a lease finds the record as it was."""
    sellers = [f"{n}" for n in range(40)]
    run(lambda: filled(path, OLD, sellers))

    async def refresh(store, seller, holder):
        """As the token manager does it, for whom a change under its lease is an error."""
        while await store.lease(SCOPE, seller, holder=holder, seconds=60) is None:
            await anyio.sleep(0.005)
        kept = await store.get(SCOPE, seller)
        intent = await store.put(evolve(kept, body=CANARY + b"intent"))
        await store.put(
            evolve(intent, body=CANARY + b"done", generation=kept.generation + 1), release=holder
        )

    async def write(store, holder):
        for seller in sellers:
            await refresh(store, seller, holder)

    async def main():
        async with opened(path, OLD | NEW) as old, opened(path, NEW | OLD) as new:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(write, old, "a")
                tasks.start_soon(write, old, "b")
                tasks.start_soon(new.reencrypt, SCOPE)
            await new.reencrypt(SCOPE)
        async with opened(path) as store:
            return [(each.generation, each.body) async for each in store.records(SCOPE)]

    assert run(main, backend) == [(3, CANARY + b"done")] * 40


def test_reencrypting_follows_records_that_are_moved_removed_or_done_by_others():
    """By their new names; what is gone or done counts for whoever did it."""

    class Busy(MemoryStore):
        """Others act whenever a record is about to be written."""

        async def lease(self, scope, seller, **options):
            if seller == "moved":
                await EncryptedStore(self, NEW).put(record("new", "moved", body=b"new"))
            if seller == "gone":
                await self.remove(scope, seller)
            if seller == "done":
                store = EncryptedStore(self, NEW | OLD)
                await store.put(await store.get(scope, seller))
            return await super().lease(scope, seller, **options)

    async def main():
        busy = Busy()
        old = EncryptedStore(busy, OLD)
        for one in (record("moved", "left"), record("gone"), record("done"), record("kept")):
            await old.put(one)
        assert await EncryptedStore(busy, NEW | OLD).reencrypt(SCOPE) == 2
        bodies = {
            each.seller_id: each.body async for each in EncryptedStore(busy, NEW).records(SCOPE)
        }
        assert bodies == {"new": b"new", "left": b"{}", "done": b"{}", "kept": b"{}"}
        claim = await busy.claim(SCOPE, due_by=datetime.now(UTC), limit=9, holder="h", seconds=60)
        assert claim == []

    run(main)


def test_reencrypting_gives_way_to_a_write_and_to_no_claim():
    """Who authorizes anew needs no lease and wins; who would refresh waits for the record."""

    class Busy(MemoryStore):
        rival = None

        async def put(self, kept, *, release=None):
            if release is not None:
                claim = {"due_by": datetime.now(UTC), "limit": 9, "holder": "h", "seconds": 60}
                assert await self.claim(SCOPE, **claim) == []
                if self.rival is not None:
                    await super().put(evolve(self.rival, revision=kept.revision))
                    self.rival = None
            return await super().put(kept, release=release)

    async def main():
        busy = Busy()
        old, new = EncryptedStore(busy, OLD), EncryptedStore(busy, NEW | OLD)
        await old.put(record(due_at=DUE))
        busy.rival = old.seal(record(due_at=DUE, body=b"rival"))
        assert await new.reencrypt(SCOPE) == 1
        assert await claimed(EncryptedStore(busy, NEW)) == ["1001"]
        assert (await new.get(SCOPE, "1001")).body == b"rival"

    run(main)


def test_reencrypting_waits_for_whoever_has_the_lease():
    """A refresh under way must find its record as it left it."""

    async def main():
        refused = anyio.Event()

        class Leased(MemoryStore):
            async def lease(self, *names, **options):
                leased = await super().lease(*names, **options)
                if leased is None:
                    refused.set()
                return leased

        clock = [datetime.now(UTC)]
        inner = Leased(now=lambda: clock[0])
        await EncryptedStore(inner, OLD).put(record())
        await inner.lease(SCOPE, "1001", holder="refresher", seconds=60)
        counts = []

        async def reencrypt():
            counts.append(await EncryptedStore(inner, NEW | OLD).reencrypt(SCOPE))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reencrypt)
            await refused.wait()
            assert b"2025" in (await inner.get(SCOPE, "1001")).body
            clock[0] += timedelta(seconds=61)
        assert counts == [1]
        assert await inner.lease(SCOPE, "1001", holder="next", seconds=60) is not None

    run(main)


def test_a_store_is_encrypted_where_it_stands(path):
    """What is plain is refused, unless it is expected; afterwards nothing is."""

    async def main():
        async with SQLiteStore(path) as plain:
            for seller in "123":
                await plain.put(record(seller, body=CANARY))
        async with opened(path) as store:
            with pytest.raises(StoreError, match="not encrypted, and accept_plain=True was not"):
                await store.get(SCOPE, "1")
            with pytest.raises(StoreError, match=r"3 cannot be read: .* not encrypted"):
                await store.reencrypt(SCOPE)
        async with opened(path, accept_plain=True) as store:
            kept = await store.get(SCOPE, "1")
            await store.put(evolve(kept, generation=2))
            assert await store.reencrypt(SCOPE) == 2
        async with opened(path) as store:
            assert {each.body async for each in store.records(SCOPE)} == {CANARY}

    run(main)
    assert not any(CANARY in body for (body,) in rows(path, "SELECT body FROM records"))


def test_closing_closes_the_inner_store(path):
    """It was taken over; entering opens it, once, and a store without doors is entered too."""

    async def main():
        async with opened(path) as store:
            assert store.path == path
            assert path.exists()
            with pytest.raises(RuntimeError, match="entered before"):
                await store.__aenter__()
        with pytest.raises(StoreError, match="closed"):
            await store._inner.get(SCOPE, "1001")
        await store.aclose()
        async with EncryptedStore(MemoryStore(), NEW) as store:
            assert store.path is None

    run(main)


def test_a_journal_beside_it_is_sealed(tmp_path):
    """It comes back as it was, and goes when it is done, whichever key it was sealed with."""
    path = tmp_path / "spill"
    journal, exchanged, plain = (
        SpillJournal(path, sealer=EncryptedStore(MemoryStore(), NEW)),
        SpillJournal(path, sealer=EncryptedStore(MemoryStore(), OLD | NEW)),
        SpillJournal(path),
    )
    mine, other = record(body=CANARY), record("2", body=CANARY)

    async def main():
        await journal.append(mine)
        await journal.append(other)
        assert CANARY not in path.read_bytes()
        assert (await plain.records())[0].body.startswith(b"IOPSEAL")
        assert await journal.records() == [mine, other]
        await exchanged.remove(SCOPE, {"1001": lambda one: one.body != CANARY})
        await exchanged.remove(SCOPE, {"2": lambda one: one.body == CANARY})
        assert await exchanged.records() == [mine]
        await exchanged.remove(SCOPE, {"1001": lambda one: one.body == CANARY})
        assert await journal.records() == []

    run(main)
    assert path.read_bytes() == b""


def test_a_journal_that_does_not_open_is_told_of_and_kept(tmp_path, caplog):
    """It is recovered as soon as it may be."""
    path = tmp_path / "spill"
    wrong = SpillJournal(path, sealer=EncryptedStore(MemoryStore(), NEW))
    accepting = SpillJournal(path, sealer=EncryptedStore(MemoryStore(), NEW, accept_plain=True))

    async def main():
        await SpillJournal(path).append(record(body=CANARY))
        before = path.read_bytes()
        assert await wrong.records() == []
        assert "spill: in the journal of unsaved tokens, cannot decrypt" in caplog.text
        assert "accept_plain=True was not given; it stays there" in caplog.text
        await wrong.remove(SCOPE, {"1001": anything})
        assert path.read_bytes() == before
        assert await accepting.records() == [record(body=CANARY)]
        await accepting.remove(SCOPE, {"1001": anything})

    run(main)
    assert path.read_bytes() == b""


def ran(script):
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )


def test_without_the_extra_it_says_what_to_install():
    """An import error deeper down would leave one guessing; all else works without."""
    script = """
import sys
sys.modules["cryptography"] = None
import iop_async.tokens, iop_async.stores as stores
stores.from_url("memory://")
stores.EncryptedStore
"""
    assert (
        "EncryptedStore needs cryptography: pip install 'iop-async[crypto]'" in ran(script).stderr
    )


def test_importing_stores_imports_nothing_of_the_extras():
    """A program that keeps a file does not pay for a database server's driver."""
    script = """
import sys, iop_async.stores, iop_async.tokens
iop_async.stores.from_url("sqlite:///tokens.db")
print({"cryptography", "redis", "sqlalchemy"} & set(sys.modules))
"""
    assert ran(script).stdout.strip() == "set()"
