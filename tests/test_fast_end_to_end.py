"""The fast door from end to end: consent, calls, uploads, and a manager that refreshes."""

import hashlib
import io
from datetime import timedelta
from importlib.util import find_spec

import anyio
import pytest

import iop_async as iop
from iop_async.stores import MemoryStore

LOOPS = ["asyncio", *(["uvloop"] if find_spec("uvloop") else [])]


@pytest.fixture(params=LOOPS)
def run(request):
    """Run a coroutine function to its end, on asyncio's own loop or on uvloop."""
    options = {"use_uvloop": request.param == "uvloop"}
    return lambda scenario: anyio.run(scenario, backend_options=options)


def test_calls_uploads_and_refreshes(run, app, gateway, sandbox):
    """What a seller's day is made of."""

    async def scenario():
        async with (
            iop.FastTransport() as transport,
            iop.Client(app, gateway, transport=transport) as client,
        ):
            code = sandbox.authorize("1001")
            token = await iop.auth.create_token(client, code=code)
            seller = client.as_seller(token)
            listed = await seller.call("/orders/get", {"limit": 5}, http_method="GET")
            order_id = listed.data["orders"][0]["order_id"]
            one = await seller.call("/order/get", {"order_id": order_id})
            assert one.data["order_id"] == order_id

            content = b"any bytes" * 100_000
            uploads = {"a": content, "b": io.BytesIO(content)}
            uploaded = await seller.call("/image/upload", {"title": "é"}, files=uploads)
            digest = hashlib.sha256(content).hexdigest()
            assert [f["sha256"] for f in uploaded.data["files"]] == [digest, digest]

            successor = await iop.auth.refresh_token(client, refresh_token=token.refresh_token)
            await client.as_seller(successor).call("/seller/get")
            with pytest.raises(iop.AuthError, match="IllegalAccessToken"):
                await seller.call("/seller/get")

    run(scenario)


def test_a_manager_refreshes_many_sellers_at_a_time(run, app, gateway, sandbox):
    """Each refresh token is presented once, whatever hurries beside it."""

    async def scenario():
        async with (
            iop.FastTransport(max_connections=8) as transport,
            iop.Client(app, gateway, transport=transport) as client,
            iop.TokenManager(client, MemoryStore(), keeper=False) as tokens,
        ):
            for seller_id in sandbox.sellers:
                await tokens.authorize(sandbox.authorize(seller_id))
            before = {each: (await tokens.token(each)).access_token for each in sandbox.sellers}
            async with anyio.create_task_group() as tasks:
                for _ in range(10):
                    tasks.start_soon(tokens.refresh_many, list(sandbox.sellers))
                for seller_id in sandbox.sellers:
                    for _ in range(10):
                        tasks.start_soon(tokens.seller(seller_id).call, "/seller/get")
            after = {each: await tokens.token(each) for each in sandbox.sellers}
            for seller_id, token in after.items():
                assert token.access_token != before[seller_id]
                assert token.expires_in(token.issued_at) > timedelta(0)

    run(scenario)
