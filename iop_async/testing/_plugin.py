"""Fixtures for suites that use this library, whatever runs their coroutines.

None of them is asynchronous, so they work under pytest-asyncio, under anyio and in plain tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .._client import Client
    from ..gateways import Iop
    from ..sandbox import Sandbox
    from ..tokens import TokenManager
    from ._clock import MovableClock


@pytest.fixture
def iop_clock() -> MovableClock:
    """A clock that the sandbox, the client and the manager live by: ``advance(seconds)``."""
    from ._clock import MovableClock

    return MovableClock()


@pytest.fixture
def iop_sandbox(iop_clock: MovableClock) -> Sandbox:
    """A local gateway's state: ``authorize(seller_id)`` gives a code, ``fail`` breaks calls.

    ``answer`` teaches it an API of yours.

    It knows the app ``123456`` with the secret ``helloworld`` and the sellers 1001 to 1003.
    """
    from ..sandbox import Sandbox

    return Sandbox(now=iop_clock.now)


@pytest.fixture
def iop_gateway(iop_sandbox: Sandbox) -> Iterator[Iop]:
    """The sandbox, served from a thread, as a gateway."""
    from ..gateways import Iop
    from ..sandbox import running

    with running(iop_sandbox) as url:
        yield Iop(url)


@pytest.fixture
def iop_client(iop_sandbox: Sandbox, iop_gateway: Iop, iop_clock: MovableClock) -> Client:
    """A client of the sandbox. It keeps no connection, so nobody needs to close it."""
    from .._client import Client
    from .._models import App
    from ._transport import FleetingTransport

    known = next(iter(iop_sandbox.apps.values()))
    app = App(known.key, known.secret)
    return Client(app, iop_gateway, transport=FleetingTransport(), now=iop_clock.now)


@pytest.fixture
def iop_tokens(iop_client: Client, iop_clock: MovableClock) -> TokenManager:
    """A token manager over memory; use it as ``async with iop_tokens as tokens``."""
    from ..stores import MemoryStore
    from ..tokens import TokenManager

    return TokenManager(iop_client, MemoryStore(), clock=iop_clock)
