"""A local gateway for every test that wants one."""

import logging
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeAlias

import anyio
import pytest
from loopback import Server

import iop_async as iop
from iop_async.sandbox import Sandbox, SandboxApp, running

SECRETS = re.compile(r"helloworld|5000(?:0601|1600)\w{20}")
"""The app's secret, and the tokens that the sandbox hands out."""

APP = iop.App("123456", "helloworld")

Run: TypeAlias = Callable[[Callable[[], Awaitable[Any]]], Any]


@pytest.fixture(params=["asyncio", "trio"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine function to its end under either event loop."""

    def run(scenario: Callable[[], Awaitable[Any]]) -> Any:
        async def within() -> Any:
            with anyio.fail_after(60):
                return await scenario()

        return anyio.run(within, backend=request.param)

    return run


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of raw bytes on loopback."""
    with Server() as server:
        yield server


@pytest.fixture(autouse=True)
def no_secret_is_logged(
    request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> Iterator[None]:
    """Not by this library, and not by those it uses."""
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.DEBUG, logger="iop_async")
    yield
    by_hand = "httpx" if request.path.parent.name == "sandbox" else ""
    for record in caplog.get_records("call"):
        assert record.name == by_hand or not SECRETS.search(record.getMessage()), record.name


@pytest.fixture
def app() -> iop.App:
    """An app that the sandbox knows."""
    return APP


@pytest.fixture
def sandbox() -> Sandbox:
    """The gateway's state: its clock, its faults, its grants."""
    return Sandbox(apps=[SandboxApp(APP.key, APP.secret)], sellers=3)


@pytest.fixture
def url(sandbox: Sandbox) -> Iterator[str]:
    """Where the sandbox listens."""
    with running(sandbox) as listening:
        yield listening


@pytest.fixture
def gateway(url: str) -> iop.gateways.Iop:
    """The sandbox as a gateway."""
    return iop.gateways.Iop(url)
