"""Many tokens from elsewhere: judged, compared with what is kept, and written many at a time."""

from __future__ import annotations

from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
    Sized,
)
from contextlib import suppress
from itertools import islice
from typing import Any, Final, TypeAlias, cast

import anyio
from anyio.lowlevel import checkpoint
from attrs import frozen

from .._clock import Clock
from .._exceptions import IopError, NotPersisted, StaleRecord, StoreError, TokenError
from .._models import Token
from ._batch import for_each
from ._bulk import Bulk
from ._grant import Grant, seller_ids_of
from ._import_tally import ImportTally, OnProgress
from ._import_verdicts import LEFT_AS_IT_IS, Comparison, compare, fault_of, seller_id_in
from ._reports import ImportReport, ImportVerdict
from ._running import Running
from ._vault import Vault

Tokens: TypeAlias = Iterable[Token] | AsyncIterable[Token]

_CHUNK: Final = 1_000
"""Tokens in memory at a time."""

_PAGE: Final = 500
_PAGES_AT_ONCE: Final = 2
"""Tokens that are looked up and written together: while the store is busy with some, the next are
put into words for it."""

_MAX_UNSTORED: Final = 20
"""Tokens that the store may not take before an import ends: it fails, and they are in memory."""

_BULK_TRIES: Final = 2
_BULK_TIMEOUT: Final = 30.0
"""Seconds that a store may take for a chunk."""


@frozen
class _Given:
    """A token that may be imported, its position among all that were given, and what finds it."""

    position: int
    token: Token
    seller_ids: tuple[str, ...]


_Ready: TypeAlias = tuple[_Given, Grant | None]
"""A token, and the grant whose place it takes."""


class Importing:
    """One import.

    Args:
        replace: whether a later pair takes the place of an older one.
        limit: how many are written at a time, where that must be done one by one.
    """

    def __init__(
        self, running: Running, vault: Vault, clock: Clock, *, replace: bool, limit: int
    ) -> None:
        chosen: object = replace
        if not isinstance(chosen, bool):
            msg = f"replace is of type {type(chosen).__name__}; it is True or False"
            raise TypeError(msg)
        self._running = running
        self._vault = vault
        self._clock = clock
        self._replace = replace
        self._limit = limit

    async def run(self, tokens: Tokens, on_progress: OnProgress | None) -> ImportReport:
        """Import all of them; what became of them.

        Raises:
            StoreError: the store fails.
            TokenError: the manager was left meanwhile.
        """
        chunks = _Chunks(tokens)
        self._tally = ImportTally(chunks.total, on_progress, self._running.report)
        position = 0
        while chunk := await chunks.take():
            if self._running.background.place != "here":
                raise TokenError("the token manager was left before the import had ended")
            await self._import_chunk(list(self._good(chunk, position)))
            self._running.keeper.wake()
            position += len(chunk)
            if self._tally.unstored >= _MAX_UNSTORED:
                raise _interrupted(self._tally)
            await checkpoint()
        return self._tally.report()

    def _good(self, chunk: Sequence[object], first: int) -> Iterator[_Given]:
        """Those that may be imported; what is wrong with the others is told."""
        now = self._clock.now()
        for position, token in enumerate(chunk, first):
            reason = fault_of(token, now)
            if reason is None:
                good = cast("Token", token)
                yield _Given(position, good, seller_ids_of(good))
            else:
                self._tally.count(position, seller_id_in(token), "failed", reason)

    async def _import_chunk(self, given: Sequence[_Given]) -> None:
        disjoint, repeated = split_repeated(given)
        left = await self._import_many(disjoint)
        await self._each(left, self._import_one, limit=self._limit)
        await self._each(repeated, self._import_one, limit=1)

    async def _import_many(self, given: Sequence[_Given]) -> list[_Given]:
        """Import what one look and one write do for, many at a time; those that are left to do."""
        bulk = self._vault.bulk
        if bulk is None:
            return list(given)
        pages = iter([given[at : at + _PAGE] for at in range(0, len(given), _PAGE)])
        left: list[_Given] = []

        async def take() -> Sequence[_Given] | None:
            return next(pages, None)

        async def import_page(page: Sequence[_Given]) -> None:
            left.extend(await self._import_page(bulk, page))

        await for_each(take, import_page, limit=_PAGES_AT_ONCE)
        return left

    async def _import_page(self, bulk: Bulk, given: Sequence[_Given]) -> list[_Given]:
        try:
            with anyio.fail_after(_BULK_TIMEOUT):
                found = await bulk.known([one.seller_ids for one in given])
        except Exception as error:  # noqa: BLE001 - of somebody's store; one by one it says which
            if not isinstance(error, StoreError) or error.retryable:
                return list(given)
            found = [error] * len(given)
        ready: list[_Ready] = []
        left: list[_Given] = []
        for one, known in zip(given, found, strict=True):
            if isinstance(known, StoreError):
                self._count(one, "failed", str(known))
                continue
            comparison = compare(one.token, known, replace=self._replace)
            if comparison in LEFT_AS_IT_IS:
                self._count(one, *LEFT_AS_IT_IS[comparison])
                continue
            before = bulk.replaceable(one.seller_ids, known)
            is_busy = before is not None and before.seller_id in self._running.flights
            if comparison == "new" or (before is not None and not is_busy):
                ready.append((one, before))
            else:
                left.append(one)
        return left + await self._write_many(bulk, ready)

    async def _write_many(self, bulk: Bulk, ready: Sequence[_Ready]) -> list[_Given]:
        """Write tokens; those that must be written one by one."""
        if not ready:
            return []
        left = []
        for (one, before), refused in zip(ready, await _put(bulk, ready), strict=True):
            if refused is None:
                self._count(one, "imported" if before is None else "replaced")
            elif refused.retryable or isinstance(refused, StaleRecord):  # somebody was here since
                left.append(one)
            else:
                self._count(one, "failed", str(refused))
        return left

    async def _each(
        self, given: Iterable[_Given], work: Callable[[_Given], Any], *, limit: int
    ) -> None:
        waiting = iter(given)

        async def take() -> _Given | None:
            return None if self._tally.unstored >= _MAX_UNSTORED else next(waiting, None)

        await for_each(take, work, limit=limit)

    async def _import_one(self, one: _Given) -> None:
        """Import a token as an authorization, unless what there is by then stays."""
        comparison: Comparison = "new"

        def succeeds(token: Token, known: list[Grant]) -> bool:
            nonlocal comparison
            comparison = compare(token, known, replace=self._replace)
            return comparison in ("new", "older")

        async def given() -> Token:
            return one.token

        try:
            grant = await self._running.authorize(given, succeeds=succeeds)
        except NotPersisted as error:
            self._count(one, "failed", str(error), is_stored=False)
        except (IopError, OSError, RuntimeError, ValueError, TypeError) as error:
            self._count(one, "failed", _words(error))
        else:
            if comparison in LEFT_AS_IT_IS:
                self._count(one, *LEFT_AS_IT_IS[comparison])
                return
            is_stored = self._vault.has_stored(grant)
            verdict: ImportVerdict = "imported" if comparison == "new" else "replaced"
            reason = "" if is_stored else self._vault.unpersisted.why(grant)
            self._count(one, verdict, reason, is_stored=is_stored)

    def _count(
        self, one: _Given, verdict: ImportVerdict, reason: str = "", *, is_stored: bool = True
    ) -> None:
        self._tally.count(one.position, one.seller_ids[0], verdict, reason, is_stored=is_stored)


async def _put(bulk: Bulk, ready: Sequence[_Ready]) -> list[StoreError | None]:
    approvals = [(one.token, before) for one, before in ready]
    for _ in range(_BULK_TRIES):  # repeating is no error
        with suppress(Exception), anyio.fail_after(_BULK_TIMEOUT):
            return await bulk.put(approvals)
    return [StoreError("one by one it says which")] * len(ready)


def split_repeated(given: Iterable[_Given]) -> tuple[list[_Given], list[_Given]]:
    """The tokens that have no seller in common with an earlier one, and those that have."""
    seen: set[str] = set()
    disjoint: list[_Given] = []
    repeated: list[_Given] = []
    for one in given:
        (repeated if seen.intersection(one.seller_ids) else disjoint).append(one)
        seen.update(one.seller_ids)
    return disjoint, repeated


class _Chunks:
    """Reads tokens, a chunk at a time."""

    def __init__(self, tokens: Tokens) -> None:
        given: Any = tokens
        is_one = isinstance(given, str | bytes | bytearray | Mapping)
        if is_one or not isinstance(given, Iterable | AsyncIterable):
            msg = f"tokens is of type {type(given).__name__}; give an iterable of iop_async.Token"
            raise TypeError(msg)
        self.total = len(given) if isinstance(given, Sized) else None
        self._later: AsyncIterator[object] | None = None
        self._now: Iterator[object] = iter(())
        if isinstance(given, AsyncIterable):
            self._later = aiter(given)
        else:
            self._now = iter(given)

    async def take(self) -> list[object]:
        """The next; none at the end."""
        if self._later is None:
            return list(islice(self._now, _CHUNK))
        chunk: list[object] = []
        async for token in self._later:
            chunk.append(token)
            if len(chunk) == _CHUNK:
                break
        return chunk


def _words(error: Exception) -> str:
    """What an error says where these are our own words, which hold no secret."""
    return str(error) if isinstance(error, IopError) else type(error).__name__


def _interrupted(tally: ImportTally) -> StoreError:
    report = tally.report()
    kept = report.imported + report.replaced
    msg = (
        f"the store fails, so the import ended early: {kept} tokens are kept, {report.waiting} of "
        "them by the journal alone; give all of them again once the store is back, those that are "
        "kept stay as they are"
    )
    return StoreError(msg, retryable=True)
