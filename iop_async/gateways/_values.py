"""A value is encoded once, to text; the same text is signed and sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import TypeAlias

DateForm: TypeAlias = Callable[[datetime], str]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def epoch_milliseconds(moment: datetime) -> str:
    """IOP's form of a time: milliseconds since 1970, UTC."""
    return str((moment - _EPOCH) // _MILLISECOND)


def text_params(params: Mapping[str, object], date_form: DateForm) -> dict[str, str]:
    """Business parameters as text, without those that are ``None`` or blank.

    ``bool`` becomes ``true``/``false``, ``int`` and ``Decimal`` their exact digits, ``datetime``
    the form of the dialect, ``list``, ``tuple`` and mappings compact JSON.

    Raises:
        TypeError: a ``float`` (its text is a matter of taste, so no signature can rely on it), or
            a type that has no text.
        ValueError: a naive ``datetime``, a number that is not finite, text that is no Unicode.
    """
    texts = {}
    for name, value in params.items():
        if type(name) is not str or not name.strip():
            msg = f"parameter name {name!r} is no text"
            raise TypeError(msg)
        if value is None:
            continue
        try:
            text = value if type(value) is str else _text(value, date_form)
            text.encode()
        except UnicodeEncodeError:
            msg = f"parameter {name!r} holds half a surrogate pair, which has no UTF-8 form"
            raise ValueError(msg) from None
        except RecursionError:
            msg = f"parameter {name!r} is nested too deeply"
            raise ValueError(msg) from None
        except (TypeError, ValueError) as error:
            raise type(error)(f"parameter {name!r} {error}") from None
        if text and not text.isspace():
            texts[name] = text
    return texts


def _text(value: object, date_form: DateForm) -> str:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple, Mapping)):
        return _json(value, date_form)
    return _scalar(value, date_form)


def _scalar(value: object, date_form: DateForm) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, Decimal):
        if not value.is_finite():
            msg = f"is {value}, which is no number that a gateway can read"
            raise ValueError(msg)
        return format(value, "f")
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            msg = "is a naive datetime; give it a time zone, such as datetime.now(UTC)"
            raise ValueError(msg)
        return date_form(value)
    if isinstance(value, float):
        msg = "is a float, whose text is ambiguous; pass a str or a decimal.Decimal"
        raise TypeError(msg)
    if isinstance(value, (bytes, bytearray, memoryview)):
        msg = "is bytes; pass text, or give a file in files="
        raise TypeError(msg)
    msg = f"is of type {type(value).__name__}; pass str, int, bool, Decimal, datetime, list or dict"
    raise TypeError(msg)


def _json(value: object, date_form: DateForm) -> str:
    if isinstance(value, Enum):
        value = value.value
    if value is None:
        return "null"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        members = []
        for name, member in value.items():
            if not isinstance(name, str):
                msg = f"has the key {name!r}; keys in JSON are text"
                raise TypeError(msg)
            members.append(f"{json.dumps(name, ensure_ascii=False)}:{_json(member, date_form)}")
        return f"{{{','.join(members)}}}"
    if isinstance(value, (list, tuple)):
        return f"[{','.join([_json(member, date_form) for member in value])}]"
    if isinstance(value, datetime):
        text = _scalar(value, date_form)
        return text if text.isdecimal() else json.dumps(text)
    return _scalar(value, date_form)
