"""``iop-async tokens export``: what ``tokens import`` reads, for a move or a backup."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import click
from attrs import asdict, evolve

from ..._models import Seller, Token
from ..._scrub import scrubs_frames
from ...tokens import StoredGrant, seller_ids_of
from .._documents import iso
from .._group import Command, Failed
from .._options import takes
from .._output import json_text, note, print_json, wants_json
from .._progress import Bar
from .._running import run
from .._settings import Settings
from .files import FORMATS, Format
from .grants import READS, Reader, opened_reader

_COLUMNS: Final = (
    *("seller_id", "access_token", "refresh_token", "issued_at", "expires_at"),
    *("refresh_expires_at", "account", "account_id", "account_platform", "country"),
    *("sellers", "extra"),
)


@click.command(cls=Command)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), required=False)
@takes(*READS)
@click.option(
    "--format",
    "form",
    type=click.Choice(sorted(set(FORMATS.values()))),
    help="By the end of the file's name by default, else jsonl.",
)
@click.option("--reveal", is_flag=True, help="Print the tokens on standard output.")
@scrubs_frames
def export(settings: Settings, file: Path | None, form: Format | None, *, reveal: bool) -> None:
    """Export all tokens to FILE, in clear text.

    It is a new file, that nobody else may read.

    'tokens import' reads it without loss. What a grant is besides its token, failed refreshes say,
    is not in it. While a token manager runs elsewhere its pairs change: the file is old soon.
    """
    if file is None and not reveal:
        msg = "an export shows all tokens: give a FILE for it, or say --reveal to print them here"
        raise click.UsageError(msg)
    chosen: Format = form or FORMATS.get(file.suffix.lower() if file else "", "jsonl")

    async def write() -> tuple[str, int, str]:
        async with opened_reader(settings) as reader:
            with _opened(file) as out:
                count = await _write(reader, out, chosen)
            return reader.scope, count, reader.take_unreadable()

    scope, count, unreadable = run(write)
    if file is not None and wants_json():
        print_json({"scope": scope, "exported": count, "file": str(file), "format": chosen})
    note(f"{count} {'seller' if count == 1 else 'sellers'} of {scope} exported")
    if unreadable:
        msg = f"the export is not whole: {unreadable}"
        raise Failed(msg)


@contextmanager
def _opened(path: Path | None) -> Iterator[BinaryIO]:
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    # Never through what somebody else has put there.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
    except BaseException:
        path.unlink()  # half an export would pass for a whole one
        raise


async def _write(reader: Reader, out: BinaryIO, form: Format) -> int:
    write = _WRITERS[form](out)
    with Bar("exporting") as bar:
        async for kept in reader.all():
            write(row_of(kept.grant))
            bar.advance()
        return bar.done


def row_of(grant: StoredGrant) -> dict[str, Any]:
    """A grant as a row of an import, by which the same seller ids find it again."""
    token = _with_all_ids(grant)
    times = {name: iso(getattr(token, name)) for name in _COLUMNS if name.endswith("_at")}
    texts = {name: getattr(token, name) for name in _COLUMNS if name not in times}
    return {
        **texts,
        **times,
        "seller_id": grant.seller_id,
        "sellers": [asdict(seller) for seller in token.sellers],
        "extra": dict(token.extra),
    }


def _with_all_ids(grant: StoredGrant) -> Token:
    """A refreshed token may name less than the grant is found by."""
    token, found = grant.token, {seller.seller_id for seller in grant.token.sellers}
    if set(grant.seller_ids) <= set(seller_ids_of(token)):
        return token
    missing = [each for each in grant.seller_ids if each not in found]
    return evolve(token, sellers=(*token.sellers, *[Seller(seller_id=each) for each in missing]))


def _json_lines(out: BinaryIO) -> Callable[[dict[str, Any]], None]:
    def write(row: dict[str, Any]) -> None:
        given = {name: row[name] for name in _COLUMNS if row[name] not in (None, {}, [])}
        out.write(f"{json_text(given)}\n".encode())

    return write


def _csv_rows(out: BinaryIO) -> Callable[[dict[str, Any]], None]:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _COLUMNS)
    writer.writeheader()

    def write(row: dict[str, Any]) -> None:
        nested = {
            name: json.dumps(row[name]) if row[name] else None for name in ("sellers", "extra")
        }
        writer.writerow({**row, **nested})
        out.write(text.getvalue().encode())
        text.seek(0)
        text.truncate()

    out.write(text.getvalue().encode())
    text.seek(0)
    text.truncate()
    return write


_WRITERS: Final = {"jsonl": _json_lines, "csv": _csv_rows}
