"""The ledger: what was presented to the sandbox, and what became of it."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from attrs import field, frozen

from ._grants import Pair, digest
from ._parties import Subject


@frozen
class PresentedRefresh:
    """One refresh token that was presented.

    Attributes:
        at: when, by the sandbox's clock.
        app: the app key that the call named.
        seller: id of its owner; ``None`` for a token that the sandbox never issued.
        generation: number of its pair, among the seller's.
        token: digest of the refresh token.
        accepted: it was traded for a new pair. The answer may have been lost all the same.
        code: ``"0"``, a gateway code, or ``fault:`` and the kind that came before the judgement.

    Example::

        await tokens.refresh("1001")
        entry = sandbox.ledger.refreshes[-1]
        assert (entry.seller, entry.accepted, entry.code) == ("1001", True, "0")
    """

    at: datetime
    app: str
    seller: str | None
    generation: int | None
    token: str
    accepted: bool
    code: str


@frozen
class Ledger:
    """Every refresh presented, in order, and how often each API was called with which outcome.

    ``calls`` counts by API and code; ``"0"`` is success, and a fault that came before the work is
    ``fault:`` and its kind.

    Example::

        before = sandbox.ledger.calls["/orders/get", "0"]
        await seller.call("/orders/get")
        assert sandbox.ledger.calls["/orders/get", "0"] == before + 1
    """

    refreshes: list[PresentedRefresh] = field(factory=list)
    calls: Counter[tuple[str, str]] = field(factory=Counter)

    def record(
        self, at: datetime, subject: Subject, code: str, refresh_token: str, pair: Pair | None
    ) -> None:
        """Note a call, and the refresh token that it presented, if any, with the pair of it."""
        self.calls[subject.api, code] += 1
        if refresh_token:
            self.refreshes.append(
                PresentedRefresh(
                    at,
                    subject.app,
                    pair.seller_id if pair else None,
                    pair.generation if pair else None,
                    digest(refresh_token),
                    accepted=code == "0",
                    code=code,
                )
            )

    def presented(self, token: str) -> list[PresentedRefresh]:
        """Every time that the refresh token with this digest was presented."""
        return [entry for entry in self.refreshes if entry.token == token]
