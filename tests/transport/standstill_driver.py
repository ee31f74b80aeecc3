"""A process that is stopped while it waits for answers: over both routes, under both timeouts."""

import json
import sys
from contextlib import AsyncExitStack

import anyio
import httpx
import sniffio

from iop_async import FastTransport, HttpRequest, HttpxTransport, Timeouts, TransportError


async def main(base, seconds, count):
    outcomes = {}

    async def ask(name, transport):
        try:
            response = await transport.send(HttpRequest("GET", f"{base}/{name}"))
            outcomes[name] = f"{len(response.content)} bytes"
        except TransportError as error:
            outcomes[name] = str(error)

    async with AsyncExitStack() as stack:
        backend = sniffio.current_async_library()
        client = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
        transports = {}
        for phase in ("read", "total"):
            timeouts = Timeouts(**{"read": None, "total": None, phase: seconds})
            own = await stack.enter_async_context(HttpxTransport(timeouts=timeouts))
            transports[f"own-{phase}"] = own
            transports[f"client-{phase}"] = HttpxTransport(client, timeouts=timeouts)
            if backend == "asyncio":
                fast = await stack.enter_async_context(FastTransport(timeouts=timeouts))
                transports[f"fast-{phase}"] = fast
        async with anyio.create_task_group() as tasks:
            for kind, transport in transports.items():
                for number in range(count):
                    tasks.start_soon(ask, f"{kind}-{number}", transport)
    print(json.dumps(outcomes))


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), backend=sys.argv[4])
