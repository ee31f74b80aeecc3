from contextlib import asynccontextmanager
from os import environ as env
from typing import Annotated

import anyio
from fastapi import Depends, FastAPI, Request
from starlette.middleware.sessions import SessionMiddleware
from starlette.routing import Router

import iop_async as iop
from iop_async.contrib import starlette as web

gateway = iop.gateways.Iop(env["IOP_GATEWAY"])
client = iop.Client(iop.App(env["IOP_APP_KEY"], env["IOP_APP_SECRET"]), gateway)
tokens = iop.TokenManager(client, iop.stores.from_url(env["IOP_STORE"]))


async def authorized(request, token):
    request.session["shop"] = token.seller_id
    return "/orders"


async def mail_sellers():
    async for event in tokens.events():
        if event.kind in ("authorize_by", "reauthorize"):
            print("mail", event.seller_id, "to connect again by", event.deadline)


def my_shop(request: Request) -> str:
    return request.session.get("shop", "nobody")


@asynccontextmanager
async def lifespan(site):
    async with anyio.create_task_group() as tasks, client, tokens:
        tasks.start_soon(mail_sellers)
        yield


web.mask_access_log()
address = {"redirect_uri": env["CALLBACK"], "secret": env["WEB_SECRET"]}
routes = web.SellerRoutes(tokens, **address, on_authorized=authorized, on_push=print)
site = FastAPI(lifespan=lifespan, exception_handlers=web.exception_handlers())
site.add_middleware(SessionMiddleware, secret_key=env["WEB_SECRET"])
site.mount("/iop", Router(routes))


@site.get("/orders")
async def orders(shop: Annotated[iop.Caller, Depends(web.caller_dependency(tokens, my_shop))]):
    return (await shop.call("/orders/get", {"limit": 10})).data
