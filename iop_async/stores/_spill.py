"""Where token pairs go while the store fails."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from anyio.to_thread import run_sync

from .._exceptions import StoreError
from .._records import Record
from ..protocols import Sealer
from ._checks import check_record
from ._journals import append, read_lines, replace
from ._spill_lines import line_of, record_of

T = TypeVar("T")


class SpillJournal:
    """Keeps records in a plain file, one JSON line each, until a store takes them again.

    A record is on the disk when :meth:`append` returns. The file is readable by this user alone;
    it holds the bodies as they are given, or sealed where there is a ``sealer``. A line that a
    crash tore is skipped when the file is read, and moved to ``<path>.torn`` before the file is
    rewritten. Several processes of one host may share a file, except where Python has no ``fcntl``
    (Windows).

    Constructing does no I/O, and between two methods nothing is open.

    Args:
        path: the file, made when it is needed; its directory must exist.
        sealer: seals what is written and unseals what is read: an ``EncryptedStore``, say.
    """

    def __init__(self, path: str | os.PathLike[str], *, sealer: Sealer | None = None) -> None:
        self._path = Path(path).absolute()
        self._seal: Callable[[Record], Record] = sealer.seal if sealer else _as_it_is
        self._unseal: Callable[[Record], Record] = sealer.unseal if sealer else _as_it_is

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._path)!r})"

    async def append(self, record: Record) -> None:
        """Add a record."""
        check_record(record)
        await self._in_thread(partial(append, self._path, line_of(self._seal(record))))

    async def records(self) -> list[Record]:
        """All that was appended and not removed, in order.

        Raises ``StoreError`` where one of them cannot be unsealed: to go on without it would be
        to present a refresh token that is spent.
        """
        lines = await self._in_thread(partial(read_lines, self._path))
        return [self._unsealed(record) for record in map(record_of, lines) if record is not None]

    async def remove(self, scope: str, seller: str, is_done: Callable[[Record], bool]) -> None:
        """Drop the records of a seller that are done; what cannot be read stays."""

        def choose(lines: list[bytes]) -> list[bytes]:
            return [line for line in lines if self._stays(line, scope, seller, is_done)]

        await self._in_thread(partial(replace, self._path, choose))

    def _stays(
        self, line: bytes, scope: str, seller: str, is_done: Callable[[Record], bool]
    ) -> bool:
        record = record_of(line)
        if record is None:
            append(Path(f"{self._path}.torn"), line)
            return False
        if (record.scope, record.seller) != (scope, seller):
            return True
        with suppress(StoreError):
            return not is_done(self._unseal(record))
        return True

    def _unsealed(self, record: Record) -> Record:
        try:
            return self._unseal(record)
        except StoreError as exc:
            msg = (
                f"{self._path}: in the journal of unsaved tokens, {exc}. Move the file away if "
                "what it holds may be lost"
            )
            error = StoreError(msg)
            error.retryable = exc.retryable
            raise error from exc

    async def _in_thread(self, step: Callable[[], T]) -> T:
        # A thread cannot be cancelled: an append goes on when the task that waits for it does not.
        try:
            return await run_sync(step)
        except OSError as exc:
            msg = (
                f"{self._path}: the journal of unsaved tokens cannot be read or written; what it "
                "held is intact. Look at its disk, its directory and their permissions "
                f"({exc.strerror})"
            )
            raise StoreError(msg) from exc.with_traceback(None)


def _as_it_is(record: Record) -> Record:
    return record
