"""The demonstration: signed calls, then a token manager that keeps sellers through trouble."""

from __future__ import annotations

from rich.console import Console

from .board import Board
from .calls import call
from .gateway import local_gateway
from .keeping import keep
from .signature import diagnose

_CALLERS = 12


async def demonstrate(sellers: int, calls: int, speed: float) -> bool:
    """Run the demonstration; whether all that was promised held.

    Args:
        sellers: how many the token manager keeps; the first dozen of them make signed calls before.
        calls: for each of that dozen.
        speed: simulated seconds in a second, for the token manager.
    """
    with Board(Console()) as board:
        async with local_gateway(sellers) as gateway:
            board.say(f"a local gateway listens at {gateway.url}")
            board.act("signed calls")
            await call(board, gateway, gateway.sellers[:_CALLERS], calls)
            await diagnose(board, gateway)
            await keep(board, gateway, speed)
        return board.held
