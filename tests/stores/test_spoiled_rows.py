"""Rows that were torn, or planted by who can write to the database: none costs another."""

import json
import logging
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
import redis
from redis_servers import own_prefix
from services import REDIS
from store_helpers import SCOPE, record

from iop_async import StaleRecord, StoreError
from iop_async.stores import EncryptedStore, RedisStore, SpillJournal, SQLiteStore
from iop_async.stores._redis import _scripts

PAST = datetime(2026, 1, 1, tzinfo=UTC)
KEYS = {"2026": b"n" * 32}
DEEP = "[" * 3_000 + "]" * 3_000

# What a column of the row of one seller is set to.
IN_SQLITE = {
    "due before all time": "due_at = -9223372036854775808",
    "due as a fraction": "due_at = 1.5",
    "expiry after all time": "dies_at = 9223372036854775806",
    "expiry before all time": "dies_at = -9223372036854775807",
    "expiry is text": "dies_at = 'never'",
    "expiry is bytes": "dies_at = X'00ff'",
    "sellers are torn": """sellers = '["1", "'""",
    "sellers are no list": "sellers = '{}'",
    "sellers are no texts": "sellers = '[1, null]'",
    "sellers are nested deep": f"sellers = '{DEEP}'",
    "sellers are no text": "sellers = CAST(X'ff' AS TEXT)",
    "sellers are none": "sellers = '[]'",
    "sellers are half a character": """sellers = '["\\ud800"]'""",
    "sellers without its own": """sellers = '["another"]'""",
    "seller is no text": "seller = X'ff'",
    "generation is negative": "generation = -1",
    "generation is huge": "generation = 9223372036854775807",
    "generation is text": "generation = 'seven'",
    "generation is infinite": "generation = 9e999",
    "revision is huge": "revision = 9223372036854775807",
    "revision is negative": "revision = -1",
    "revision is bytes": "revision = X''",
    "body is a number": "body = 7",
}

# What becomes of the JSON of one record; None: it is deleted.
IN_REDIS = {
    "gone": lambda _: None,
    "no JSON": lambda text: text[: len(text) // 2],
    "no text": lambda _: b"\xff",
    "nested deep": lambda _: DEEP,
    "a list": lambda _: "[]",
    "a number": lambda _: "7",
    "nothing known": lambda _: "{}",
    **{
        f"{name} is {value!r:.20}": lambda text, name=name, value=value: json.dumps(
            {**json.loads(text), name: value}
        )
        for name, values in {
            "due": (7, None, "soon", "nan", "inf", "1e300", "-" + "9" * 30, "0x7", " 7", [[]]),
            "dies": (7, None, "late", "nan", "9" * 5_000, "1.5"),
            "generation": (-1, "-1", "9" * 19, "seven", None, 1.5),
            "revision": ("-1", "9" * 30, "one", None, 1),
            "seller": (None, 7, "another", "\ud800"),
            "sellers": (None, {}, "1", [7], [[]], [], ["\ud800"]),
        }.items()
        for value in values
    },
}


@pytest.fixture
def prefix():
    with own_prefix() as mine:
        yield mine


async def claimed(store, limit, holder="a"):
    return [
        one.seller_id
        for one in await store.claim(
            SCOPE, due_by=datetime.now(UTC), limit=limit, holder=holder, seconds=600
        )
    ]


async def listed(store):
    """The sellers of all that can be read, and the error that comes after them."""
    found = []
    records = store.records(SCOPE)
    while True:
        try:
            found.append((await anext(records)).seller_id)
        except StoreError as error:
            return found, error
        except StopAsyncIteration:
            return found, None


async def filled(store, ways):
    """A tenth of the records are to be spoiled, each in a way of its own, and expire first."""
    spoiled = {f"{n}": how for n, how in enumerate(ways)}
    for seller in spoiled:
        await store.put(record(seller, f"{seller} too", due_at=PAST, dies_at=PAST))
    whole = [f"{n}" for n in range(len(spoiled), 10 * len(spoiled))]
    late = PAST + timedelta(days=1)
    for seller in whole:
        await store.put(record(seller, due_at=PAST, dies_at=late))
    return spoiled, whole


async def require_that_none_costs_another(store, spoiled, whole, caplog):
    """Listing, claiming, reading, writing and removing, with every tenth record spoiled."""
    found, error = await listed(store)
    assert sorted(found) == sorted(whole), [spoiled[one] for one in found if one in spoiled]
    assert str(error).startswith(f"{len(spoiled)} cannot be read: ")
    assert not error.retryable
    asked = [*spoiled, *whole]
    many = dict(zip(asked, await store.get_many(SCOPE, asked), strict=True))
    assert {one for one in many if isinstance(many[one], StoreError)} == {*spoiled}
    assert not any(many[one].retryable for one in spoiled)
    assert [many[one].seller_id for one in whole] == whole
    await store.next_due(SCOPE)
    found = []
    with caplog.at_level(logging.ERROR, "iop_async.stores"):
        while some := await claimed(store, limit=7):
            found += some
    assert sorted(found) == sorted(whole)
    told = [line for line in caplog.messages if "is passed over" in line]
    assert 0 < len(told) <= len(spoiled)
    await store.next_due(SCOPE)
    kept = await store.get(SCOPE, whole[0])
    assert await store.lease(SCOPE, whole[0], holder="b", seconds=60) is None
    await store.put(kept, release="a")
    assert await store.lease(SCOPE, whole[0], holder="b", seconds=60) is not None
    assert await store.remove(SCOPE, whole[1])
    return kept


async def require_an_error_of_its_own(store, seller, how):
    """And then removing it makes room for a new grant."""
    for attempt in (
        lambda: store.get(SCOPE, seller),
        lambda: store.lease(SCOPE, seller, holder="b", seconds=60),
        lambda: store.put(record("new", seller)),
    ):
        try:
            await attempt()
        except StaleRecord:
            raise
        except StoreError as error:
            assert not error.retryable, how
            assert "cannot be read" in str(error), how
        else:
            pytest.fail(f"{how} is not told of")
    assert await store.get(SCOPE, "new") is None
    assert await store.remove(SCOPE, seller)
    for gone in (seller, f"{seller} too"):
        assert await store.get(SCOPE, gone) is None, how
    written = await store.put(record("new", seller))
    assert await store.get(SCOPE, seller) == written
    assert await store.remove(SCOPE, seller)


def spoil_sqlite(path, seller, change):
    with closing(sqlite3.connect(path)) as db, db:
        done = db.execute(f"UPDATE records SET {change} WHERE seller = ?", (seller,))
        assert done.rowcount == 1


async def test_no_spoiled_row_of_a_file_costs_another(tmp_path, caplog):
    """Whatever stands in which column."""
    path = tmp_path / "tokens.db"
    async with SQLiteStore(path) as store:
        spoiled, whole = await filled(store, IN_SQLITE)
        for seller, how in spoiled.items():
            spoil_sqlite(path, seller, IN_SQLITE[how])
        await require_that_none_costs_another(store, spoiled, whole, caplog)
        for seller, how in spoiled.items():
            await require_an_error_of_its_own(store, seller, how)
        assert (await store.put(record("last"))).revision < 2**52


async def test_no_empty_column_of_a_file_costs_another(tmp_path):
    """Of tables that somebody altered, so that any column may be empty."""
    path = tmp_path / "tokens.db"
    columns = ("sellers", "generation", "revision", "body", "dies_at", "due_at", "seller")
    async with SQLiteStore(path) as store:
        for seller in (*columns, "whole"):
            await store.put(record(seller, due_at=PAST, dies_at=PAST))
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute(
            "UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '') WHERE name = 'records'"
        )
    async with SQLiteStore(path) as store:
        for column in columns:
            spoil_sqlite(path, column, f"{column} = NULL")
        found, error = await listed(store)
        assert found == ["dies_at", "due_at", "whole"]
        assert str(error).startswith("5 cannot be read: ")
        assert await store.next_due(SCOPE) == PAST
        assert sorted(await claimed(store, limit=2)) == ["dies_at", "whole"]
        for column in ("sellers", "generation", "revision", "body", "seller"):
            with pytest.raises(StoreError, match="cannot be read"):
                await store.get(SCOPE, column)
            assert await store.remove(SCOPE, column)


async def test_the_spoiled_rows_are_named(tmp_path, caplog):
    """By their sellers, the first few of them; and each in the log, once."""
    path = tmp_path / "tokens.db"
    async with SQLiteStore(path) as store:
        for n in range(20):
            await store.put(record(f"{n}", due_at=PAST))
        for n in range(10):
            spoil_sqlite(path, f"{n}", "generation = -1")
        words = str((await listed(store))[1])
        assert words.startswith("10 cannot be read")
        for n in range(5):
            assert f"the record of seller '{n}' of {SCOPE!r} cannot be read: " in words
        assert "its column generation is out of range" in words
        assert words.endswith("; and 5 more")
        for holder in "abc":
            await claimed(store, limit=99, holder=holder)
        assert len(caplog.messages) == 10


async def test_a_planted_floor_keeps_no_seller_out(tmp_path):
    """What counts revisions is itself only a row."""
    path = tmp_path / "tokens.db"
    async with SQLiteStore(path) as store:
        await store.put(record("1"))
        await store.remove(SCOPE, "1")
        for floor in ("9223372036854775807", "-5", "'high'", "1e300"):
            with closing(sqlite3.connect(path)) as db, db:
                db.execute(f"UPDATE floors SET revision = {floor}")
            kept = await store.put(record("1"))
            assert await store.get(SCOPE, "1") == kept
            assert await store.remove(SCOPE, "1")


@pytest.mark.parametrize("lease", ["9223372036854775807", "'never'", "9e999"])
async def test_a_planted_lease_holds_nobody_up(tmp_path, lease):
    """One that ends in a thousand years counts as ended."""
    path = tmp_path / "tokens.db"
    async with SQLiteStore(path) as store:
        for seller in "12":
            await store.put(record(seller, due_at=PAST))
            spoil_sqlite(path, seller, f"lease_holder = 'gone', lease_until = {lease}")
        assert await store.next_due(SCOPE) == PAST
        assert await store.lease(SCOPE, "1", holder="b", seconds=60) is not None
        assert await claimed(store, limit=9) == ["2"]


async def test_one_that_does_not_open_and_one_that_is_no_row_are_told_together(tmp_path):
    """Of an encrypted store, by one error at the end."""
    path = tmp_path / "tokens.db"
    async with EncryptedStore(SQLiteStore(path), KEYS) as store:
        for n in range(4):
            await store.put(record(f"{n}", due_at=PAST))
        spoil_sqlite(path, "1", "body = X'00'")
        spoil_sqlite(path, "2", "revision = -1")
        found, error = await listed(store)
        assert found == ["0", "3"]
        assert str(error).startswith("2 cannot be read: ")
        assert "cannot decrypt the record of seller '1'" in str(error)
        assert "the record of seller '2'" in str(error)
        assert await claimed(store, limit=9) == ["0", "3"]
        await store.check(SCOPE)


class Vandal:
    """Writes to the keys of a scope, behind the back of the store."""

    def __init__(self, prefix):
        names = zip(_scripts._KEYS, _scripts.keys_of(prefix, SCOPE), strict=True)
        self.keys = dict(names)
        self.client = redis.Redis.from_url(REDIS)

    def id_of(self, seller):
        return self.client.hget(self.keys["sellers"], seller)

    def spoil(self, seller, change):
        key, record_id = self.keys["facts"], self.id_of(seller)
        text = change(self.client.hget(key, record_id).decode())
        if text is None:
            self.client.hdel(key, record_id)
        else:
            self.client.hset(key, record_id, text)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()


async def test_no_spoiled_record_of_a_server_costs_another(prefix, caplog):
    """Whatever stands in which field."""
    with Vandal(prefix) as vandal:
        async with RedisStore(REDIS, prefix=prefix) as store:
            spoiled, whole = await filled(store, IN_REDIS)
            for seller, how in spoiled.items():
                vandal.spoil(seller, IN_REDIS[how])
            await require_that_none_costs_another(store, spoiled, whole, caplog)
            for seller, how in spoiled.items():
                await require_an_error_of_its_own(store, seller, how)
            assert (await store.put(record("last"))).revision < 2**52


@pytest.mark.parametrize("index", ["waiting", "order", "ready", "wake", "leased", "ids"])
@pytest.mark.parametrize("score", ["-inf", "+inf", "1e300", "-1e300", "0"])
async def test_a_planted_score_costs_no_other_record(prefix, index, score):
    """What the server searches by is no more to be believed than what it finds."""
    with Vandal(prefix) as vandal:
        async with RedisStore(REDIS, prefix=prefix) as store:
            for n in range(12):
                await store.put(record(f"{n}", due_at=PAST))
            before = [] if index == "waiting" else await claimed(store, limit=3, holder="b")
            vandal.client.zadd(vandal.keys[index], {vandal.id_of("11"): score})
            vandal.client.zadd(vandal.keys[index], {b"planted": score})
            await store.next_due(SCOPE)
            others = {f"{n}" for n in range(11)}
            found, error = await listed(store)
            assert others <= set(found)
            assert error is None or "cannot be read" in str(error)
            found = before
            while some := await claimed(store, limit=4):
                found += some
            assert others <= set(found)
            await store.next_due(SCOPE)


@pytest.mark.parametrize("ends", ["+inf", "1e18", "1e300"])
async def test_a_planted_lease_on_a_server_holds_nobody_up(prefix, ends):
    """One that ends in a thousand years counts as ended."""
    with Vandal(prefix) as vandal:
        async with RedisStore(REDIS, prefix=prefix) as store:
            for seller in "123":
                await store.put(record(seller, due_at=PAST))
                assert await store.lease(SCOPE, seller, holder="gone", seconds=60)
                vandal.client.zadd(vandal.keys["leased"], {vandal.id_of(seller): ends})
                vandal.client.zadd(vandal.keys["wake"], {vandal.id_of(seller): ends})
            assert await store.next_due(SCOPE) <= datetime.now(UTC) + timedelta(minutes=5)
            assert await store.lease(SCOPE, "1", holder="b", seconds=60) is not None
            assert sorted(await claimed(store, limit=9)) == ["2", "3"]


async def test_a_planted_counter_keeps_no_seller_out(prefix):
    """What counts revisions is itself only a field."""
    with Vandal(prefix) as vandal:
        async with RedisStore(REDIS, prefix=prefix) as store:
            for floor in ("9" * 30, "-5", "high", "nan", "inf"):
                vandal.client.hset(vandal.keys["counters"], "floor", floor)
                kept = await store.put(record("1"))
                assert await store.get(SCOPE, "1") == kept
                assert await store.remove(SCOPE, "1")


LINES = {
    "torn": lambda line: line[: len(line) // 2],
    "no JSON": lambda _: "{",
    "nested deep": lambda _: DEEP,
    "a number": lambda _: "7",
    **{
        f"{name} is {value!r:.20}": lambda line, name=name, value=value: json.dumps(
            {**json.loads(line), name: value}
        )
        for name, values in {
            "due_at": (10**30, -(2**63), "soon", 1.5),
            "dies_at": (10**30, []),
            "generation": (-1, 2**63 - 1, "seven", None),
            "revision": (-1, None),
            "seller": (None, 7, "another"),
            "sellers": (None, {}, [7], [], "1"),
            "scope": (None, 7),
            "body": ("!", None, 7),
        }.items()
        for value in values
    },
}


async def test_no_spoiled_line_of_a_journal_costs_another(tmp_path, caplog):
    """The others are recovered, the spoiled ones are told of and kept aside."""
    path = tmp_path / "tokens.spill"
    journal = SpillJournal(path)
    kept = [record(f"{n}", due_at=PAST) for n in range(2 * len(LINES))]
    for one in kept:
        await journal.append(one)
    lines = path.read_text().splitlines()
    spoiled = [change(lines[2 * n]) for n, change in enumerate(LINES.values())]
    lines[::2] = spoiled
    path.write_text("".join(f"{line}\n" for line in lines))
    with caplog.at_level(logging.ERROR, "iop_async.stores"):
        assert await journal.records() == kept[1::2]
    assert f"{len(LINES)} lines of the journal cannot be read" in caplog.text
    assert str(path) in caplog.text
    await journal.remove(SCOPE, {kept[1].seller_id: lambda _: True})
    assert await journal.records() == kept[3::2]
    aside = (tmp_path / "tokens.spill.torn").read_text().splitlines()
    assert aside == spoiled


async def test_a_body_that_does_not_open_costs_the_journal_no_other(tmp_path, caplog):
    """It stays where it is, for a person to look at."""
    sealer = EncryptedStore(SQLiteStore(tmp_path / "unused.db"), KEYS)
    journal = SpillJournal(tmp_path / "tokens.spill", sealer=sealer)
    plain = SpillJournal(tmp_path / "tokens.spill")
    await journal.append(record("1"))
    await plain.append(record("2", body=b"IOPSEAL\1 torn"))
    await plain.append(record("3"))
    await journal.append(record("4"))
    with caplog.at_level(logging.ERROR, "iop_async.stores"):
        assert await journal.records() == [record("1"), record("4")]
    for seller in "23":
        assert f"cannot decrypt the record of seller '{seller}'" in caplog.text
    await journal.remove(SCOPE, {"2": lambda _: True})
    assert len(await plain.records()) == 4
