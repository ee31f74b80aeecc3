"""What systemd is told by a service of ``Type=notify``; nothing where it did not start it."""

from __future__ import annotations

import os
import socket

import anyio


def notify(state: str) -> None:
    """Tell systemd a state: ``READY=1``, ``STOPPING=1``, ``WATCHDOG=1``."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # of Linux's abstract names
        address = f"\0{address[1:]}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.sendto(state.encode(), address)


async def keep_watchdog_quiet() -> None:
    """Say at half of the unit's ``WatchdogSec`` that the event loop turns, until cancelled."""
    microseconds = int(os.environ.get("WATCHDOG_USEC", "0"))
    while microseconds:
        notify("WATCHDOG=1")
        await anyio.sleep(microseconds / 2e6)
