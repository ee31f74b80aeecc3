"""Transports of either kind."""

import httpx
import pytest
from transport_helpers import TLS

from iop_async import HttpxTransport


@pytest.fixture(params=["own connections", "a client of the user's"])
def make_transport(request):
    """A transport of either kind, as a context manager."""

    class Maker:
        client = None

        def __init__(self, **options):
            self.options = options

        async def __aenter__(self):
            if request.param == "a client of the user's":
                limits = httpx.Limits(max_connections=self.options.get("max_connections", 100))
                self.client = httpx.AsyncClient(trust_env=False, verify=TLS, limits=limits)
            self.transport = HttpxTransport(self.client, **self.options)
            return self.transport

        async def __aexit__(self, *exc_info):
            await self.transport.aclose()
            if self.client is not None:
                await self.client.aclose()

    return Maker
