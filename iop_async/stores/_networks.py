"""Whether what is sent to a server crosses networks of others."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from ipaddress import ip_address
from typing import Final

CLEAR_TEXT: Final = (
    "it is reached over a public network in clear text, where tokens and its password can be read "
    "and changed on the way: use TLS ({how})"
)
"""What is warned of where it does, without TLS."""


async def is_public(host: str | None) -> bool:
    """Whether a host has an address that is neither of this machine nor of a private network."""
    if not host:
        return False  # a socket of this machine
    with suppress(ValueError):
        return ip_address(host).is_global
    with suppress(OSError, UnicodeError):  # what cannot be found is not connected to either
        found = await asyncio.get_running_loop().getaddrinfo(host, None)
        return any(ip_address(address[0]).is_global for *_, address in found)
    return False
