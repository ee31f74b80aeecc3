"""Many records in batches, each of which a store reads or writes in few statements."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final, TypeAlias

from .._exceptions import StoreError
from .._records import Record

Outcome: TypeAlias = "Record | StoreError"
"""What became of a record: as it was written, or why it was not."""

Found: TypeAlias = "Record | StoreError | None"
"""What a seller finds: a record, one that cannot be read, or none."""

GET_BATCH: Final = 500
"""Sellers that are asked for at once: few enough that others do not wait for long behind them."""

LONG_BODY: Final = 2**18
"""Bytes from which a body is written by itself, so that one too large for a server fails alone."""

_BATCH_BYTES: Final = 4 * LONG_BODY
"""Bytes of bodies in one batch: servers bound what they take at once."""


async def get_in_batches(
    seller_ids: Sequence[str], get_batch: Callable[[Sequence[str]], Awaitable[Sequence[Found]]]
) -> list[Found]:
    """What each of some sellers finds, some hundred of them by one ``get_batch``."""
    found: list[Found] = []
    for at in range(0, len(seller_ids), GET_BATCH):
        found += await get_batch(seller_ids[at : at + GET_BATCH])
    return found


async def put_in_batches(
    records: Sequence[Record],
    put_batch: Callable[[list[Record]], Awaitable[Sequence[Outcome | None]]],
    put: Callable[[Record], Awaitable[Record]],
    *,
    count: int,
) -> list[Outcome]:
    """Put records, ``count`` of them at most by one ``put_batch``; what became of each.

    Args:
        put: for long ones, and for those of which ``put_batch`` says nothing (``None``).

    Raises:
        StoreError: the store failed, and not because of some record.
    """
    outcomes: list[Outcome | None] = [None] * len(records)
    for batch in _batches(records, count):
        found = await put_batch([records[n] for n in batch])
        for n, outcome in zip(batch, found, strict=True):
            outcomes[n] = outcome
    return [
        await put_alone(record, put) if outcome is None else outcome
        for record, outcome in zip(records, outcomes, strict=True)
    ]


async def put_alone(record: Record, put: Callable[[Record], Awaitable[Record]]) -> Outcome:
    """Put a record; what became of it. Raises ``StoreError`` where that is not its own fault."""
    try:
        return await put(record)
    except StoreError as error:
        if error.retryable:
            raise
        return error.with_traceback(None)  # whose frames hold the body


def _batches(records: Sequence[Record], count: int) -> Iterator[list[int]]:
    """Indexes of records that are not long, as many at a time as are to be written at once."""
    batch: list[int] = []
    size = 0
    for n, record in enumerate(records):
        length = len(record.body)
        if length >= LONG_BODY:
            continue
        if len(batch) == count or size + length > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(n)
        size += length
    if batch:
        yield batch
