"""A web app with the routes, the sandbox behind it, and a browser of a few lines."""

import asyncio
import hashlib
import hmac
import json
import socket
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import anyio
import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

import iop_async as iop
from iop_async.contrib.starlette import SellerRoutes

APP = iop.App("123456", "helloworld")
CALLBACK = "https://me.example/iop/callback"
SECRET = "a secret of the routes that nobody guesses"


def push_of(body, app=APP):
    """A push as the platform sends it: body and headers."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    key = app.secret.encode()
    sign = hmac.new(key, app.key.encode() + body, hashlib.sha256).hexdigest()
    return {"content": body, "headers": {"authorization": sign}}


def order(number, **fields):
    data = {"order_status": "unpaid", "trade_order_id": str(number)}
    message = {"seller_id": "1001", "message_type": 0, "data": data, "site": "lazada_vn"}
    return message | {"timestamp": 1603766859530} | fields


class Browser:
    """Keeps cookies, and follows nothing by itself."""

    def __init__(self, web, sandbox_url):
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(web), base_url="https://me.example"
        )
        self.sandbox_url = sandbox_url

    async def get(self, url, **options):
        return await self.http.get(url, **options)

    async def consent(self, answer, connect="/iop/connect"):
        """From connect over the platform's page; gives the URL that it leads back to."""
        there = await self.get(connect)
        assert there.status_code == 303
        page = there.headers["location"]
        assert page.startswith(f"{self.sandbox_url}/oauth/authorize?")
        if answer == "decline":
            form = dict(httpx.URL(page).params) | {"decision": "decline"}
            async with httpx.AsyncClient() as platform:
                back = await platform.post(page.partition("?")[0], data=form)
        else:
            async with httpx.AsyncClient() as platform:
                back = await platform.get(f"{page}&auto_approve={answer}")
        return back.headers["location"]


class Shop:
    """One process of the app."""

    def __init__(self, gateway, store, **options):
        self.client = iop.Client(APP, gateway)
        self.tokens = iop.TokenManager(self.client, store, keeper=False)
        options = {"redirect_uri": CALLBACK, "secret": SECRET} | options
        self.routes = SellerRoutes(self.tokens, **options)
        self.web = Starlette(routes=[Mount("/iop", routes=self.routes)])
        self.sandbox_url = f"http://{urlsplit(gateway.base_url).netloc}"

    def browser(self):
        return Browser(self.web, self.sandbox_url)

    async def push(self, **push):
        """Gives the answer when the handler is done."""
        answer = await self.browser().http.post("/iop/push", **push)
        await self.idle()
        return answer

    async def idle(self):
        with anyio.fail_after(30):
            while self.routes._inbox.waiting:
                await asyncio.sleep(0.001)


@asynccontextmanager
async def shop(gateway, store=None, **options):
    """An app that runs."""
    store = iop.stores.MemoryStore() if store is None else store
    one = Shop(gateway, store, **options)
    async with one.client, one.tokens:
        yield one


class _Server(uvicorn.Server):
    def install_signal_handlers(self):
        pass


@asynccontextmanager
async def served(web, listener=None, **options):
    """Serve an app in this event loop, by a real server; gives its address."""
    with listener or socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(web, log_config=None, lifespan="off", ws="none", **options)
        server = _Server(config)
        running = asyncio.create_task(server.serve([listener]))
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await running
