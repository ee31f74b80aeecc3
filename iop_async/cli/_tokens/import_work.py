"""An import at work: rows become tokens, and what becomes of each is told by its line."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

from ..._models import Token
from ...stores import MemoryStore
from ...tokens import ImportProgress
from .._opening import is_missing, manager_of, opened_client, opened_store
from .._progress import Bar
from .._settings import Settings
from .files import Row, Table, write_text
from .rows import BadRow, token_in
from .untouched import Untouched

_MAX_TOLD: Final = 100
"""Rows that are told of one by one; all of them are counted."""

_KEPT: Final = ("imported", "replaced")
_LEFT_OUT: Final = ("skipped", "failed")


class RejectedRows:
    """A file for rows that are not imported, to be repaired and imported again.

    Nobody else may read it; it is gone at the end where there are none.

    Args:
        path: of a file that is not there yet; ``None`` keeps nothing.
        header: what the file begins with.
    """

    def __init__(self, path: Path | None, header: str) -> None:
        self._path = path
        self._header = header
        self._file: BinaryIO | None = None
        self._is_empty = True

    def __enter__(self) -> Self:
        if self._path is not None:
            # Never through what somebody else has put there.
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            self._file = os.fdopen(os.open(self._path, flags, 0o600), "wb")
        return self

    def keep(self, row: Row) -> None:
        """Keep a row as it stands."""
        if self._file is None:
            return
        if self._is_empty:
            write_text(self._file, self._header)
        self._is_empty = False
        write_text(self._file, row.text if row.text.endswith(("\n", "\r")) else f"{row.text}\n")

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None and self._path is not None:
            self._file.close()
            if self._is_empty:
                self._path.unlink()


class Import:
    """Imports a table.

    Args:
        is_dry: look at the store, and write nothing there.

    Attributes:
        counts: of rows by what became of them.
        scope: what the grants are filed under; empty until the store could be used.
    """

    def __init__(self, table: Table, rejects: RejectedRows, *, is_dry: bool) -> None:
        self._table = table
        self._rejects = rejects
        self._is_dry = is_dry
        self._under_way: dict[int, Row] = {}
        self._told = 0
        self._bar = Bar("importing")
        self.scope = ""
        self.counts: Counter[str] = Counter()

    async def run(self, settings: Settings, *, replace: bool) -> None:
        """Import what can be, into the store of the settings.

        Raises:
            StoreError, ImportError, ValueError: the store cannot be used.
            UnusableFile: nothing can be read any more.
        """
        async with (
            opened_client(settings, signs=False) as client,
            opened_store(settings, must_exist=False) as found,
        ):
            # Looking would make the file.
            store = MemoryStore() if self._is_dry and is_missing(found) else found
            kept = Untouched(store) if self._is_dry else store
            async with manager_of(settings, client, kept) as manager:
                self.scope = manager.scope
                with self._bar:
                    rows = self._tokens()
                    await manager.import_many(rows, replace=replace, on_progress=self._note)

    def _tokens(self) -> Iterator[Token]:
        position = 0
        for row in self._table.rows:
            self.counts["rows"] += 1
            self._bar.advance()
            try:
                if row.fault:
                    raise BadRow(row.fault)  # noqa: TRY301 - one place tells of both
                token = token_in(row.fields, now=datetime.now(UTC))
            except BadRow as fault:
                self._leave_out(row, "failed", str(fault))
                continue
            self._under_way[position] = row
            position += 1
            yield token

    def _note(self, progress: ImportProgress) -> None:
        outcome = progress.latest
        row = self._under_way.pop(outcome.position)
        if outcome.verdict in _LEFT_OUT:
            self._leave_out(row, outcome.verdict, outcome.reason)
        else:
            self.counts[outcome.verdict] += 1
            self.counts["waiting"] += outcome.verdict in _KEPT and bool(outcome.reason)

    def _leave_out(self, row: Row, verdict: str, reason: str) -> None:
        self.counts[verdict] += 1
        self._rejects.keep(row)
        self._told += 1
        if self._told <= _MAX_TOLD:
            self._bar.say(f"line {row.line}: {verdict}: {reason}")

    def say_what_was_not_told(self) -> None:
        """The number of rows that were left out without a word on each."""
        if self._told > _MAX_TOLD:
            self._bar.say(f"and {self._told - _MAX_TOLD:,} more; --rejected FILE keeps them")

    def summary(self) -> dict[str, Any]:
        """What became of the rows, in numbers."""
        names = ("rows", *_KEPT, "unchanged", *_LEFT_OUT, "waiting")
        counted = {name: self.counts[name] for name in names}
        return {"scope": self.scope, "dry_run": self._is_dry, **counted}

    def in_words(self) -> str:
        """The same for a person, without what there is none of."""
        names = (*_KEPT, "unchanged", *_LEFT_OUT, "waiting")
        told = [f"{self.counts[name]:,} {name}" for name in names if self.counts[name]]
        rows = f"{self.counts['rows']:,} {'row' if self.counts['rows'] == 1 else 'rows'}"
        begin = "dry run for" if self._is_dry else "into"
        return f"{begin} {self.scope}: {', '.join([rows, *told])}"
