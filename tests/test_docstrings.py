"""Every public name has an example in its docstring, and each of them runs.

An example is what stands indented after a line that ends in ``::``. It may use the names of
:func:`names_of_the_tour`, which are those of the README.
"""

import ast
import asyncio
import hmac
import importlib
import inspect
import os
import pkgutil
import re
import secrets
import textwrap
from datetime import UTC, datetime, timedelta
from typing import TypedDict
from urllib.parse import urlencode

import attrs
import pytest

import iop_async as iop
from iop_async.sandbox import Sandbox, SandboxApp, running

EXAMPLE = re.compile(r"^(?:.*[^:\n])?::\n\n((?:(?: {4}.*)?\n)+)", re.MULTILINE)
NOT_FOR_USERS = {"calling", "cli"}
"""Rooms that other rooms use; what is public of them stands in :mod:`iop_async` itself."""


def rooms():
    """The modules that users import from."""
    yield iop
    for found in pkgutil.walk_packages(iop.__path__, "iop_async."):
        parts = found.name.split(".")[1:]
        if parts[0] not in NOT_FOR_USERS and not any(part.startswith("_") for part in parts):
            yield importlib.import_module(found.name)


def names_of(module):
    if hasattr(module, "__all__"):
        return [(name, getattr(module, name)) for name in module.__all__]
    own = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    return [(n, v) for n, v in own.items() if getattr(v, "__module__", "") == module.__name__]


def documented():
    """What a user can ask ``help`` about, by its first name."""
    found = {}
    for module in rooms():
        room = module.__name__.partition(".")[2] or "iop"
        names = [(name, value) for name, value in names_of(module) if has_docstring(value)]
        if names and module is not iop:
            found.setdefault(id(module), (f"module {room}", module))
        for name, value in names:
            found.setdefault(id(value), (name if module is iop else f"{room}.{name}", value))
    return dict(found.values())


def has_docstring(value):
    return inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value)


DOCUMENTED = documented()


def examples_of(value):
    blocks = EXAMPLE.findall(inspect.cleandoc(value.__doc__ or "") + "\n")
    return [textwrap.dedent(block) for block in blocks]


@pytest.fixture(scope="module")
def served():
    sandbox = Sandbox(apps=[SandboxApp("12345678", "helloworld")], old_access_token="stays")
    with running(sandbox) as url:
        yield sandbox, url


@pytest.fixture
async def names_of_the_tour(served, monkeypatch, tmp_path):
    """What an example may use, besides modules: a seller has authorized, all is open."""
    sandbox, url = served
    app, gateway = iop.App("12345678", "helloworld"), iop.gateways.Iop(url)
    monkeypatch.setenv("IOP_APP_SECRET", app.secret)
    monkeypatch.setenv("IOP_STORE", "sqlite:///tokens.db")
    monkeypatch.setattr(iop.gateways, "TAOBAO", iop.gateways.Top(f"{url}/router/rest"))
    monkeypatch.setattr(iop.gateways, "TAOBAO_SEC", iop.gateways.Top(f"{url}/api"))
    monkeypatch.chdir(tmp_path)
    store = iop.stores.MemoryStore()
    async with iop.Client(app, gateway) as client, iop.TokenManager(client, store) as tokens:
        token = await tokens.authorize(sandbox.authorize("1001"))
        seller = client.as_seller(token)
        names = {"app": app, "gateway": gateway, "client": client, "token": token}
        names |= {"seller": seller, "tokens": tokens, "store": store, "sandbox": sandbox}
        names |= {"code": sandbox.authorize("1002"), "url": url}
        yield {**MODULES, **names, **webhook(app), "__name__": "example"}


MODULES = {
    "iop": iop,
    "asyncio": asyncio,
    "attrs": attrs,
    "os": os,
    "pytest": pytest,
    "secrets": secrets,
    "datetime": datetime,
    "timedelta": timedelta,
    "TypedDict": TypedDict,
    "UTC": UTC,
}


def webhook(app):
    """What a platform sent: a push, and a request to a service."""
    body = (
        b'{"seller_id":"1001","message_type":0,"site":"lazada_sg","data":{"trade_order_id":"42"}}'
    )
    now = round(datetime.now(UTC).timestamp() * 1000)
    query = {"app_key": app.key, "sign_method": "sha256", "sku": "a", "timestamp": str(now)}
    text = "/stock" + "".join(name + query[name] for name in sorted(query))
    query["http_sign"] = hmac.digest(app.secret.encode(), text.encode(), "sha256").hex().upper()
    return {
        "raw_body": body,
        "authorization": hmac.digest(app.secret.encode(), app.key.encode() + body, "sha256").hex(),
        "asked_url": f"https://me.example/stock?{urlencode(query)}",
    }


def error_of(cls, token):
    """One of this class, as a call may raise it."""
    if issubclass(cls, iop.BusinessFailure):
        return cls(iop.Failure("SOLD_OUT", "no stock left"), iop.Reply({}))
    if issubclass(cls, iop.NotPersisted):
        return cls("1001", token)
    if issubclass(cls, iop.ApiError | iop.ReauthorizationRequired | iop.RefreshAmbiguous):
        return cls("1001", "a reason")
    return cls("what happened")


@pytest.mark.parametrize("name", DOCUMENTED)
async def test_the_example_of_every_public_name_runs(name, names_of_the_tour, monkeypatch):
    """An error's is run while calls fail with that error, so that it is handled."""
    value = DOCUMENTED[name]
    examples = examples_of(value)
    assert examples, f"{name} has no example in its docstring"
    if inspect.isclass(value) and issubclass(value, iop.IopError):
        error = error_of(value, names_of_the_tour["token"])

        async def fails(self, call, **options):
            raise error

        monkeypatch.setattr(iop.Client, "_run", fails)
    for example in examples:
        code = compile(example, f"<{name}>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        outcome = eval(code, names_of_the_tour)
        if inspect.iscoroutine(outcome):
            await outcome
