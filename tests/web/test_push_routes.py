"""Push messages by the route; each line of the threat model that concerns them is a test."""

import asyncio
import json
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import httpx
import pytest
from web_helpers import APP, Shop, order, push_of, served, shop

import iop_async as iop
from iop_async.contrib.starlette import _pushes

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "webhooks" / "push.json").read_text())


class Handler:
    """Remembers what it was given, and waits or fails as told."""

    def __init__(self):
        self.messages, self.failures = [], 0
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, message):
        await self.open.wait()
        if self.failures:
            self.failures -= 1
            raise ConnectionError("the app's database")
        self.messages.append(message)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
async def test_each_kind_of_message_reaches_the_handler(gateway, vector):
    """But the console's test, which is answered and is about nothing."""
    handler = Handler()
    headers = {"authorization": vector["authorization"], "content-type": "application/json"}
    async with shop(gateway, on_push=handler) as one:
        answer = await one.push(content=vector["body"].encode(), headers=headers)
    assert (answer.status_code, answer.content) == (200, b"")
    expected = [] if vector["message"].get("is_test") else [vector["message"]["topic"]]
    assert [message.topic for message in handler.messages] == expected


async def test_10_a_forged_changed_or_truncated_push_is_refused_before_it_is_read(
    gateway, monkeypatch
):
    """Nothing parses it: not even a count of its brackets."""
    handler = Handler()
    good = push_of(order(1))
    body, signature = good["content"], good["headers"]["authorization"]
    async with shop(gateway, on_push=handler) as one:
        monkeypatch.setattr("iop_async.webhooks.loads", None)
        for content, headers in (
            (body[:-1], {"authorization": signature}),
            (body + b" ", {"authorization": signature}),
            (b"[" * 100_000, {"authorization": signature}),
            (body, {"authorization": signature[:-1] + "0"}),
            (body, {"authorization": ""}),
            (body, {}),
            (body, [("authorization", signature), ("authorization", signature)]),
            (b"", {"authorization": signature}),
        ):
            answer = await one.push(content=content, headers=headers)
            assert (answer.status_code, answer.text) == (401, "not signed")
        assert (await one.browser().get("/iop/push")).status_code == 405
    assert handler.messages == []


async def test_what_is_signed_and_no_message_is_answered_400(gateway):
    """The platform then stops sending it."""
    handler = Handler()
    async with shop(gateway, on_push=handler) as one:
        assert (await one.push(**push_of(b"[]"))).status_code == 400
    assert handler.messages == []


async def test_11_a_push_that_is_sent_again_is_dropped(gateway):
    """It is answered all the same, or the platform would go on."""
    handler = Handler()
    async with shop(gateway, on_push=handler) as one:
        for number in (1, 2, 1, 1, 2):
            assert (await one.push(**push_of(order(number)))).status_code == 200
    assert [message.data["trade_order_id"] for message in handler.messages] == ["1", "2"]


async def test_11_another_process_drops_it_as_well(gateway, tmp_path):
    """Where both share a store; and what one of them failed at may be sent again."""
    handlers = Handler(), Handler()
    path = tmp_path / "tokens.db"
    async with (
        iop.stores.SQLiteStore(path) as first,
        iop.stores.SQLiteStore(path) as second,
        shop(gateway, first, on_push=handlers[0]) as one,
        shop(gateway, second, on_push=handlers[1]) as other,
    ):
        for each in (one, other, one):
            assert (await each.push(**push_of(order(1)))).status_code == 200
        assert [len(handler.messages) for handler in handlers] == [1, 0]
        handlers[0].failures = 1
        for each in (one, other, one):
            assert (await each.push(**push_of(order(2)))).status_code == 200
        assert [len(handler.messages) for handler in handlers] == [1, 1]


async def test_11_what_was_seen_is_forgotten_after_seven_hours(gateway, sandbox, tmp_path):
    """In memory and in the store: neither grows with the messages of all time."""
    handler = Handler()
    async with (
        iop.stores.SQLiteStore(tmp_path / "tokens.db") as store,
        shop(gateway, store, on_push=handler) as one,
    ):
        once = one.routes._inbox._once
        for number in range(5):
            await one.push(**push_of(order(number)))
        later = datetime.now(UTC) + timedelta(hours=7, minutes=2)
        one.routes._inbox._now = once._now = lambda: later
        await one.push(**push_of(order(9)))
        kept = [record.seller_id async for record in store.records(once._scope)]
        assert len(kept) == 1
        assert [status async for status in one.tokens.statuses()] == []


@pytest.mark.parametrize("declared", [True, False])
async def test_12_a_body_without_end_is_not_read(gateway, declared):
    """Whether or not it says so before."""
    sent = 0

    async def endless():
        nonlocal sent
        while sent < 10_000_000:
            sent += 1000
            yield b"x" * 1000

    headers = {"authorization": "0" * 64} | ({"content-length": "99999999"} if declared else {})
    async with shop(gateway, on_push=Handler(), max_body=5000) as one:
        answer = await one.push(content=endless(), headers=headers)
    assert answer.status_code == 413
    assert sent < 10_000


async def test_12_a_body_that_does_not_end_is_given_up(gateway, monkeypatch):
    """It would hold a connection and memory for as long as its sender likes."""
    monkeypatch.setattr(_pushes, "_BODY_TIMEOUT", 0.05)

    async def slow():
        yield b"x"
        await asyncio.sleep(3600)

    async with shop(gateway, on_push=Handler()) as one:
        answer = await one.push(content=slow(), headers={"authorization": "0" * 64})
    assert answer.status_code == 408


async def test_13_so_many_wait_and_no_more(gateway):
    """More are put off, and taken when they are sent again; nothing that was taken is lost."""
    handler = Handler()
    handler.open.clear()
    one = Shop(gateway, iop.stores.MemoryStore(), on_push=handler, max_waiting=5, concurrency=2)
    async with one.client, one.tokens, served(one.web) as url, httpx.AsyncClient() as platform:
        answers = [
            await platform.post(f"{url}/iop/push", **push_of(order(number))) for number in range(8)
        ]
        assert [answer.status_code for answer in answers] == [200] * 5 + [503] * 3
        assert (await platform.get(f"{url}/iop/health")).json()["pushes_waiting"] == 5
        handler.open.set()
        with anyio.fail_after(20):
            while one.routes._inbox.waiting:
                await asyncio.sleep(0.01)
        again = [
            await platform.post(f"{url}/iop/push", **push_of(order(number))) for number in range(8)
        ]
        assert {answer.status_code for answer in again} == {200}
    numbers = [message.data["trade_order_id"] for message in handler.messages]
    assert sorted(numbers) == [str(number) for number in range(8)]


async def test_13_a_handler_that_hangs_is_ended(gateway, caplog):
    """Its place is for others; the message is accepted again."""
    handler = Handler()
    handler.open.clear()
    async with shop(gateway, on_push=handler, push_seconds=0.05) as one:
        assert (await one.push(**push_of(order(1)))).status_code == 200
        assert one.routes._inbox.waiting == 0
        handler.open.set()
        await one.push(**push_of(order(1)))
    assert len(handler.messages) == 1
    assert "TimeoutError" in caplog.text


async def test_13_a_plain_function_blocks_nobody(gateway):
    """It has a thread of its own."""
    block, threads = threading.Event(), []

    def handler(message):
        threads.append(threading.current_thread())
        block.wait(20)

    one = Shop(gateway, iop.stores.MemoryStore(), on_push=handler)
    async with one.client, one.tokens, served(one.web) as url, httpx.AsyncClient() as platform:
        try:
            for number in range(3):
                answer = await platform.post(f"{url}/iop/push", **push_of(order(number)))
                assert answer.status_code == 200
            while len(threads) < 3:
                await asyncio.sleep(0.01)
        finally:
            block.set()
        assert threading.main_thread() not in threads


async def test_13_a_handler_that_hangs_holds_up_no_end(gateway, caplog):
    """Whoever ends the app ends it within ``drain_seconds``; what was cut off is told of."""
    store = iop.stores.MemoryStore()
    handler = Handler()
    handler.open.clear()
    async with iop.Client(APP, gateway) as client:
        tokens = iop.TokenManager(client, store, keeper=False, drain_seconds=0.1)
        async with tokens:
            one = Shop(gateway, store, on_push=handler)
            one.routes._inbox._tokens = tokens
            answer = await one.browser().http.post("/iop/push", **push_of(order(1)))
            assert answer.status_code == 200
            await asyncio.sleep(0.05)
    assert one.routes._inbox.waiting == 0
    assert "cut off by the end" in caplog.text


EXPIRY = {"seller_id": "null", "message_type": 8, "site": "lazada_ph", "timestamp": 1627416758}


async def test_the_end_of_an_authorization_becomes_an_event_of_the_manager(gateway, sandbox):
    """With the platform's deadline; the handler is given the message as well."""
    handler = Handler()
    ends_at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=45)
    data = {"app_key": APP.key, "auth_expiry_time": int(ends_at.timestamp()), "seller_id": "1001"}
    async with shop(gateway, on_push=handler) as one:
        await one.tokens.authorize(sandbox.authorize("1001"))
        async with one.tokens.events() as events:
            await one.push(**push_of({**EXPIRY, "data": data}))
            with anyio.fail_after(10):
                event = await anext(events)
    assert (event.kind, event.seller_id, event.deadline) == ("authorize_by", "1001", ends_at)
    assert len(handler.messages) == 1


async def test_the_end_of_an_access_token_that_is_refreshed_is_told_to_nobody(gateway, sandbox):
    """Sellers would be asked, every few days, for what they need not do."""
    async with shop(gateway) as one:
        token = await one.tokens.authorize(sandbox.authorize("1001"))
        assert not await one.tokens.tell_expiry("1001", token.expires_at)
        assert not await one.tokens.tell_expiry("1001", token.expires_at - timedelta(days=2))
        assert await one.tokens.tell_expiry("1001", token.refresh_expires_at)
        assert await one.tokens.tell_expiry("1001", None)
        with pytest.raises(iop.UnknownSeller):
            await one.tokens.tell_expiry("1003", None)
        with pytest.raises(ValueError, match="naive"):
            await one.tokens.tell_expiry("1001", datetime(2026, 1, 1))  # noqa: DTZ001


async def test_the_end_of_an_unknown_seller_s_authorization_is_no_error(gateway):
    """The platform tells of every seller of the app, whoever keeps them."""
    data = {"auth_expiry_time": 1627542238, "seller_id": "77\ud800"}
    async with shop(gateway) as one:
        for seller_id in ("7777", "77\ud800", " "):
            message = {**EXPIRY, "data": {**data, "seller_id": seller_id}}
            assert (await one.push(**push_of(message))).status_code == 200


async def test_an_app_whose_secret_is_elsewhere_has_no_push_route(gateway):
    """Nobody here could know a push from a forgery."""
    client = iop.Client(iop.App(APP.key), gateway)
    tokens = iop.TokenManager(client, iop.stores.MemoryStore())
    options = {"redirect_uri": "https://me.example/c", "secret": "x" * 16}
    routes = iop_routes(tokens, **options)
    assert "/push" not in [route.path for route in routes]
    assert routes[0].path == "/connect"
    assert len(routes) == len(routes[:])
    with pytest.raises(ValueError, match="no secret"):
        iop_routes(tokens, **options, on_push=print)


def iop_routes(tokens, **options):
    from iop_async.contrib.starlette import SellerRoutes

    return SellerRoutes(tokens, **options)


async def test_an_answer_does_not_wait_for_the_handler(gateway):
    """Over a connection that is kept, one after the other, while every handler hangs."""
    handler = Handler()
    handler.open.clear()
    one = Shop(gateway, iop.stores.MemoryStore(), on_push=handler)
    async with one.client, one.tokens, served(one.web) as url, httpx.AsyncClient() as platform:
        began = time.monotonic()
        for number in range(50):
            answer = await platform.post(f"{url}/iop/push", **push_of(order(number)))
            assert answer.status_code == 200
        assert handler.messages == []
        assert time.monotonic() - began < 60
        handler.open.set()
        with anyio.fail_after(20):
            while one.routes._inbox.waiting:
                await asyncio.sleep(0.01)
    assert len(handler.messages) == 50
