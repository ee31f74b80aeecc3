"""An app for pushes: writes down what it handles, and hangs for a message that says so."""

import asyncio
import logging
import os
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.routing import Mount
from web_helpers import APP, SECRET

import iop_async as iop
from iop_async.contrib.starlette import SellerRoutes

client = iop.Client(APP, iop.gateways.Iop("http://127.0.0.1:9"))
store = iop.stores.SQLiteStore(os.environ["STORE"])
tokens = iop.TokenManager(client, store, keeper=False, drain_seconds=2)
logging.getLogger("iop_async").setLevel(logging.CRITICAL)
handled = os.open(os.environ["HANDLED"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


async def pushed(message):
    number = message.data["trade_order_id"]
    if os.environ["HANGS"] in ("all", message.data["order_status"]):
        await asyncio.sleep(3600)
    os.write(handled, f"{number} {os.getpid()}\n".encode())


routes = SellerRoutes(
    tokens,
    redirect_uri="https://me.example/iop/callback",
    secret=SECRET,
    on_push=pushed,
    push_seconds=float(os.environ["PUSH_SECONDS"]),
)


@asynccontextmanager
async def lifespan(web):
    async with client, tokens:
        yield


site = Starlette(routes=[Mount("/iop", routes=routes)], lifespan=lifespan)
