"""Bodies that an older or a newer release wrote, side by side with this one's."""

import json

import pytest
from tokens_world import LEAD, MONTH, either_loop, kinds

import iop_async as iop
from iop_async._records import Record

SCOPE = "schemas"


def microseconds(moment):
    return int(moment.timestamp() * 1_000_000)


async def put(world, body, *, seller="1001"):
    record = Record(
        scope=SCOPE,
        seller=seller,
        sellers=(seller,),
        due_at=world.clock.now(),
        body=json.dumps(body).encode(),
    )
    async with world.store() as store:
        return await store.put(record)


async def get(world, seller="1001"):
    async with world.store() as store:
        return await store.get(SCOPE, seller)


def pair(world, seller="1001"):
    """The least that was ever written about a pair: no end of the refresh token, no sellers."""
    granted = world.sandbox.grant(seller)
    return {
        "access_token": granted["access_token"],
        "refresh_token": granted["refresh_token"],
        "issued_at": microseconds(world.clock.now()),
        "expires_at": microseconds(world.clock.now()) + MONTH * 1_000_000,
    }


@either_loop
async def test_a_body_of_an_older_release_is_read_refreshed_and_upgraded(world):
    """Without a schema, a generation, a state or a refresh lifetime."""
    old = pair(world)
    await put(world, {"token": old})
    async with world.manager(scope=SCOPE) as tokens:
        assert (await tokens.token("1001")).access_token == old["access_token"]
        assert (await tokens.status("1001")).state == "live"
        world.clock.advance(MONTH - LEAD + 60)
        assert (await tokens.refresh_due()).refreshed == ("1001",)
        assert (await tokens.token("1001")).refresh_token == world.live().refresh_token
    record = await get(world)
    body = json.loads(record.body)
    assert (body["schema"], record.generation) == (1, 2)
    assert body["token"]["refresh_expires_at"] is not None


@either_loop
async def test_a_body_of_a_newer_release_is_refused_and_left_as_it_is(world):
    """Nothing is cut off it, nothing is presented; whoever asks is told to upgrade."""
    newer = {"schema": 99, "token": pair(world), "novelty": {"a": 1}}
    written = await put(world, newer)
    async with world.manager(scope=SCOPE, lease_seconds=0.2) as tokens:
        for ask in (tokens.token, tokens.refresh, tokens.status, tokens.forget):
            with pytest.raises(iop.StoreError, match="newer version"):
                await ask("1001")
    assert (await get(world)).body == written.body
    assert world.presented() == 0


@pytest.mark.parametrize("body", [{"schema": 99, "token": {}}, {"token": {}}, {"a": 1}, [1]])
@either_loop
async def test_a_body_that_cannot_be_read_holds_up_no_other_seller(world, body, caplog):
    """The log says so; the keeper goes on with the others, and leaves the body as it is."""
    written = await put(world, body)
    await put(world, {"token": pair(world, "1002")}, seller="1002")
    async with world.manager(scope=SCOPE, keeper=True, lease_seconds=0.5) as tokens:
        events = tokens.events()
        world.clock.advance(MONTH - LEAD + 60)
        while "refreshed" not in await kinds(events, 1):
            pass
        assert (await tokens.token("1002")).refresh_token == world.live("1002").refresh_token
        assert len((await tokens.refresh_many(["1001", "1002"])).failed) == 1
    assert "the record of seller 1001" in caplog.text
    assert (await get(world)).body == written.body
    assert world.presented() == 2
