"""Reading records."""

from __future__ import annotations

from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from ..._records import Record
from . import _rows
from ._statements import Statements

_PAGE: Final = 200
"""Records read at a time."""


async def get(db: AsyncConnection, say: Statements, scope: str, seller: str) -> Record | None:
    """The record that ``seller`` finds."""
    facts = {"a_key": _rows.seller_key(scope, seller)}
    row = (await db.execute(say.get, facts)).first()
    return None if row is None else _rows.record_of(scope, row)


async def page(
    db: AsyncConnection, say: Statements, scope: str, after: int
) -> tuple[list[Record], int | None]:
    """Records of a scope, and what to give as ``after`` for the next; ``None`` after the last."""
    facts = {"a_scope_key": _rows.scope_key(scope), "an_id": after, "a_limit": _PAGE}
    rows = (await db.execute(say.page, facts)).all()
    records = [_rows.record_of(scope, row) for row in rows]
    return records, rows[-1].id if len(rows) == _PAGE else None
