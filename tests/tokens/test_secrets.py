"""No token, code or app secret leaves the manager by accident."""

import copy
import pickle
import re
import traceback

import anyio
import pytest
from tokens_hands import WatchedStore, failing
from tokens_world import LEAD, MONTH, REFRESH, either_loop

import iop_async as iop
from iop_async.tokens import TokenEvent

SECRETS = re.compile(r"helloworld|5000(?:0601|1600)\w{20}|\d_123456_\w{20}")

FAULTS = (
    {"kind": "error", "code": "ServiceUnavailable"},
    {"kind": "error", "code": "IllegalRefreshToken"},
    {"kind": "error", "code": "IncompleteSignature"},
    {"kind": "status", "status": 502},
    {"kind": "html"},
    {"kind": "truncate"},
    {"kind": "control_characters"},
    {"kind": "empty"},
    {"kind": "drop"},
    {"kind": "reset"},
    {"kind": "ban", "seconds": 3},
    {"kind": "patch", "fields": {"seller_Id": "666"}},
    {"kind": "patch", "fields": {"access_token": None}},
)


def own_frames(error):
    """The traceback with the locals of this library's frames, and of its causes."""
    whole = traceback.TracebackException.from_exception(error, capture_locals=True)
    chain = [whole]
    for part in chain:
        part.stack[:] = [frame for frame in part.stack if "/tests/" not in frame.filename]
        chain += [each for each in (part.__cause__, part.__context__) if each is not None]
    return "".join(whole.format())


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: "-".join(map(str, fault.values())))
@either_loop
async def test_no_failure_of_a_refresh_shows_a_secret(world, fault):
    """Not its words, its causes, the locals of its frames, nor what is told and stored of it."""
    async with world.manager() as tokens:
        events = tokens.events()
        await tokens.authorize(world.code())
        world.clock.advance(MONTH - LEAD + 60)
        world.sandbox.fail(**fault, api=REFRESH)
        with pytest.raises(iop.IopError) as caught:
            await tokens.refresh("1001")
        shown = [own_frames(caught.value), repr(caught.value), str(caught.value)]
        report = await tokens.refresh_many(["1001"])
        shown += [repr(report), repr(await tokens.status("1001")), repr(tokens)]
        tokens._announcer.close()
        shown += [repr(event) for event in [event async for event in events]]
        shown += [repr(await tokens._vault.load("1001"))]
    assert len(shown) > 6
    for text in shown:
        assert not SECRETS.search(text), SECRETS.search(text)


@either_loop
async def test_a_failing_store_shows_no_secret(world):
    """The words of its error are its own."""
    store = WatchedStore(world.store())
    async with world.manager(store) as tokens:
        await tokens.authorize(world.code())
        store.before = failing(10, kind="intent")
        with pytest.raises(iop.StoreError) as caught:
            await tokens.refresh("1001")
        assert not SECRETS.search(own_frames(caught.value))


@either_loop
async def test_a_refused_code_is_in_no_error(world):
    """Nor in the frames of its traceback."""
    async with world.manager() as tokens:
        code = world.code()
        await tokens.authorize(code)
        with pytest.raises(iop.AuthError) as caught:
            await tokens.authorize(code)
        assert code not in own_frames(caught.value)
        assert code not in repr(caught.value)


@either_loop
async def test_nothing_public_shows_a_secret_or_is_pickled_with_one(world):
    """Everything that the manager hands out, while a refresh is under way."""
    async with world.manager() as tokens:
        events = tokens.events()
        token = await tokens.authorize(world.code())
        world.clock.advance(MONTH - LEAD + 60)
        world.sandbox.fail("latency", api=REFRESH, seconds=0.1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tokens.refresh, "1001")
            status = await tokens.status("1001")
            things = [
                tokens,
                token,
                tokens.seller("1001"),
                await tokens._vault.load("1001"),
                tokens._client,
                tokens._vault,
                tokens._cache,
                tokens._running,
            ]
            plain = [status, await anext(events)]
        assert isinstance(plain[1], TokenEvent)
        for thing in [*things, *plain, [things], {"a": token}]:
            assert not SECRETS.search(repr(thing))
            assert not SECRETS.search(f"{thing} {thing!s:>3}")
        for thing in things[:4]:
            for duplicate in (pickle.dumps, copy.deepcopy):
                with pytest.raises(TypeError, match="not pickled or copied"):
                    duplicate(thing)
        for thing in plain:
            assert pickle.loads(pickle.dumps(thing)) == thing
