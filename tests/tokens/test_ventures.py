"""One token for the shops of several countries, one of which approves alone later."""

import json
from contextlib import asynccontextmanager

import anyio
import pytest
from tokens_helpers import Between, Outage, WatchedStore, failing
from tokens_scenario import either_loop, eventually

import iop_async as iop

SELLERS = tuple(iop.Seller(each, f"{each}-1") for each in ("sg", "my", "vn"))


def pair(scenario, name, *named):
    return iop.Token(
        access_token=f"a-{name}",
        refresh_token=f"r-{name}",
        issued_at=scenario.clock.now(),
        sellers=named,
    )


def answer(name, *named):
    """What the gateway says to a refresh."""
    listed = [{"country": each.country, "seller_id": each.seller_id} for each in named]
    pair = {"access_token": f"a-{name}", "refresh_token": f"r-{name}", "user_info": listed}
    return iop.HttpResponse(200, {}, json.dumps({"code": "0", **pair}).encode())


async def served(tokens):
    names = [(await tokens.token(each.seller_id)).access_token for each in SELLERS]
    return [name.removeprefix("a-") for name in names]


@asynccontextmanager
async def answering(scenario, gateway, **options):
    """A manager whose refreshes are answered by a test."""
    transport = Between(gateway)
    async with scenario.manager(client=scenario.client(transport=transport), **options) as tokens:
        yield tokens
    await transport.aclose()


@pytest.mark.parametrize("failures", [0, 1])
@pytest.mark.parametrize("alone", [0, 1])
@either_loop
async def test_a_seller_that_approves_alone_takes_no_other_s_token_along(scenario, failures, alone):
    """Be it the first of the token's sellers or not, and be the token in the store or not yet."""
    store = WatchedStore(scenario.store(), before=failing(failures))
    expected = ["all", "all", "all"]
    async with scenario.manager(store, scope="one") as tokens:
        await tokens.import_token(pair(scenario, "all", *SELLERS))
        assert await served(tokens) == expected
        expected[alone] = "alone"
        await tokens.import_token(pair(scenario, "alone", SELLERS[alone]))
        assert await served(tokens) == expected
    async with scenario.manager(scope="one") as tokens:
        assert await served(tokens) == expected
        assert len([status async for status in tokens.statuses()]) == 2


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("fails", ["put", "everything"])
@pytest.mark.parametrize("alone", [(0,), (1,), (2, 1), (1, 0)])
@either_loop
async def test_who_approves_alone_while_the_store_fails_does_so_too(
    scenario, alone, fails, restarted
):
    """The approval waits in the journal, for this process or the next one."""
    store = Outage(scenario.store())
    expected = ["all", "all", "all"]
    for each in alone:
        expected[each] = "alone"
    async with scenario.manager(store, scope="one") as tokens:
        await tokens.import_token(pair(scenario, "all", *SELLERS))
        store.fails = {"put"} if fails == "put" else Outage.EVERYTHING
        await tokens.import_token(pair(scenario, "alone", *(SELLERS[each] for each in alone)))
        assert (await tokens.token(SELLERS[alone[0]].seller_id)).access_token == "a-alone"
        assert [sorted(status.seller_ids) async for status in tokens.statuses()] == [
            sorted(SELLERS[each].seller_id for each in alone),
            sorted(seller.seller_id for n, seller in enumerate(SELLERS) if n not in alone),
        ]
        if not restarted:
            store.fails = frozenset()
            await tokens.refresh_due()
            await tokens._vault.flush()
            assert await served(tokens) == expected
    async with scenario.manager(scope="one") as tokens:
        assert await served(tokens) == expected
        assert len([status async for status in tokens.statuses()]) == 2


@either_loop
async def test_who_approves_with_sellers_of_two_tokens_leaves_the_others_theirs(scenario):
    """Two records stand in the way, and one of them is filed under a seller that approves."""
    async with scenario.manager(scope="one") as tokens:
        await tokens.import_token(pair(scenario, "sg", SELLERS[0]))
        await tokens.import_token(pair(scenario, "both", *SELLERS[1:]))
        await tokens.import_token(pair(scenario, "new", *SELLERS[:2]))
        assert await served(tokens) == ["new", "new", "both"]
    async with scenario.manager(scope="one") as tokens:
        assert await served(tokens) == ["new", "new", "both"]


@either_loop
async def test_a_late_answer_reaches_the_ventures_that_did_not_approve_alone(scenario):
    """One of several sellers of a token approves alone while that token is refreshed."""
    reached, go_on = anyio.Event(), anyio.Event()

    async def hold(_):
        reached.set()
        await go_on.wait()
        return answer("2", *SELLERS)

    async with answering(scenario, hold) as tokens:
        await tokens.import_token(pair(scenario, "1", *SELLERS))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tokens.refresh, "my-1")
            await reached.wait()
            await tokens.import_token(pair(scenario, "alone", SELLERS[0]))
            go_on.set()
        assert await served(tokens) == ["alone", "2", "2"]
        async with scenario.manager(scope=tokens.scope) as other:
            assert await served(other) == ["alone", "2", "2"]


@pytest.mark.parametrize("fails", [False, True])
@either_loop
async def test_a_refresh_of_the_others_takes_no_newer_approval_away(scenario, fails):
    """The gateway goes on to list all ventures; the store may take the outcome later."""
    store = WatchedStore(scenario.store())

    async def gateway(_):
        store.before = failing(1) if fails else None
        return answer("2", *SELLERS)

    async with answering(scenario, gateway, store=store) as tokens:
        await tokens.import_token(pair(scenario, "1", *SELLERS))
        await tokens.import_token(pair(scenario, "alone", SELLERS[0]))
        await tokens.refresh("my-1")
        await tokens._vault.flush()
        assert await served(tokens) == ["alone", "2", "2"]
        async with scenario.manager(scope=tokens.scope) as other:
            assert await served(other) == ["alone", "2", "2"]


@either_loop
async def test_a_seller_that_a_refresh_brings_along_is_served_by_it(scenario):
    """It has approved nothing by itself."""

    async def gateway(_):
        return answer("2", *SELLERS)

    async with answering(scenario, gateway) as tokens:
        await tokens.import_token(pair(scenario, "1", *SELLERS[:2]))
        await tokens.refresh("my-1")
        assert await served(tokens) == ["2", "2", "2"]


@pytest.mark.parametrize("who", ["the same process", "another host"])
@either_loop
async def test_ventures_set_apart_during_their_refresh_are_not_refreshed_again(scenario, who):
    """They wait for the answer that is on its way, whoever asks for it."""
    presented, go_on = [], anyio.Event()

    async def gateway(_):
        presented.append(True)
        await go_on.wait()
        return answer("2", *SELLERS[1:])

    async with (
        answering(scenario, gateway, lease_seconds=15) as tokens,
        answering(scenario, gateway, lease_seconds=15) as other,
        anyio.create_task_group() as tasks,
    ):
        await tokens.import_token(pair(scenario, "1", *SELLERS))
        tasks.start_soon(tokens.refresh, "my-1")
        await eventually(lambda: presented)
        await tokens.import_token(pair(scenario, "alone", SELLERS[0]))
        asked = tokens if who == "the same process" else other
        tasks.start_soon(asked.refresh, "vn-1")
        await asked.refresh_due()
        await anyio.sleep(0.3)
        assert len(presented) == 1
        go_on.set()
        with anyio.fail_after(60):
            while await served(asked) != ["alone", "2", "2"]:
                await anyio.sleep(0.05)
        tasks.cancel_scope.cancel()
