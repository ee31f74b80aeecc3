"""The journal: a file where token pairs go while the store fails."""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from anyio.to_thread import run_sync

from .._exceptions import StoreError
from .._logs import own_logger
from .._records import Record
from ..protocols import Sealer
from ._columns import read_record, to_micros
from ._contract import MissingKey, check_record
from ._files import append, read_lines, replace, try_out

T = TypeVar("T")

_log = own_logger("iop_async.stores")


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

    Example::

        journal = iop.stores.SpillJournal("tokens.spill")
        for record in await journal.records():
            print(record.seller_id, iop.tokens.read_grant(record).generation)
    """

    def __init__(self, path: str | os.PathLike[str], *, sealer: Sealer | None = None) -> None:
        self._path = Path(path).absolute()
        self._seal: Callable[[Record], Record] = sealer.seal if sealer else _as_it_is
        self._unseal: Callable[[Record], Record] = sealer.unseal if sealer else _as_it_is

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._path)!r})"

    async def check(self) -> None:
        """Raises ``StoreError`` where :meth:`append` would: its directory or disk is not usable."""
        await self._in_thread(partial(try_out, self._path))

    async def append(self, record: Record) -> None:
        """Add a record."""
        check_record(record)
        await self._in_thread(partial(append, self._path, _line_of(self._seal(record))))

    async def records(self) -> list[Record]:
        """All that was appended and not removed, in order.

        One that cannot be read, or unsealed, costs no other: it is left where it is, and told of in
        the log. The seller goes on with an older refresh token then, which may be spent.

        Raises ``StoreError`` where a key is missing: with it, all that is there can be had.
        """
        lines = await self._in_thread(partial(read_lines, self._path))
        records = [record for record in map(_record_of, lines) if record is not None]
        if len(records) < len(lines):
            _log.error(
                "%s: %s lines of the journal cannot be read, and are moved to %s.torn when it is "
                "written next: a crash tore them, or somebody else wrote there",
                self._path, len(lines) - len(records), self._path,
            )  # fmt: skip
        opened = map(self._opened, records)
        return [record for record in opened if record is not None]

    async def remove(self, scope: str, done: Mapping[str, Callable[[Record], bool]]) -> None:
        """Drop the records of sellers that are done; what cannot be read stays.

        Args:
            done: by the seller that a record is filed under, whether nobody needs it any more.
        """

        def choose(lines: list[bytes]) -> list[bytes]:
            return [line for line in lines if self._stays(line, scope, done)]

        await self._in_thread(partial(replace, self._path, choose))

    def _stays(self, line: bytes, scope: str, done: Mapping[str, Callable[[Record], bool]]) -> bool:
        record = _record_of(line)
        if record is None:
            append(Path(f"{self._path}.torn"), line)
            return False
        if record.scope != scope or record.seller_id not in done:
            return True
        with suppress(StoreError):
            return not done[record.seller_id](self._unseal(record))
        return True

    def _opened(self, record: Record) -> Record | None:
        try:
            return self._unseal(record)
        except MissingKey as exc:
            msg = (
                f"{self._path}: in the journal of unsaved tokens, {exc}. Move the file away if "
                "what it holds may be lost"
            )
            raise StoreError(msg, retryable=False) from exc
        except StoreError as exc:
            _log.error("%s: in the journal of unsaved tokens, %s; it stays there", self._path, exc)
            return None

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


def _line_of(record: Record) -> bytes:
    """A record as one line, without its end."""
    fields = {
        "scope": record.scope,
        "seller": record.seller_id,
        "sellers": record.seller_ids,
        "due_at": None if record.due_at is None else to_micros(record.due_at),
        "dies_at": None if record.dies_at is None else to_micros(record.dies_at),
        "generation": record.generation,
        "revision": record.revision,
        "body": b64encode(record.body).decode(),
    }
    return json.dumps(fields, separators=(",", ":")).encode()


def _record_of(line: bytes) -> Record | None:
    """The record of a line; ``None`` for a line that was torn, or is not one of ours."""
    try:
        fields = json.loads(line)
        return read_record(
            scope=fields["scope"],
            seller=fields["seller"],
            sellers=fields["sellers"],
            due_at=fields["due_at"],
            dies_at=fields["dies_at"],
            generation=fields["generation"],
            revision=fields["revision"],
            body=b64decode(fields["body"], validate=True),
        )
    except (ValueError, TypeError, KeyError, RecursionError, StoreError):
        return None
