"""A manager over an encrypted store: nothing to read on the disk, nothing lost without the key."""

from base64 import b64encode

import pytest
from attrs import evolve
from tokens_helpers import LEASE
from tokens_scenario import each_store

import iop_async as iop
from iop_async.stores import EncryptedStore, MemoryStore, SQLiteStore

NEW, OLD = {"2026": b"n" * 32}, {"2025": b"o" * 32}
SOON = 30 * 86400 - 60


class Failing(SQLiteStore):
    """Takes a number of writes, and then no more."""

    writes_left = 100

    async def put(self, record, *, release=None):
        if not self.writes_left:
            raise iop.StoreError("the disk is full")
        self.writes_left -= 1
        return await super().put(record, release=release)


def encrypted(scenario, keys=NEW, **options):
    return EncryptedStore(scenario.store(), keys, **options)


def on_disk(scenario):
    files = list(scenario.path.parent.iterdir())
    assert scenario.path in files
    return b"".join(file.read_bytes() for file in files)


def tokens_of(*tokens):
    return [text.encode() for token in tokens for text in (token.access_token, token.refresh_token)]


async def test_no_token_is_on_the_disk(scenario):
    """Neither in the file, nor in its log, nor in the journal when the file fails."""
    inner = Failing(scenario.path)
    async with scenario.manager(EncryptedStore(inner, NEW)) as tokens:
        first = await tokens.authorize(scenario.code())
        second = await tokens.refresh("1001")
        inner.writes_left = 0
        third = await tokens.authorize(scenario.code("1002"))
        spilled = scenario.path.with_name("tokens.db.spill")
        assert b64encode(b"IOPSEAL")[:8] in spilled.read_bytes()
        content = on_disk(scenario)
        for secret in tokens_of(first, second, third):
            assert secret not in content
        assert b"123456@" in content


async def test_what_was_spilled_is_recovered_with_another_key(scenario):
    """The next process reads the journal whichever key it was sealed with, and empties it."""
    inner = Failing(scenario.path)
    async with scenario.manager(EncryptedStore(inner, OLD)) as tokens:
        await tokens.authorize(scenario.code("1001"))
        inner.writes_left = 1  # the intent
        pair = await tokens.refresh("1001")
    spilled = scenario.path.with_name("tokens.db.spill")
    assert spilled.read_bytes()
    with pytest.raises(iop.StoreError, match="key id '2025' is missing"):
        async with scenario.manager(encrypted(scenario, NEW)):
            pass
    assert spilled.read_bytes()
    async with scenario.manager(encrypted(scenario, NEW | OLD)) as tokens:
        assert await tokens.token("1001") == pair
        assert spilled.read_bytes() == b""
    assert scenario.presented() == 1


async def written_with(shared, keys, seller):
    """A grant that was written before anybody looked at what else is there."""
    async with shared.manager(MemoryStore()) as tokens:
        await tokens.authorize(shared.code(seller))
        records = [each async for each in tokens._vault._store.records(tokens.scope)]
    store = encrypted(shared, keys)
    for record in records:
        await store.put(evolve(record, revision=0))
    await store.aclose()


@pytest.mark.parametrize("keys", [NEW, {"2025": b"x" * 32}], ids=["missing", "wrong"])
@each_store
async def test_without_the_key_nobody_is_taken_for_unknown(shared, keys):
    """An error that says what to do; nothing is presented, and with the key all is as before."""
    async with shared.manager(encrypted(shared, OLD)) as tokens:
        pair = await tokens.authorize(shared.code())
        with pytest.raises(iop.StoreError, match="the keys are hardly those"):
            async with shared.manager(encrypted(shared, keys)):
                pass
    await written_with(shared, keys, "1002")
    shared.clock.advance(SOON)
    async with shared.manager(encrypted(shared, keys), lease_seconds=LEASE) as tokens:
        for ask in (tokens.token, tokens.refresh, tokens.status, tokens.forget):
            with pytest.raises(iop.StoreError, match="cannot decrypt the record of seller '1001'"):
                await ask("1001")
        assert (await tokens.refresh_due()).refreshed == ("1002",)
        statuses = tokens.statuses()
        assert (await anext(statuses)).seller_id == "1002"
        with pytest.raises(iop.StoreError, match="1 cannot be read"):
            await anext(statuses)
    assert [entry.seller for entry in shared.sandbox.ledger.refreshes] == ["1002"]
    async with shared.manager(encrypted(shared, OLD)) as tokens:
        assert (await tokens.status("1001")).expires_at == pair.expires_at
        await tokens.refresh("1001")
    assert shared.presented() == 2


@each_store
async def test_one_seller_that_cannot_be_decrypted_hides_no_other(shared):
    """Neither from what refreshes the due ones nor from who looks at all of them."""
    async with shared.manager(encrypted(shared, OLD)) as tokens:
        await tokens.authorize(shared.code("1001"))
    await written_with(shared, NEW, "1002")
    async with shared.manager(encrypted(shared)) as tokens:
        shared.clock.advance(SOON)
        report = await tokens.refresh_due()
        assert (report.refreshed, report.skipped, report.failed) == (("1002",), {}, {})
        statuses = tokens.statuses()
        assert (await anext(statuses)).seller_id == "1002"
        with pytest.raises(iop.StoreError, match="'1001'"):
            await anext(statuses)
    assert shared.presented() == 1


@each_store
async def test_a_key_is_exchanged_under_a_running_manager(shared):
    """Its next write is not refused, and its next start needs the new key alone."""
    async with shared.manager(encrypted(shared, OLD)) as tokens:
        await tokens.authorize(shared.code())
    store = encrypted(shared, NEW | OLD)
    async with shared.manager(store) as tokens:
        await tokens.token("1001")
        assert await store.reencrypt(_scope(tokens)) == 1
        pair = await tokens.refresh("1001")
    async with shared.manager(encrypted(shared, NEW)) as tokens:
        assert await tokens.token("1001") == pair


def _scope(tokens):
    return repr(tokens).partition("'")[2].rpartition("'")[0]


@each_store
async def test_bodies_that_were_swapped_between_sellers_are_refused(shared):
    """Whoever can write to the database makes no seller act for another."""
    async with shared.manager(encrypted(shared)) as tokens:
        for seller in ("1001", "1002", "1003"):
            await tokens.authorize(shared.code(seller))
        inner = shared.store()
        one, other = [await inner.get(tokens.scope, seller) for seller in ("1001", "1002")]
        for record, body in ((one, other.body), (other, one.body)):
            await inner.put(evolve(record, body=body))
        await inner.aclose()
    shared.clock.advance(SOON)
    async with shared.manager(encrypted(shared)) as tokens:
        for seller in ("1001", "1002"):
            for ask in (tokens.token, tokens.refresh):
                with pytest.raises(iop.StoreError, match=f"cannot decrypt .* seller '{seller}'"):
                    await ask(seller)
        assert (await tokens.refresh_due()).refreshed == ("1003",)
    assert shared.presented() == 1


async def test_a_store_in_memory_has_no_journal_beside_it(scenario):
    """There is no place for one."""
    async with scenario.manager(EncryptedStore(MemoryStore(), NEW)) as tokens:
        await tokens.authorize(scenario.code())
    assert list(scenario.path.parent.iterdir()) == []
