"""Writing records, each function within one transaction.

Whoever changes which record a seller finds locks the scope first, so that no two of them meet
halfway. All others change one row, and wait for nothing while they hold it.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve
from sqlalchemy.ext.asyncio import AsyncConnection

from ..._records import Record
from .._decide import is_repetition
from . import _rows
from ._scopes import LockedScope
from ._statements import Statements


async def replace(
    db: AsyncConnection, say: Statements, record: Record, release: str | None
) -> bool:
    """Write a record whose sellers stay as they are; whether its revision was the stored one."""
    filing = _rows.filing_of(record.scope, record.seller, record.sellers)
    done = await db.execute(
        say.replace,
        {
            **_rows.facts_of(record),
            "a_key": filing["seller_key"],
            "some_sellers": filing["sellers"],
            "a_number": record.revision,
            "a_holder": None if release is None else _rows.as_bytes(release),
        },
    )
    return done.rowcount > 0


async def put(
    db: AsyncConnection, say: Statements, record: Record, release: str | None, *, again: bool
) -> Record:
    """Write a record if the stored one still has its revision, and let its sellers find it.

    Args:
        again: an earlier try may have done so, and ended the lease; the holder may have a new one.
    """
    scope = await LockedScope.lock(db, say, record.scope)
    found = await scope.find(record.sellers)
    owners = await scope.owners(found.values())
    key = next((key for key, owner in owners.items() if owner.seller == record.seller), None)
    stored = None if key is None else owners[key]
    if is_repetition(stored, record) and stored is not None and key is not None:
        written = stored
        release = None if again else release
    else:
        for other, robbed in owners.items():
            if other != key:
                await scope.rob(other, robbed, record.sellers)
        if stored is None or key is None:
            written = evolve(record, revision=scope.floor + 1)
            key = await scope.insert(written)
        else:
            written = evolve(record, revision=stored.revision + 1)
            await scope.change(key, written)
            await scope.forget(set(stored.sellers) - set(record.sellers))
        await scope.point(record.sellers, key, found)
    if release is not None:
        await db.execute(say.release, {"an_id": key, "a_holder": _rows.as_bytes(release)})
    await scope.raise_floor()
    return written


async def remove(
    db: AsyncConnection,
    say: Statements,
    scope: str,
    seller: str,
    only: Mapping[int, int] | None = None,
) -> dict[int, int]:
    """Forget the record that ``seller`` finds; its revision by its id, if there was one.

    Args:
        only: what an earlier try found; whatever came after it is left alone.
    """
    locked = await LockedScope.lock(db, say, scope)
    found = await locked.find([seller])
    owners = await locked.owners(found.values())
    for key, record in owners.items():
        if only is None or only.get(key) == record.revision:
            await locked.drop(key, record)
            await locked.forget(record.sellers)
    await locked.raise_floor()
    return {key: record.revision for key, record in owners.items()}
