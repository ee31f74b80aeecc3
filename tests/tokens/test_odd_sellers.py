"""Seller ids that look alike, look like paths, or are long."""

import pytest
from tokens_world import each_store, either_loop

import iop_async as iop
from iop_async.stores import MemoryStore

ODD = (
    "T1",
    "T10",
    "t1",
    "T1/",
    "a/b",
    "..",
    "../../tokens",
    "/etc/passwd",
    "%2e%2e",
    "a%",
    "a_",
    "ab",
    "'; drop table records; --",
    "商家",
    "\u00e9",
    "e\u0301",
    "x" * 300,
    "x" * 299 + "y",
    "null",
    "0",
    "00",
)


@each_store
async def test_odd_seller_ids_are_sellers_of_their_own(shared):
    """Authorized, served, refreshed, listed; and no file is named after them."""
    await _all_of_them(shared, shared.store())


@either_loop
async def test_odd_seller_ids_are_sellers_of_their_own_in_memory(world):
    """As they are in every store that lasts."""
    await _all_of_them(world, MemoryStore())


async def _all_of_them(world, store):
    world.sandbox.add_sellers(ODD)
    files = {path.name for path in world.path.parent.iterdir()}
    async with world.manager(store) as tokens:
        for seller in ODD:
            await tokens.authorize(world.code(seller))
        first = {seller: (await tokens.token(seller)).access_token for seller in ODD}
        assert len(set(first.values())) == len(ODD)
        assert len((await tokens.refresh_many(ODD)).refreshed) == len(ODD)
        for seller in ODD:
            assert (await tokens.token(seller)).access_token == world.live(seller).access_token
        assert sorted([status.seller async for status in tokens.statuses()]) == sorted(ODD)
        made = {path.name for path in world.path.parent.iterdir()} - files
        assert all(name.startswith("tokens.db") for name in made)


@each_store
async def test_forgetting_an_odd_seller_forgets_that_one(shared):
    """None that it is a beginning of, differs from by case, or would match as a pattern."""
    shared.sandbox.add_sellers(ODD)
    async with shared.manager() as tokens:
        for seller in ODD:
            await tokens.authorize(shared.code(seller))
        left = list(ODD)
        for seller in ODD:
            assert await tokens.forget(seller)
            assert not await tokens.forget(seller)
            left.remove(seller)
            with pytest.raises(iop.ReauthorizationRequired):
                await tokens.token(seller)
            assert sorted([status.seller async for status in tokens.statuses()]) == sorted(left)
