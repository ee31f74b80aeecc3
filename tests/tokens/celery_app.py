"""A Celery application as users write one: a client that all of its tasks share.

Each task has an event loop of its own, and enters a manager in it: over a store that it opens, or
over the one of this module.
"""

import asyncio
import os
from contextlib import aclosing, nullcontext

from celery import Celery
from store_kinds import StoreLocation
from tokens_scenario import APP

import iop_async as iop

client = iop.Client(APP, iop.gateways.Iop(os.environ["GATEWAY"]))
location = StoreLocation(os.environ["KIND"], os.environ["STORE"], os.environ["PREFIX"])
of_the_module = location.store() if os.environ["OPENED"] == "by the module" else None

app = Celery("drill", broker=os.environ["BROKER"], backend=os.environ["BROKER"])
keys = {"global_keyprefix": os.environ["QUEUE"]}
app.conf.update(
    broker_transport_options=keys,
    result_backend_transport_options=keys,
    worker_hijack_root_logger=False,
)


@app.task(acks_late=True)
def refresh(seller):
    """Refresh a seller's token; what came of it is for the gateway's ledger to judge."""

    async def once():
        async with (
            nullcontext(of_the_module) if of_the_module else aclosing(location.store()) as store,
            iop.TokenManager(client, store, keeper=False) as tokens,
        ):
            await tokens.refresh(seller)

    asyncio.run(once())
