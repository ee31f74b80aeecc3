"""Each error of the tree has its status, and FastAPI gets a seller's caller."""

import json
import subprocess
import sys
from typing import Annotated

import httpx
import pytest
from fastapi import Depends, FastAPI, Header, HTTPException
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from web_helpers import shop

import iop_async as iop
from iop_async import _exceptions
from iop_async.contrib.starlette import caller_dependency, exception_handlers

STATUSES = {
    "ApiError": 502,
    "AuthError": 502,
    "BusinessFailure": 422,
    "ClockError": 500,
    "InvalidAnswer": 502,
    "IopError": 502,
    "NotPersisted": 503,
    "PermissionDenied": 403,
    "ProtocolError": 502,
    "ReauthorizationRequired": 409,
    "RefreshAmbiguous": 503,
    "ServiceError": 502,
    "SignatureError": 500,
    "SigningFailed": 502,
    "StaleRecord": 503,
    "StoreError": 503,
    "Throttled": 503,
    "TokenError": 503,
    "TransportError": 502,
    "TransportTimeout": 504,
    "UnknownSeller": 404,
    "WebhookError": 502,
    "WebhookMessageError": 400,
    "WebhookSignatureError": 401,
}


def make(cls):
    if issubclass(cls, iop.BusinessFailure):
        return cls(iop.Failure("SOLD_OUT", "no stock left"))
    if issubclass(cls, iop.ApiError):
        error = cls("Code", "at host.internal", request_id="r1")
        error.retry_after = 1.2
        return error
    return cls("at host.internal")


async def ask(error):
    async def fails(request):
        raise error

    web = Starlette(routes=[Route("/", fails)], exception_handlers=exception_handlers())
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(web), base_url="https://me.example"
    ) as http:
        return await http.get("/")


def test_the_whole_tree_is_in_the_table():
    """A new error gets a status on purpose."""
    tree = {name for name in _exceptions.__all__ if name != "Scope"}
    assert tree == STATUSES.keys()


@pytest.mark.parametrize("name", STATUSES)
async def test_each_error_has_its_status_and_says_no_more_than_it_must(name):
    """What is for the log is not for whoever asked."""
    answer = await ask(make(getattr(iop, name)))
    problem = answer.json()
    assert answer.status_code == problem["status"] == STATUSES[name]
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["title"] == name
    if not issubclass(getattr(iop, name), iop.ReauthorizationRequired | iop.TokenError):
        assert "internal" not in answer.text


async def test_what_passes_says_when_and_what_failed_says_whose_support_can_tell():
    """``Retry-After`` in whole seconds, rounded up; the platform's code and request id."""
    answer = await ask(make(iop.Throttled))
    assert answer.headers["retry-after"] == "2"
    assert (answer.json()["code"], answer.json()["request_id"]) == ("Code", "r1")
    answer = await ask(make(iop.BusinessFailure))
    assert (answer.json()["code"], answer.json()["reason"]) == ("SOLD_OUT", "no stock left")


async def test_the_log_says_why_on_one_line(caplog):
    """Whatever a stranger writes into the path."""

    async def fails(request):
        raise iop.StoreError("the disk is full")

    web = Starlette(routes=[Route("/{x:path}", fails)], exception_handlers=exception_handlers())
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(web), base_url="https://me.example"
    ) as http:
        await http.get("/a%0dERROR%20forged%1b[2J%c2%85")
    (words,) = [one.getMessage() for one in caplog.records if one.name == "iop_async.web"]
    assert words.isprintable()
    assert words.endswith("503, StoreError: the disk is full")


async def test_an_error_of_the_app_s_own_is_left_alone():
    """The handlers are for this library's errors."""
    with pytest.raises(ZeroDivisionError):
        await ask(ZeroDivisionError())


async def test_fastapi_gets_the_caller_of_the_seller_whose_turn_it_is(gateway, sandbox):
    """The app says whose it is, by a dependency that may have dependencies itself."""

    def my_shop(x_user: Annotated[str, Header()] = "") -> str:
        if x_user not in ("ann", "bob"):
            raise HTTPException(401)
        return {"ann": "1001", "bob": "1002"}[x_user]

    async with shop(gateway) as one:
        await one.tokens.authorize(sandbox.authorize("1001"))
        web = FastAPI(exception_handlers=exception_handlers())
        mine = Annotated[iop.Caller, Depends(caller_dependency(one.tokens, my_shop))]

        @web.get("/orders/{number}")
        async def read(number: int, caller: mine) -> JSONResponse:
            reply = await caller.call("/order/get", {"order_id": number})
            return JSONResponse(json.loads(json.dumps(reply.data, default=str)))

        transport = httpx.ASGITransport(web)
        async with httpx.AsyncClient(transport=transport, base_url="https://me.example") as http:
            good = await http.get("/orders/42", headers={"x-user": "ann"})
            assert good.status_code == 200
            assert "42" in good.text
            assert (await http.get("/orders/42", headers={"x-user": "bob"})).status_code == 404
            assert (await http.get("/orders/42?seller_id=1001")).status_code == 401
            schema = (await http.get("/openapi.json")).json()
            parameters = schema["paths"]["/orders/{number}"]["get"]["parameters"]
            assert {one["name"] for one in parameters} == {"number", "x-user"}


@pytest.mark.parametrize(
    ("missing", "code", "words"),
    [
        ("starlette", "import iop_async.contrib.starlette", "iop-async[starlette]"),
        (
            "fastapi",
            "from iop_async.contrib.starlette import caller_dependency as f; f(None, print)",
            "pip install fastapi",
        ),
    ],
)
def test_what_is_not_installed_is_named(missing, code, words):
    """With the command that installs it."""
    script = f"import sys; sys.modules[{missing!r}] = None; {code}"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert words in done.stderr.splitlines()[-1]
