"""No token, code or app secret leaves the manager by accident."""

import copy
import pickle
import re
import traceback
from urllib.parse import parse_qs

import anyio
import pytest
from tokens_helpers import WatchedStore, failing
from tokens_scenario import LEAD, MONTH, REFRESH, all_told, either_loop

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
    {"kind": "empty"},
    {"kind": "drop"},
    {"kind": "reset"},
    {"kind": "ban", "seconds": 300},
    {"kind": "patch", "fields": {"seller_id": "666"}},
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
async def test_no_failure_of_a_refresh_shows_a_secret(scenario, fault):
    """Not its words, its causes, the locals of its frames, nor what is told and stored of it."""
    async with scenario.manager() as tokens:
        events = tokens.events()
        await tokens.authorize(scenario.code())
        scenario.clock.advance(MONTH - LEAD + 60)
        scenario.sandbox.fail(**fault, api=REFRESH)
        with pytest.raises(iop.IopError) as caught:
            await tokens.refresh("1001")
        shown = [own_frames(caught.value), repr(caught.value), str(caught.value)]
        scenario.clock.advance(301)  # a batch waits for the end of a ban
        report = await tokens.refresh_many(["1001"])
        shown += [repr(report), repr(await tokens.status("1001")), repr(tokens)]
        shown += [repr(event) for event in await all_told(tokens, events)]
        shown += [repr(await tokens._vault.load("1001"))]
    assert len(shown) > 6
    for text in shown:
        assert not SECRETS.search(text), SECRETS.search(text)


@either_loop
async def test_a_failing_store_shows_no_secret(scenario):
    """The words of its error are its own."""
    store = WatchedStore(scenario.store())
    async with scenario.manager(store) as tokens:
        await tokens.authorize(scenario.code())
        store.before = failing(10, kind="intent")
        with pytest.raises(iop.StoreError) as caught:
            await tokens.refresh("1001")
        assert not SECRETS.search(own_frames(caught.value))


@either_loop
async def test_a_refused_code_is_in_no_error(scenario):
    """Nor in the frames of its traceback."""
    async with scenario.manager() as tokens:
        code = scenario.code()
        await tokens.authorize(code)
        with pytest.raises(iop.AuthError) as caught:
            await tokens.authorize(code)
        assert code not in own_frames(caught.value)
        assert code not in repr(caught.value)


class Quoting:
    """A transport that says what it was given, as libraries do."""

    def __init__(self, inner):
        self.inner = inner
        self.quotes = False

    async def send(self, request):
        if self.quotes:
            body = parse_qs(request.body.decode())
            raise iop.TransportError(f"cannot carry {body['refresh_token'][0]}, nor {request.body}")
        return await self.inner.send(request)

    async def aclose(self):
        await self.inner.aclose()


@either_loop
async def test_the_words_of_other_libraries_are_told_without_the_tokens_they_quote(scenario):
    """Not in an event, not in a status, and not in what is stored of the grant."""
    async with iop.HttpxTransport() as http:
        quoting = Quoting(http)
        client = scenario.client(transport=quoting)
        async with iop.TokenManager(client, scenario.store(), clock=scenario.clock) as tokens:
            events = tokens.events()
            token = await tokens.authorize(scenario.code())
            quoting.quotes = True
            with pytest.raises(iop.TransportError):
                await tokens.refresh("1001")

            def listener(progress):
                raise RuntimeError(f"bad {token.access_token}")

            await tokens.refresh_many(["1002"], on_progress=listener)
            shown = [repr(await tokens.status("1001")), repr(await tokens._vault.load("1001"))]
        shown += [repr(event) async for event in events]
    assert any("cannot carry ***" in text for text in shown)
    assert any("RuntimeError: bad ***" in text for text in shown)
    assert not any(SECRETS.search(text) for text in shown)


@either_loop
async def test_nothing_public_shows_a_secret_or_is_pickled_with_one(scenario):
    """Everything that the manager hands out, while a refresh is under way."""
    async with scenario.manager() as tokens:
        events = tokens.events()
        token = await tokens.authorize(scenario.code())
        scenario.clock.advance(MONTH - LEAD + 60)
        scenario.sandbox.fail("latency", api=REFRESH, seconds=0.1)
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
                tokens._vault.cache,
                tokens._lifecycle.here,
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
