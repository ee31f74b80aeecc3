"""``iop-async tokens import``: bring in what another system has kept."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import BinaryIO

import click

from ..._scrub import scrubs_frames
from ..._secret_sources import is_open_to_others
from .._group import Command
from .._options import takes
from .._output import print_json, say, wants_json, warn
from .._running import run
from .._settings import Settings
from .files import FORMATS, Format, open_table
from .import_work import Import, RejectedRows


@click.command("import", cls=Command)
@click.argument("file", type=click.File("rb", lazy=True))
@takes("store", "app_key", "gateway", "allow_http", "scope", "journal")
@click.option(
    "--format",
    "form",
    type=click.Choice(sorted(set(FORMATS.values()))),
    help="By the end of the file's name by default.",
)
@click.option("--replace/--no-replace", default=True, help="Whether a later pair replaces one.")
@click.option("--dry-run", is_flag=True, help="Judge every row, write nothing to the store.")
@click.option(
    "--rejected",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A new file for the rows that are not imported, readable for you alone.",
)
@scrubs_frames
def import_tokens(
    settings: Settings,
    file: BinaryIO,
    form: Format | None,
    rejected: Path | None,
    *,
    replace: bool,
    dry_run: bool,
) -> None:
    """Import the tokens in a file.

    FILE is JSON lines or CSV (- is standard input), one seller a row.

    A row is an answer of the platform with an issued_at, or has the columns seller_id,
    access_token, refresh_token, expires_at, refresh_expires_at. Times have a time zone, or are
    seconds or milliseconds since 1970. Other columns are kept as extra.

    A pair never replaces a later one, so the same file may be imported again. A bad row costs no
    other: it is told by its line, and the exit status is 1. The app's secret is not needed.
    """
    _warn_of_readers(file)
    table = open_table(file, form or _form_of(file))
    with RejectedRows(rejected, table.header) as rejects:
        work = Import(table, rejects, is_dry=dry_run)
        try:
            run(partial(work.run, settings, replace=replace))
        finally:
            work.say_what_was_not_told()
            if work.scope and wants_json():
                print_json(work.summary())
            elif work.scope:
                say(work.in_words())
    if work.counts["failed"]:
        sys.exit(1)


def _form_of(file: BinaryIO) -> Format:
    if file.fileno() == 0 and file.isatty():
        raise click.UsageError("standard input is a terminal; give a file, or a pipe")
    name = str(getattr(file, "name", ""))
    form = FORMATS.get(Path(name).suffix.lower())
    if form is None:
        forms = " or --format ".join(sorted(set(FORMATS.values())))
        msg = f"the file's name does not tell its format: say --format {forms}"
        raise click.UsageError(msg)
    return form


def _warn_of_readers(file: BinaryIO) -> None:
    if is_open_to_others(os.fstat(file.fileno())):
        warn("other users of this machine may read the file")
