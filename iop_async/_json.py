"""JSON from the other side, bounded in what it may become."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any, Final

MAX_VALUES: Final = 500_000
"""Commas, colons and opening brackets of an answer. Each may become an object of up to 90 bytes,
so an answer of 3 bytes a value would take 30 times its size."""

MAX_DEPTH: Final = 100
"""Lists and objects within each other; the platforms' own answers stay below two dozen."""


class JsonRefused(ValueError):
    """No JSON, or JSON beyond a bound; the words say which and quote nothing."""


def loads(
    content: bytes | str,
    *,
    strict: bool = False,
    decimal: bool = False,
    max_values: int = MAX_VALUES,
) -> Any:
    """The value of a JSON text, integers exact.

    Args:
        strict: refuse raw control characters within strings.
        decimal: read numbers with a point or exponent as ``Decimal`` and not as ``float``.

    Raises:
        JsonRefused: see there.
    """
    # Looked at before parsing, since objects that stand cannot be refused any more.
    if len(content) > max_values and _count(content, ",:[{") > max_values:
        msg = f"JSON of more than {max_values} values, the limit max_answer_values"
        raise JsonRefused(msg)
    try:
        value = _decode(content, strict=strict, decimal=decimal)
    except RecursionError:
        raise JsonRefused(_TOO_DEEP) from None
    # Their words and attributes hold the text; an exponent may be too large for a Decimal.
    except (ValueError, ArithmeticError):
        msg = "unreadable JSON"
        raise JsonRefused(msg) from None
    # What the parser takes, others do not: `repr`, `pickle` and `json.dumps` recurse on it.
    if _count(content, "[{") > MAX_DEPTH and _is_deep(value):
        raise JsonRefused(_TOO_DEEP)
    return value


def import_decoders() -> None:
    """Import what decodes, lest the first answer hold up its event loop."""
    _msgspec_decode(False)  # noqa: FBT003


def _decode(content: bytes | str, *, strict: bool, decimal: bool) -> Any:
    """The value as the standard library reads it, by msgspec where that reads it too.

    What msgspec accepts it reads alike; it refuses more: ``NaN``, ``1e400`` as a float, half a
    surrogate pair, raw control characters, encodings other than UTF-8.
    """
    if decode := _msgspec_decode(decimal):
        try:
            return decode(content)
        except Exception:  # noqa: BLE001, S110 - the standard library says what there is to say
            pass
    if isinstance(content, bytes):
        # What `detect_encoding` says of nearly every answer, in a fifth of its time.
        is_utf_8 = content[:1] == b"{" and content[1:2] != b"\0"
        encoding = "utf-8" if is_utf_8 else json.detect_encoding(content)
        content = content.decode(encoding, "surrogatepass")
    return _decoder(strict, decimal).decode(content)


@cache
def _msgspec_decode(decimal: bool) -> Callable[[bytes | str], Any] | None:  # noqa: FBT001
    try:
        from msgspec.json import Decoder

        return Decoder(float_hook=Decimal if decimal else None).decode
    # Before 0.18 it has no hook, and is not known to read all else alike.
    except (ImportError, TypeError):
        return None


@cache
def _decoder(strict: bool, decimal: bool) -> json.JSONDecoder:  # noqa: FBT001 -- of one caller
    number = Decimal if decimal else None
    return json.JSONDecoder(strict=strict, parse_float=number, parse_constant=number)


_TOO_DEEP: Final = f"JSON nested more than {MAX_DEPTH} deep"


def _count(content: bytes | str, marks: str) -> int:
    if isinstance(content, str):
        return sum(map(content.count, marks))
    return sum(map(content.count, marks.encode()))


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            member
            for container in level
            for member in (container.values() if type(container) is dict else container)
            if type(member) is dict or type(member) is list  # half the time of isinstance
        ]
        if not level:
            return False
    return True
