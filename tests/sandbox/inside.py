"""Requests of the library's own making, answered by a sandbox in this process."""

import asyncio
from urllib.parse import urlsplit

import httpx

from iop_async._models import App
from iop_async._wire import HttpResponse
from iop_async.sandbox import create_app

APP = App("123456", "helloworld")


def exchange(sandbox, request):
    """The answer to a request, wherever it would have gone."""

    async def send():
        body = request.body if isinstance(request.body, bytes) else b"".join(request.body)
        where = urlsplit(request.url)
        url = f"http://sandbox{where.path}" + (f"?{where.query}" if where.query else "")
        async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app(sandbox))) as http:
            response = await http.request(
                request.method, url, headers=dict(request.headers), content=body
            )
        return HttpResponse(response.status_code, dict(response.headers), response.content)

    return asyncio.run(send())


def call(sandbox, gateway, call):
    """The reply to a call."""
    request = gateway.encode(APP, call, now=sandbox.clock.wall())
    return gateway.decode(call, exchange(sandbox, request))
