"""What the manager answers about sellers: values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, TypeAlias

from attrs import field, frozen

from .._refresh import Freshness
from ._grant import Grant, State, authorize_by

Outcome: TypeAlias = Literal["refreshed", "skipped", "failed"]


@frozen
class RefreshReport:
    """What became of many refreshes.

    Attributes:
        refreshed: the sellers that have a new token.
        skipped: seller to why nothing was tried.
        failed: seller to what went wrong.

    Example::

        report = await tokens.refresh_many(["1001", "1002"])
        for seller_id, error in report.failed.items():
            print(seller_id, error)
    """

    refreshed: tuple[str, ...] = ()
    skipped: Mapping[str, str] = field(factory=dict)
    failed: Mapping[str, Exception] = field(factory=dict)


@frozen
class Progress:
    """How far many refreshes are.

    Example::

        def show(progress: iop.tokens.Progress) -> None:
            print(f"{progress.done} of {progress.total}: {progress.seller_id} {progress.outcome}")

        await tokens.refresh_many(["1001"], on_progress=show)
    """

    done: int
    total: int
    seller_id: str
    outcome: Outcome


ImportVerdict: TypeAlias = Literal["imported", "replaced", "unchanged", "skipped", "failed"]


@frozen
class ImportOutcome:
    """What became of one token of an import, without any secret.

    Attributes:
        position: of the token among those that were given; the first is 0.
        seller_id: the first of the ids that find it; ``None`` where nobody can tell.
        verdict: see :class:`ImportReport`.
        reason: why it was skipped or failed, or that the store does not have it yet.

    Example::

        report = await tokens.import_many([token])
        for outcome in report.details:
            print(outcome.position, outcome.seller_id, outcome.verdict, outcome.reason)
    """

    position: int
    seller_id: str | None
    verdict: ImportVerdict
    reason: str = ""


@frozen
class ImportProgress:
    """How far an import is.

    Attributes:
        done: tokens whose outcome is known.
        total: of how many; ``None`` where what was given does not say.
        latest: the outcome of one of them; they come in no order.

    Example::

        def show(progress: iop.tokens.ImportProgress) -> None:
            print(progress.done, progress.latest.verdict)

        await tokens.import_many([token], on_progress=show)
    """

    done: int
    total: int | None
    latest: ImportOutcome


@frozen(kw_only=True)
class ImportReport:
    """What became of the tokens of an import.

    Attributes:
        imported: of sellers that had no grant.
        replaced: in the place of an older pair.
        unchanged: of sellers that have this pair, or a later one.
        skipped: left out, since what there is was to stay.
        failed: bad ones, and those that could not be kept.
        waiting: of those imported or replaced, how many the journal has alone, until the store is
            back. Should that have a pair of the seller, it goes before.
        details: of those skipped and failed, the first 1,000 in the order of their outcomes.

    Example::

        report = await tokens.import_many([token], replace=False)
        print(report.imported, report.unchanged, report.failed)
    """

    imported: int = 0
    replaced: int = 0
    unchanged: int = 0
    skipped: int = 0
    failed: int = 0
    waiting: int = 0
    details: tuple[ImportOutcome, ...] = ()


@frozen
class SellerStatus:
    """How a seller's grant is, without any secret.

    Attributes:
        seller_id: what the grant is filed under; ``seller_ids`` all that it serves.
        freshness: what the access token is good for now.
        state: ``live``, ``ambiguous`` or ``reauthorize``; ``reason`` says why.
        expires_at, refresh_expires_at: ends of the access and the refresh token (aware UTC).
        authorize_by: end of the last token that the grant can give.
        retry_at: when a failed refresh is tried again.
        refresh_at: when the next refresh is due, failures considered; ``None`` where there is none.
        attempts: refreshes that failed since the last that did not.
        generation: counts the pairs.
        is_persisted: ``False`` while only the journal and memory have the newest pair.
        is_refreshing: whether a refresh is under way in this process.
        is_unanswered: whether a refresh was begun whose answer is not known, here or elsewhere.

    Example::

        status = await tokens.status("1001")
        print(status.state, status.freshness, status.authorize_by, status.is_persisted)
    """

    seller_id: str
    seller_ids: tuple[str, ...]
    freshness: Freshness
    state: State
    reason: str
    expires_at: datetime | None
    refresh_expires_at: datetime | None
    authorize_by: datetime | None
    retry_at: datetime | None
    attempts: int
    generation: int
    is_persisted: bool
    is_refreshing: bool
    is_unanswered: bool
    refresh_at: datetime | None = None


def status_of(
    grant: Grant,
    freshness: Freshness,
    *,
    refresh_at: datetime | None,
    is_persisted: bool,
    is_refreshing: bool,
) -> SellerStatus:
    """How a grant is."""
    return SellerStatus(
        seller_id=grant.seller_id,
        seller_ids=grant.seller_ids,
        freshness=freshness,
        state=grant.state,
        reason=grant.reason,
        expires_at=grant.token.expires_at,
        refresh_expires_at=grant.token.refresh_expires_at,
        authorize_by=authorize_by(grant),
        retry_at=grant.retry_at,
        attempts=grant.attempts,
        generation=grant.generation,
        is_persisted=is_persisted,
        is_refreshing=is_refreshing,
        is_unanswered=grant.intent is not None,
        refresh_at=refresh_at,
    )
