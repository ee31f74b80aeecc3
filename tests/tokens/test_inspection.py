"""A grant is read from its record where no manager runs."""

import pytest
from attrs import evolve
from tokens_helpers import WatchedStore, failing
from tokens_scenario import either_loop

import iop_async as iop
from iop_async.stores import SpillJournal
from iop_async.tokens import read_grant


async def in_store(scenario, scope):
    async with scenario.store() as store:
        return [record async for record in store.records(scope)]


@either_loop
async def test_a_record_tells_its_grant(scenario):
    """The pair that the gateway takes, the counts, and that nothing is in doubt."""
    async with scenario.manager() as tokens:
        await tokens.authorize(scenario.code())
        await tokens.refresh("1001")
    (grant,) = map(read_grant, await in_store(scenario, tokens.scope))
    assert (grant.seller_id, grant.seller_ids) == ("1001", ("1001",))
    assert grant.token.refresh_token == scenario.live().refresh_token
    assert grant.generation == 2
    assert (grant.state, grant.reason, grant.is_unanswered) == ("live", "", False)
    assert grant.token.refresh_token not in repr(grant)


@either_loop
async def test_another_authorization_is_a_later_epoch(scenario):
    """And a refresh belongs to that of its authorization."""
    epochs = []
    async with scenario.manager() as tokens:
        for change in ("authorize", "refresh", "authorize"):
            scenario.clock.advance(1)
            await (
                tokens.authorize(scenario.code())
                if change == "authorize"
                else tokens.refresh("1001")
            )
            epochs += [read_grant(each).epoch for each in await in_store(scenario, tokens.scope)]
    assert epochs[0] == epochs[1] < epochs[2]


@either_loop
async def test_a_journal_tells_the_pair_that_the_store_lacks(scenario):
    """While the store tells that the one before was presented."""
    store = WatchedStore(scenario.store())
    async with scenario.manager(store, drain_seconds=0) as tokens:
        await tokens.authorize(scenario.code())
        store.before = failing(100)
        await tokens.refresh("1001")
    (stored,) = map(read_grant, await in_store(scenario, tokens.scope))
    (kept,) = map(read_grant, await SpillJournal(f"{scenario.path}.spill").records())
    assert stored.is_unanswered
    assert stored.generation < kept.generation
    assert kept.token.refresh_token == scenario.live().refresh_token


@either_loop
async def test_what_no_manager_wrote_is_refused_without_its_words(scenario):
    """A store error names the seller, and repeats nothing of the body."""
    async with scenario.manager() as tokens:
        await tokens.authorize(scenario.code())
    (record,) = await in_store(scenario, tokens.scope)
    with pytest.raises(iop.StoreError, match="seller 1001") as caught:
        read_grant(evolve(record, body=b"a secret"))
    assert "secret" not in str(caught.value)
