"""What this process counts on of its leases."""

from datetime import UTC, datetime

import anyio
import pytest
from attrs import evolve

from iop_async import Token
from iop_async.stores import MemoryStore
from iop_async.tokens._grant_json import to_record
from iop_async.tokens._stored import Leases
from iop_async.tokens._transitions import authorized

SCOPE = "app@place"
GRANT = evolve(
    authorized(
        SCOPE, Token(access_token="access", issued_at=datetime(2026, 1, 1, tzinfo=UTC)), None
    ),
    seller_id="1001",
    seller_ids=("1001",),
    revision=1,
)


class SlowStore(MemoryStore):
    """One that leases, and answers when it is told to."""

    def __init__(self):
        super().__init__()
        self.leased, self.go_on = anyio.Event(), anyio.Event()
        self.go_on.set()

    async def lease(self, *args, **options):
        record = await super().lease(*args, **options)
        self.leased.set()
        await self.go_on.wait()
        return record


@pytest.fixture
async def store():
    made = SlowStore()
    await made.put(to_record(evolve(GRANT, revision=0), due_at=None))
    return made


async def test_a_lease_that_ended_while_it_was_lengthened_is_not_counted_on(store):
    """The refresh had its answer, and the outcome gave the lease back."""
    leases = Leases(store, SCOPE, 15.0)
    await leases.take("1001")
    store.leased, store.go_on = anyio.Event(), anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(leases.renew, "1001")
        await store.leased.wait()
        leases.forget("1001")
        store.go_on.set()
    assert leases.ends_at(GRANT) is None
    assert leases.is_over(GRANT)


async def test_a_lease_that_another_has_taken_is_over(store):
    """It ran out, as for a process that stood still."""
    mine, others = Leases(store, SCOPE, 0.01), Leases(store, SCOPE, 15.0)
    await mine.take("1001")
    await anyio.sleep(0.02)
    assert mine.is_over(GRANT)
    assert await others.take("1001") is not None
    await mine.renew("1001")
    assert mine.is_over(GRANT)
    assert not others.is_over(GRANT)


async def test_a_lease_that_another_had_meanwhile_does_not_go_on(store):
    """It is free again when it is lengthened, but the record is another."""
    mine, others = Leases(store, SCOPE, 0.01), Leases(store, SCOPE, 15.0)
    await mine.take("1001")
    await anyio.sleep(0.02)
    record = await others.take("1001")
    await store.put(record, release=others.holder)
    await mine.renew("1001")
    assert mine.is_over(GRANT)


async def test_writes_of_ones_own_leave_a_lease_as_it_is(store):
    """The grant that was written is as new as the record under the lease, or newer."""
    leases = Leases(store, SCOPE, 15.0)
    record = await leases.take("1001")
    await store.put(record)
    written = evolve(GRANT, revision=2)
    assert not leases.is_over(written)
    await leases.renew("1001")
    assert not leases.is_over(written)


async def test_a_lease_that_is_lengthened_ends_later(store):
    """It ages again from then on."""
    leases = Leases(store, SCOPE, 0.3)
    await leases.take("1001")
    first = leases.ends_at(GRANT)
    await anyio.sleep(0.15)
    assert leases.is_aging("1001")
    await leases.renew("1001")
    assert leases.ends_at(GRANT) > first
    assert not leases.is_aging("1001")


async def test_without_a_lease_there_is_nothing_to_lengthen(store):
    """And nothing is leased by trying."""
    mine, others = Leases(store, SCOPE, 15.0), Leases(store, SCOPE, 15.0)
    await mine.renew("1001")
    assert mine.ends_at(GRANT) is None
    assert await others.take("1001") is not None


async def test_starting_over_is_to_be_somebody_else(store):
    """A forked process has no lease of its parent."""
    leases = Leases(store, SCOPE, 15.0)
    await leases.take("1001")
    leases.start_over()
    assert leases.is_over(GRANT)
    assert await leases.take("1001") is None
