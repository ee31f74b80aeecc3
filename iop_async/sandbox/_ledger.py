"""The ledger: what was presented to the sandbox, and what became of it."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from attrs import field, frozen

from ._grants import Pair, digest
from ._parties import Subject


@frozen
class Presented:
    """One refresh token that was presented.

    Attributes:
        at: when, by the sandbox's clock.
        app: the app key that the call named.
        seller: whose token it was; ``None`` for one that the sandbox never issued.
        generation: which pair of the seller it belongs to.
        token: digest of the refresh token.
        accepted: whether it was traded for a new pair. The answer may have been lost all the same.
        code: why not: a gateway code, or ``fault:`` and the kind that kept it from being judged.
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
    """

    refreshes: list[Presented] = field(factory=list)
    calls: Counter[tuple[str, str]] = field(factory=Counter)

    def record(
        self, at: datetime, subject: Subject, code: str, refresh_token: str, pair: Pair | None
    ) -> None:
        """Note a call, and the refresh token that it presented, if any, with the pair of it."""
        self.calls[subject.api, code] += 1
        if refresh_token:
            self.refreshes.append(
                Presented(
                    at,
                    subject.app,
                    pair.seller if pair else None,
                    pair.generation if pair else None,
                    digest(refresh_token),
                    accepted=code == "0",
                    code=code,
                )
            )

    def presented(self, token: str) -> list[Presented]:
        """Every time that the refresh token with this digest was presented."""
        return [entry for entry in self.refreshes if entry.token == token]
