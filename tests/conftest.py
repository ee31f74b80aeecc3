"""A local gateway for every test that wants one."""

from collections.abc import Iterator

import pytest

import iop_async as iop
from iop_async.sandbox import Sandbox, SandboxApp, running

APP = iop.App("123456", "helloworld")


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
