"""The rows of a file of JSON lines or CSV, one in memory at a time."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, Final, Literal, NoReturn, TypeAlias

from attrs import field, frozen

from .rows import BadRow, require_known

Format: TypeAlias = Literal["jsonl", "csv"]

FORMATS: Final[dict[str, Format]] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
}
"""By the end of a file's name."""

_LONGEST: Final = 2**20
"""Bytes of a line that are read at a time; no row is as long."""

_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")


class UnusableFile(ValueError):
    """Why no row of a file can be read."""


@frozen
class Row:
    """A row, readable or not.

    Attributes:
        line: the number of its first line; the first of a file is 1.
        text: as it stands in the file.
        fields: what it says; empty where it cannot be read.
        fault: why not.
    """

    line: int
    text: str = field(repr=False)
    fields: Mapping[str, Any] = field(factory=dict, repr=False)
    fault: str = ""


@frozen
class Table:
    """A file that was opened.

    Attributes:
        header: its first line, where that names the columns.
        rows: in their order, read as they are asked for.
    """

    header: str
    rows: Iterator[Row]


def open_table(file: BinaryIO, form: Format) -> Table:
    """The rows of a file.

    Raises:
        UnusableFile: none can be read.
    """
    lines = _lines(file)
    if form == "jsonl":
        return Table("", _json_rows(lines))
    return _csv_table(lines)


def write_text(file: BinaryIO, text: str) -> None:
    """Write what was read, byte for byte."""
    file.write(text.encode("utf-8", "surrogateescape"))


def _lines(file: BinaryIO) -> Iterator[tuple[int, str]]:
    """Pieces of the file that end with a line, or are as long as any may be; and their numbers."""
    read, number = file.readline, 1
    while piece := read(_LONGEST):
        if number == 1 and piece.startswith(_UTF16):
            raise UnusableFile("it is UTF-16, as spreadsheets write it; save it as UTF-8")
        encoding = "utf-8-sig" if number == 1 else "utf-8"
        yield number, piece.decode(encoding, "surrogateescape")
        number += piece.endswith(b"\n")


def _json_rows(lines: Iterator[tuple[int, str]]) -> Iterator[Row]:
    for number, text in lines:
        if text.strip():
            try:
                yield Row(number, text, _json_fields(text))
            except BadRow as fault:
                yield Row(number, text, fault=str(fault))


def _json_fields(text: str) -> dict[str, Any]:
    _require_utf8(text)
    try:
        fields = json.loads(text, parse_constant=_refuse, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        msg = f"it is no JSON: {error.msg} (character {error.pos + 1})"
        if len(text) >= _LONGEST - 1:
            msg = "the line is longer than a mebibyte"
        raise BadRow(msg) from None
    except (RecursionError, ValueError) as error:
        if isinstance(error, BadRow):
            raise
        raise BadRow("it is JSON that nests too deep, or has a number that is too long") from None
    if not isinstance(fields, dict):
        kind = "an array" if isinstance(fields, list) else "no object"
        msg = f"it is {kind}; give one object in each line, as jq -c '.[]' writes them"
        raise BadRow(msg)
    return fields


def _refuse(_: str) -> NoReturn:
    raise BadRow("it holds NaN or Infinity, which is no JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise BadRow("it has a name twice")
    return fields


def _require_utf8(text: str) -> None:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise BadRow("it is not UTF-8") from None


class _Records:
    """The records of a CSV file, each with its text."""

    def __init__(self, lines: Iterator[tuple[int, str]]) -> None:
        self._lines = lines
        self._read: list[tuple[int, str]] = []
        self._reader = csv.reader(self._recorded(), strict=True)

    def _recorded(self) -> Iterator[str]:
        for number, text in self._lines:
            self._read.append((number, text))
            yield text

    def take(self) -> tuple[int, str, list[str], str] | None:
        """Line, text, cells and what is wrong with the next; ``None`` at the end."""
        self._read.clear()
        cells: list[str] = []
        fault = ""
        try:
            cells = next(self._reader)
        except StopIteration:
            return None
        except csv.Error as error:
            fault = f"it is no CSV: {error}"
        text = "".join(text for _, text in self._read)
        return self._read[0][0], text, cells, fault


def _csv_table(lines: Iterator[tuple[int, str]]) -> Table:
    records = _Records(lines)
    first = records.take()
    if first is None:
        return Table("", iter(()))
    _, text, names, fault = first
    names = [name.strip().lower() for name in names]
    _require_header(names, text, fault)
    return Table(text, _csv_rows(records, names))


def _require_header(names: list[str], text: str, fault: str) -> None:
    # Its words are repeated only once they are known to be names, and not a row with secrets.
    if not fault and {"access_token", "refresh_token"} <= set(names):
        try:
            for name in names:
                require_known(name)
        except BadRow as error:
            raise UnusableFile(str(error)) from None
        if len(set(names)) < len(names) or "" in names:
            raise UnusableFile("the first line has a name twice, or a column without a name")
        return
    for separator, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if "access_token" in text.lower() and separator in text:
            msg = f"its columns are separated by {name}; save it with commas"
            raise UnusableFile(msg)
    if fault:
        raise UnusableFile("its first line is no CSV")
    raise UnusableFile("its first line must name the columns, access_token and refresh_token too")


def _csv_rows(records: _Records, names: list[str]) -> Iterator[Row]:
    while (record := records.take()) is not None:
        line, text, cells, fault = record
        if not fault and not cells:
            continue
        try:
            _require_utf8(text)
        except BadRow as error:
            fault = str(error)
        if not fault and len(cells) != len(names):
            fault = f"it has {len(cells)} columns, and the first line names {len(names)}"
        fields = {} if fault else dict(zip(names, cells, strict=True))
        yield Row(line, text, fields, fault)
