"""A gateway whose refresh tokens are good once, its sellers, and what a store has of them."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import anyio
from host import APP, SCOPE
from notes import digest, tokens_of

import iop_async as iop
from iop_async.sandbox import Sandbox, SandboxApp
from iop_async.stores import from_url

REFRESH = "/auth/token/refresh"


def new_sandbox(count, **options):
    """A gateway with so many sellers."""
    return Sandbox(apps=[SandboxApp(APP.key, APP.secret)], sellers=count, **options)


def authorize_all(sandbox, url, shared, *, is_over=False):
    """Keep a pair of every seller; all of them are due, or their access tokens are over."""
    asyncio.run(_authorize_all(sandbox, url, shared, is_over=is_over))


async def _authorize_all(sandbox, url, shared, *, is_over):
    now = datetime.now(UTC)
    expires_at = now + timedelta(minutes=-1 if is_over else 10)
    store = from_url(shared.near)
    waiting = iter(list(sandbox.sellers))
    client = iop.Client(APP, iop.gateways.Iop(url))
    async with client, iop.TokenManager(client, store, scope=SCOPE, keeper=False) as tokens:

        async def work():
            for seller in waiting:
                answer = sandbox.grant(seller)
                await tokens.import_token(
                    iop.Token(
                        access_token=answer["access_token"],
                        refresh_token=answer["refresh_token"],
                        issued_at=now - timedelta(days=30),
                        expires_at=expires_at,
                        refresh_expires_at=now + timedelta(days=100),
                        sellers=(iop.Seller(seller_id=seller),),
                    )
                )

        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(work)
    await store.aclose()


def stored(shared):
    """The store's tokens by seller."""
    return asyncio.run(_stored(shared))


async def _stored(shared):
    store = from_url(shared.near)
    try:
        return {record.seller_id: tokens_of(record) async for record in store.records(SCOPE)}
    finally:
        await store.aclose()


def live(sandbox):
    """The refresh tokens that the gateway accepts, by seller."""
    return {pair.seller_id: digest(pair.refresh_token) for pair in sandbox.grants.live()}


def wait_until(condition, seconds, what):
    """Poll until the condition holds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"waited in vain: {what}"
        time.sleep(0.1)
