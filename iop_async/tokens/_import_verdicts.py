"""Whether a token may be imported, and whether it may take the place of what there is: pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias, cast

from .._models import Token
from .._refresh import can_refresh
from ._grant import Grant, lasting_ids, seller_ids_of
from ._inputs import require_token
from ._reports import ImportVerdict

Comparison: TypeAlias = Literal["new", "older", "kept", "not replaced", "mixed"]

LEFT_AS_IT_IS: Final[dict[str, tuple[ImportVerdict, str]]] = {
    "kept": ("unchanged", ""),
    "not replaced": ("skipped", "the seller has an older pair, which was not to be replaced"),
    "mixed": ("skipped", "some of its sellers have a later pair, and others have none"),
}


def fault_of(token: object, now: datetime) -> str | None:
    """Why a token is of no use to a manager; ``None`` for a good one. No secret is in it."""
    try:
        require_token(token)
    except (TypeError, ValueError) as error:
        return str(error)
    given = cast("Token", token)
    try:
        _ = given.extra and json.dumps(dict(given.extra))
    except (TypeError, ValueError, RecursionError):
        return "its extra holds what JSON cannot"
    if not given.refresh_token:
        return "it has no refresh token"
    if not can_refresh(given, now):
        never = given.refresh_expires_at == given.issued_at
        return "it cannot be refreshed" if never else "its refresh token has expired"
    return None if lasting_ids(given) else "it names no seller, and has no id of the account"


def compare(token: Token, known: Sequence[Grant], *, replace: bool) -> Comparison:
    """What there is for the sellers of a token: nothing, an older pair, or what is to stay."""
    if not known:
        return "new"
    served = {seller_id for grant in known for seller_id in grant.seller_ids}
    is_covered = served.issuperset(seller_ids_of(token))
    is_same = [_is_same(token, grant) for grant in known]
    if is_covered and all(is_same):
        return "kept"
    if all(
        same or _is_later(token, grant.token) for same, grant in zip(is_same, known, strict=True)
    ):
        return "older" if replace else "not replaced"
    return "kept" if is_covered else "mixed"


def _is_same(token: Token, grant: Grant) -> bool:
    pair = token.access_token, token.refresh_token
    return any(
        pair == (each.access_token, each.refresh_token) for each in (grant.token, *grant.candidates)
    )


def _is_later(token: Token, than: Token) -> bool:
    """Whether a pair was given out later: by both of its times, for either may be made up."""
    if token.issued_at <= than.issued_at:
        return False
    ends = token.expires_at, than.expires_at
    return ends[0] is None or ends[1] is None or ends[0] >= ends[1]


def seller_id_in(token: object) -> str | None:
    """An id of what may be no token; ``None`` where there is none."""
    try:
        ids: list[Any] = lasting_ids(cast("Token", token))
    except (AttributeError, TypeError):
        return None
    return ids[0][:100] if ids and isinstance(ids[0], str) else None
