"""Transports of every kind."""

from importlib.util import find_spec

import anyio
import httpx
import pytest
from transport_helpers import TLS

from iop_async import FastTransport, HttpxTransport


def pytest_collection_modifyitems(config, items):
    """Leave out what would run the fast door under trio, or on uvloop what does not name it."""
    left_out = {item for item in items if not _belongs(item)}
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = [item for item in items if item not in left_out]


def _belongs(item):
    params = item.callspec.params if hasattr(item, "callspec") else {}
    is_fast = params.get("make_transport") == "fast" or params.get("door") is FastTransport
    return params.get("run") != ("trio" if is_fast else "uvloop")


@pytest.fixture(params=["asyncio", "trio", *(["uvloop"] if find_spec("uvloop") else [])])
def run(request):
    """Run a coroutine function to its end under any event loop."""
    name = request.param
    backend = ("asyncio", {"use_uvloop": True}) if name == "uvloop" else (name, {})

    def run(scenario):
        async def within():
            with anyio.fail_after(60):
                return await scenario()

        return anyio.run(within, backend=backend[0], backend_options=backend[1])

    return run


@pytest.fixture(params=[HttpxTransport, FastTransport])
def door(request):
    """The class of a transport with connections of its own."""
    return request.param


@pytest.fixture(params=["own connections", "a client of the user's", "fast"])
def make_transport(request):
    """A transport of any kind, as a context manager."""

    class Maker:
        client = None

        def __init__(self, **options):
            self.options = options

        async def __aenter__(self):
            if request.param == "a client of the user's":
                limits = httpx.Limits(max_connections=self.options.get("max_connections", 100))
                self.client = httpx.AsyncClient(trust_env=False, verify=TLS, limits=limits)
            if request.param == "fast":
                self.transport = FastTransport(**self.options)
            else:
                self.transport = HttpxTransport(self.client, **self.options)
            return self.transport

        async def __aexit__(self, *exc_info):
            await self.transport.aclose()
            if self.client is not None:
                await self.client.aclose()

    return Maker


@pytest.fixture
def to(tmp_path):
    """A path for a download, in a folder of its own."""
    (tmp_path / "labels").mkdir()
    return tmp_path / "labels" / "label.pdf"
