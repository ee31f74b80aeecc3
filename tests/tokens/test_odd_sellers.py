"""Seller ids that look alike, look like paths, or are long."""

import pytest
from tokens_scenario import each_store, either_loop

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
async def test_odd_seller_ids_are_sellers_of_their_own_in_memory(scenario):
    """As they are in every store that lasts."""
    await _all_of_them(scenario, MemoryStore())


async def _all_of_them(scenario, store):
    scenario.sandbox.add_sellers(ODD)
    files = {path.name for path in scenario.path.parent.iterdir()}
    async with scenario.manager(store) as tokens:
        for seller in ODD:
            await tokens.authorize(scenario.code(seller))
        first = {seller: (await tokens.token(seller)).access_token for seller in ODD}
        assert len(set(first.values())) == len(ODD)
        assert len((await tokens.refresh_many(ODD)).refreshed) == len(ODD)
        for seller in ODD:
            assert (await tokens.token(seller)).access_token == scenario.live(seller).access_token
        assert sorted([status.seller_id async for status in tokens.statuses()]) == sorted(ODD)
        made = {path.name for path in scenario.path.parent.iterdir()} - files
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
            assert sorted([status.seller_id async for status in tokens.statuses()]) == sorted(left)


NAMED = {
    "several shops": {"sellers": (iop.Seller("sg", "1"), iop.Seller("my", "2"))},
    "a shop without an id": {"sellers": (iop.Seller("sg"), iop.Seller("my", "2"))},
    "users": {"sellers": (iop.Seller("sg", user_id="7"), iop.Seller("my", user_id="8"))},
    "an account": {"account_id": "9", "account": "shop@example.com"},
    "a login": {"account": "shop@example.com"},
    "nobody": {},
}


@pytest.mark.parametrize("fields", NAMED.values(), ids=NAMED)
@either_loop
async def test_what_an_approval_returns_says_by_which_ids_its_grant_is_found(scenario, fields):
    """By each of them, whatever the market calls its sellers."""
    async with scenario.manager() as tokens:
        given = iop.Token(
            access_token="a", refresh_token="r", issued_at=scenario.clock.now(), **fields
        )
        token = await tokens.import_token(given)
        seller_ids = iop.tokens.seller_ids_of(token)
        assert seller_ids
        for seller_id in seller_ids:
            assert await tokens.token(seller_id) == token
            assert (await tokens.status(seller_id)).seller_ids == seller_ids
