"""Leases that are renewed for as long as the refreshes under them last."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NoReturn

import anyio

from ._single_flight import SingleFlight
from ._stored import Leases


async def renew_leases(
    leases: Leases,
    flights: SingleFlight,
    *,
    lease_seconds: float,
    on_error: Callable[[Exception], object],
) -> NoReturn:
    """Renew those of refreshes under way well before they end, until cancelled."""
    renew = partial(_renew, leases, seconds=lease_seconds / 3, on_error=on_error)
    while True:
        await anyio.sleep(lease_seconds / 6)
        async with anyio.create_task_group() as tasks:  # one by one, the last might be too late
            for seller_id in filter(leases.is_aging, flights.seller_ids):
                tasks.start_soon(renew, seller_id)


async def _renew(
    leases: Leases, seller_id: str, *, seconds: float, on_error: Callable[[Exception], object]
) -> None:
    try:
        with anyio.move_on_after(seconds):  # a hanging store holds up no other
            await leases.renew(seller_id)
    except Exception as error:  # noqa: BLE001 - the other leases are still to be renewed
        on_error(error)
