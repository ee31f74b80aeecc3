"""What happened last, in a few lines: what happens to many sellers alike is one of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

from attrs import define
from rich.text import Text

_SHOWN: Final = 4


@define
class _Happening:
    at: str
    what: str
    seller: str
    reason: str
    others: int = 0

    def line(self) -> Text:
        others = f" and {self.others} more" if self.others else ""
        text = Text.assemble(
            (self.at, "bright_black"), f"  {self.seller}{others}: {self.what}  ", no_wrap=True
        )
        text.append(self.reason, "bright_black")
        text.overflow = "ellipsis"
        return text


class Happenings:
    """The latest few kinds of them, each with the seller to whom it happened last."""

    def __init__(self) -> None:
        self._latest: deque[_Happening] = deque(maxlen=_SHOWN)

    def add(self, at: str, what: str, seller: str, reason: str) -> None:
        """Something happened to a seller, or once more to another."""
        before = next((known for known in self._latest if known.what == what), None)
        if before is None:
            self._latest.append(_Happening(at, what, seller, reason))
            return
        before.others += 1
        before.at, before.seller, before.reason = at, seller, reason

    def lines(self) -> Iterator[Text]:
        """What is to be shown."""
        return (happening.line() for happening in self._latest)
