"""The demonstration: signed calls, then a token manager that keeps sellers through failures."""

from __future__ import annotations

from rich.console import Console

from .board import Board
from .calls import make_signed_calls, show_wrong_signature
from .gateway import local_gateway
from .steps import keep_tokens

_CALLERS = 12


async def demonstrate(
    sellers: int, calls: int, speed: float, *, quiet: bool = False
) -> dict[str, bool]:
    """Run the demonstration; what was checked, and whether it held.

    Args:
        sellers: how many the token manager keeps; the first dozen of them make signed calls before.
        calls: for each of that dozen.
        speed: simulated seconds per second of this machine, for the token manager.
        quiet: show nothing meanwhile.
    """
    with Board(Console(quiet=quiet)) as board:
        async with local_gateway(sellers) as gateway:
            board.say(f"a local gateway listens at {gateway.url}")
            board.section("signed calls")
            await make_signed_calls(board, gateway, gateway.sellers[:_CALLERS], calls)
            await show_wrong_signature(board, gateway)
            await keep_tokens(board, gateway, speed)
        return board.checks
