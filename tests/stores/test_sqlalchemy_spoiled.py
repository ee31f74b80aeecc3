"""A row that cannot be read costs nobody but its seller, whatever somebody wrote into it."""

import asyncio
import random
from datetime import UTC, datetime, timedelta

import pytest
from store_helpers import SCOPE, record

from iop_async import StoreError
from iop_async.stores import SQLAlchemyStore

PAST = datetime(2026, 1, 1, tzinfo=UTC)
LATE = 2**63 - 2  # microseconds: the year 294247
NESTED = b"[" * 100_000 + b"]" * 100_000

IN_ANY_DATABASE = [
    ("due_at", LATE),
    ("due_at", -(2**63)),
    ("due_at", 253_402_300_800 * 10**6),  # the first moment of the year 10000
    ("dies_at", LATE),
    ("dies_at", -(2**63)),
    ("generation", -1),
    ("generation", 2**63 - 1),
    ("revision", -1),
    ("revision", 2**63 - 1),
    ("sellers", b""),
    ("sellers", b"1001"),
    ("sellers", b"{}"),
    ("sellers", b"null"),
    ("sellers", b"[]"),
    ("sellers", b"[1001]"),
    ("sellers", b'["another"]'),
    ("sellers", b'["\\ud800"]'),
    ("sellers", b'["torn'),
    ("sellers", b"\xff\xfe"),
    ("sellers", b"[" + b"9" * 10_000 + b"]"),
    ("sellers", NESTED),
    ("seller", b""),
    ("seller", b"another"),
    ("seller", b"\xff"),
    ("seller_key", b"\xff" * 32),
]

IN_SQLITE = [
    *((name, value) for name in ("due_at", "dies_at", "generation", "revision")
      for value in ("'soon'", "1.5", "9e999", "x'ff'", "CAST(x'ff' AS TEXT)")),
    *((name, value) for name in ("seller", "sellers")
      for value in ("7", "1.5", "CAST(x'ff' AS TEXT)")),
]  # fmt: skip
"""It keeps a value of any type in any column."""


def ways(database):
    """What to spoil, each as a column and an SQL expression."""
    blob = "decode('{}', 'hex')" if database.name == "postgresql" else "x'{}'"
    found = [
        (name, blob.format(value.hex()) if isinstance(value, bytes) else str(value))
        for name, value in IN_ANY_DATABASE
    ]
    return found + (IN_SQLITE if database.name == "sqlite" else [])


async def fill(database, store):
    """Ten records for each way, one of which is spoiled; the readable and the spoiled sellers."""
    chance = random.Random(7)
    readable, spoiled = {}, []
    for way, (column, value) in enumerate(ways(database)):
        ten = [
            record(
                f"{way}-{n}",
                due_at=PAST,
                dies_at=PAST + timedelta(seconds=chance.randrange(10**6)),
            )
            for n in range(10)
        ]
        kept = await asyncio.gather(*map(store.put, ten))
        readable |= {one.seller_id: one for one in kept}
        seller = ten[way % 10].seller_id
        spoiled.append(seller)
        del readable[seller]
        name = seller.encode().hex()
        where = f"decode('{name}', 'hex')" if database.name == "postgresql" else f"x'{name}'"
        await database.execute(f"UPDATE {{t}}records SET {column} = {value} WHERE seller = {where}")
    return readable, spoiled


async def read_all(store):
    """What ``records`` gives, and what it says in the end."""
    found = {}
    try:
        async for one in store.records(SCOPE):
            found[one.seller_id] = one
    except StoreError as error:
        return found, error
    return found, None


async def claim_all(store, limit):
    found = []
    while some := await store.claim(SCOPE, due_by=PAST, limit=limit, holder="a", seconds=600):
        assert len(some) <= limit
        found += some
    return found


async def test_every_tenth_row_is_spoiled_and_the_others_are_served(database, caplog):
    """Listed, found, claimed and written; the spoiled ones are named, and can be removed."""
    async with database.store() as store:
        readable, spoiled = await fill(database, store)
        found, error = await read_all(store)
        assert found == readable
        assert f"{len(spoiled)} cannot be read" in str(error)
        assert not error.retryable
        got = await asyncio.gather(*(store.get(SCOPE, seller) for seller in readable))
        assert got == [*readable.values()]
        many = await store.get_many(SCOPE, [*readable, *spoiled])
        assert many[: len(readable)] == got
        for one in many[len(readable) :]:
            assert isinstance(one, StoreError)
            assert not one.retryable
        for seller in spoiled:
            with pytest.raises(StoreError, match="cannot be read") as caught:
                await store.get(SCOPE, seller)
            assert not caught.value.retryable
            with pytest.raises(StoreError, match="cannot be read"):
                await store.lease(SCOPE, seller, holder="a", seconds=60)
        assert await store.next_due(SCOPE) <= PAST
        claimed = await claim_all(store, 7)
        assert {one.seller_id: one for one in claimed} == readable
        assert claimed == sorted(claimed, key=lambda one: one.dies_at)
        told = [one.getMessage() for one in caplog.records if "passed over" in one.getMessage()]
        assert len(told) == len(set(told)) > len(spoiled) / 2
        assert await store.next_due(SCOPE) > datetime.now(UTC)  # and nobody asks again at once
        await asyncio.gather(*(store.put(kept, release="a") for kept in readable.values()))
        for seller in spoiled:
            assert await store.remove(SCOPE, seller)
            assert await store.get(SCOPE, seller) is None
            await store.put(record(seller))
        found, error = await read_all(store)
        assert set(found) == {*readable, *spoiled}
        assert error is None


NULLS = [
    "due_at", "dies_at", "generation", "revision", "lease_until", "body", "seller", "sellers"
]  # fmt: skip


@pytest.mark.parametrize("column", NULLS)
async def test_what_is_missing_in_tables_that_somebody_altered_costs_nobody_else(
    without_tables, column
):
    """A migration may have dropped what keeps a column from being empty."""
    database = without_tables
    ddl = SQLAlchemyStore.ddl(database.name, table_prefix=database.prefix)
    for statement in ddl.replace(" NOT NULL", "").split(";\n")[:-1]:
        await database.execute(statement.replace("{", "{{").replace("}", "}}"))
    async with database.store() as store:
        kept = [await store.put(record(f"{n}", due_at=PAST, dies_at=PAST)) for n in range(3)]
        first = "(SELECT * FROM (SELECT min(id) FROM {t}records) AS first)"
        await database.execute(f"UPDATE {{t}}records SET {column} = NULL WHERE id = {first}")
        found, error = await read_all(store)
        is_read = column == "lease_until"
        assert [*found.values()] == kept[0 if is_read else 1 :]
        assert (error is None) == is_read
        claimed = await claim_all(store, 2)
        assert {one.seller_id for one in claimed} == set(found)


async def test_more_spoiled_rows_than_a_claim_may_give_do_not_stand_before_the_others(database):
    """However few a claim may give, and however many die before the first that can be read."""
    async with database.store() as store:
        for n in range(300):
            await store.put(record(f"{n}", due_at=PAST, dies_at=PAST))
        kept = await store.put(record("last", due_at=PAST, dies_at=PAST + timedelta(days=1)))
        await database.execute(
            "UPDATE {t}records SET generation = -1 WHERE dies_at < (SELECT * FROM "
            "(SELECT max(dies_at) FROM {t}records) AS latest)"
        )
        assert await store.claim(SCOPE, due_by=PAST, limit=1, holder="a", seconds=60) == [kept]


async def test_a_seller_of_a_spoiled_record_can_go_to_another(database):
    """What stood in the spoiled row is lost; the seller that is authorized anew is not."""
    async with database.store() as store:
        await store.put(record("1001", "1002"))
        await database.execute("UPDATE {t}records SET sellers = body")
        kept = await store.put(record("1003", "1002"))
        assert await store.get(SCOPE, "1002") == kept
        with pytest.raises(StoreError, match="cannot be read"):
            await store.get(SCOPE, "1001")
        with pytest.raises(StoreError, match="cannot be read"):
            await store.put(record("1001"))


async def test_an_index_that_points_to_the_record_of_another_gives_nobody_elses(database):
    """Whoever asks is told, and removing what was asked for leaves the other alone."""
    async with database.store() as store:
        kept = await store.put(record("1001"))
        await store.put(record("1002"))
        await database.execute("UPDATE {t}sellers SET record_id = (SELECT min(id) FROM {t}records)")
        with pytest.raises(StoreError, match="cannot be read"):
            await store.get(SCOPE, "1002")
        await store.remove(SCOPE, "1002")
        assert await store.get(SCOPE, "1002") is None
        assert await store.get(SCOPE, "1001") == kept


@pytest.mark.parametrize("floor", [-5, 2**63 - 1], ids=["below all", "above all"])
async def test_a_spoiled_floor_of_revisions_keeps_no_new_record_from_being_written(database, floor):
    """It is taken for none; what is removed later raises it again."""
    async with database.store() as store:
        kept = await store.put(record("1001"))
        await database.execute(f"UPDATE {{t}}floors SET revision = {floor}")
        assert await store.remove(SCOPE, "1001")
        again = await store.put(record("1001"))
        assert again.revision > kept.revision
        assert await store.get(SCOPE, "1001") == again


async def test_a_lease_in_the_far_future_counts_as_ended(database):
    """It was planted, or given by a clock that was wrong: nobody may ask for so long a one."""
    async with database.store() as store:
        kept = await store.put(record(due_at=PAST))
        plant = "UPDATE {t}records SET lease_until = {{}}, lease_holder = body".format
        far = [2**63 - 1, (datetime.now(UTC) + timedelta(days=2)).timestamp() * 10**6]
        for until in far:
            await database.execute(plant(t="{t}").format(int(until), t="{t}"))
            assert await store.next_due(SCOPE) == PAST
            assert await store.lease(SCOPE, "1001", holder="a", seconds=60) == kept
            assert await store.lease(SCOPE, "1001", holder="b", seconds=60) is None
            await database.execute(plant(t="{t}").format(int(until), t="{t}"))
            claim = store.claim(SCOPE, due_by=PAST, limit=1, holder="c", seconds=60)
            assert await claim == [kept]
            ends = await store.next_due(SCOPE)
            assert PAST < ends < datetime.now(UTC) + timedelta(hours=1)


@pytest.mark.parametrize("odd", ["\ud800", "a\udfffb", "nul\0"])
async def test_a_name_that_no_database_keeps_is_refused_at_every_door(database, odd):
    """In one way, before anything is asked: reading is no exception."""
    async with database.store() as store:
        kept = await store.put(record())
        doors = [
            lambda name: store.get(SCOPE, name),
            lambda name: store.remove(SCOPE, name),
            lambda name: store.lease(SCOPE, name, holder="a", seconds=60),
            lambda name: store.lease(SCOPE, "1001", holder=name, seconds=60),
            lambda name: store.put(kept, release=name),
            lambda name: store.claim(name, due_by=PAST, limit=1, holder="a", seconds=60),
            store.next_due,
            store.check,
        ]
        for door in doors:
            with pytest.raises(ValueError, match=r"surrogate pair|NUL"):
                await door(odd)
            with pytest.raises(TypeError, match="not int"):
                await door(1001)
        with pytest.raises(ValueError, match=r"surrogate pair|NUL"):
            store.records(odd)
