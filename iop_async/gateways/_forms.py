"""Parameters on their way: a value is encoded once, to text; the same text is signed and sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Final, TypeAlias
from urllib.parse import quote_plus

from .._inputs import require_unicode
from .._models import Call
from .._wire import File, FileContent, HttpRequest

DateForm: TypeAlias = Callable[[datetime], str]

_MAX_ZEROS: Final = 1_000
"""A ``Decimal`` of ten characters may stand for a number of a billion digits."""


# observed: a client's long query got HTTP 414 as HTML; where it begins is assumed.
MAX_QUERY: Final = 2_000
"""Longest query sent with GET; a gateway answers 414 somewhere above it."""

_FORM = {"content-type": "application/x-www-form-urlencoded;charset=utf-8"}
_NONE: Final[Mapping[str, str]] = {}
# A backslash escapes what follows it in a quoted string (RFC 9110, 5.6.4), to some readers.
_unclear = re.compile(r'["\\\r\n]|%22|%0[AD]', re.IGNORECASE).search
_QUOTED: Final = [quote_plus(bytes([byte])) for byte in range(256)]
_SAFE: Final = bytes(byte for byte in range(256) if _QUOTED[byte] == chr(byte))
_MUCH: Final = 200
_JSON_MARKS: Final = [(mark.encode(), quote_plus(mark).encode()) for mark in '%+ ",:[]{}']
_UNSAFE: Final = re.compile(rb"[^\w.~+%-]+")


def _quote(text: str) -> str:
    """As :func:`urllib.parse.quote_plus`, at a tenth of its cost for much JSON."""
    content = text.encode()
    if not content.rstrip(_SAFE):
        return text
    if len(content) < _MUCH:
        return "".join([_QUOTED[byte] for byte in content])
    for mark, code in _JSON_MARKS:
        content = content.replace(mark, code)
    return _UNSAFE.sub(_percent, content).decode()


def _percent(found: re.Match[bytes]) -> bytes:
    return b"%" + found[0].hex("%").upper().encode()


@lru_cache(maxsize=1_024)
def _form_of(names: Sequence[str]) -> str:
    """What a form with these names looks like, a ``%s`` for each value."""
    return "&".join([f"{_quote(name).replace('%', '%%')}=%s" for name in names])


def urlencode(params: Mapping[str, str]) -> str:
    """As :func:`urllib.parse.urlencode`; names come again, and most values are safe as they are."""
    values = [value if value.encode().isalnum() else _quote(value) for value in params.values()]
    return _form_of(tuple(params)) % tuple(values)


def require_disjoint(system: Mapping[str, str], params: Mapping[str, str]) -> None:
    """Raises ``ValueError`` where a caller sets what the dialect sets itself."""
    if "sign" in params or not params.keys().isdisjoint(system):
        taken = (system.keys() | {"sign"}) & params.keys()
        msg = f"the gateway sets {', '.join(sorted(taken))} itself; leave it out of params"
        raise ValueError(msg)


def multipart(
    params: Mapping[str, str], files: Mapping[str, File], boundary: str
) -> tuple[FileContent, ...]:
    """The pieces of a ``multipart/form-data`` body, files unread.

    Raises:
        ValueError: a name that such a body cannot hold, or that a reader would take for another.
    """
    for name in (*params, *files):
        if _unclear(name):
            msg = (
                f"{name!r} cannot name a part of an upload: it has a quote, a backslash, a line "
                "end or its code"
            )
            raise ValueError(msg)
    pieces: list[FileContent] = []
    # 108068: the bytes of files are left out of the signature.
    text = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in params.items()
    ]
    for name, file in files.items():
        text.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; '
            f'filename="{_quoted(file.filename)}"\r\n'
            f"Content-Type: {_quoted(file.content_type)}\r\n\r\n"
        )
        pieces += ["".join(text).encode(), file.content]
        text = ["\r\n"]
    return (*pieces, f"{''.join(text)}--{boundary}--\r\n".encode())


def _quoted(text: str) -> str:
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def request(
    url: str,
    call: Call,
    headers: Mapping[str, str],
    *,
    query: Mapping[str, str],
    body: Mapping[str, str],
    boundary: str,
) -> HttpRequest:
    """Put signed parameters on the wire: ``query`` in the URL, ``body`` where the method has it.

    A call with files is a multipart POST. One whose query would grow beyond :data:`MAX_QUERY` is
    a POST with a form. ``boundary`` is text that no part holds; a signature is. ``headers`` are the
    gateway's; those of the call count more.
    """
    url = f"{url}?{urlencode(query)}" if query else url
    extra = {**headers, **call.headers} if headers or call.headers else _NONE
    # observed: any file makes the official SDKs post multipart, whatever method was asked.
    if call.files:
        content_type = f"multipart/form-data; boundary={boundary}"
        pieces = multipart(body, call.files, boundary)
        return HttpRequest("POST", url, {**extra, "content-type": content_type}, pieces)
    form = urlencode(body)
    if call.http_method == "GET" and len(form) <= MAX_QUERY:
        url = f"{url}{'&' if query else '?'}{form}" if form else url
        return HttpRequest("GET", url, extra)
    return HttpRequest("POST", url, {**extra, **_FORM} if extra else _FORM, form.encode())


class _Misfit(Exception):
    """A value without one text.

    Attributes:
        place: where it stands within its parameter, ``.Skus[0].price`` say.
    """

    def __init__(self, error: type[Exception], words: str) -> None:
        super().__init__(words)
        self.error = error
        self.place = ""

    def within(self, step: str) -> _Misfit:
        self.place = step + self.place
        return self


def text_params(params: Mapping[str, object], date_form: DateForm) -> dict[str, str]:
    """Business parameters as text, without those that are ``None`` or blank.

    ``bool`` becomes ``true``/``false``, ``int`` and ``Decimal`` their exact digits, ``datetime``
    the form of the gateway, ``list``, ``tuple`` and mappings compact JSON.

    Raises:
        TypeError: a ``float`` (its text is a matter of taste, so no signature can rely on it), or
            a type that has no text. The message names the place, ``payload.Skus[0].price``.
        ValueError: a naive ``datetime``, a number that is not finite, text that is no Unicode.
    """
    texts = {}
    for name, value in params.items():
        if type(name) is not str or not name.strip():
            msg = f"parameter name {name!r} is no text"
            raise TypeError(msg)
        if not name.isascii():
            require_unicode(f"parameter name {name!r}", name)
        # observed: the official Python SDK signs a None that it does not send, and no signature
        # fits; the Java SDK drops it.
        if value is None:
            continue
        try:
            if type(value) is str and value.isascii():
                text: str = value
            else:
                text = _text(value, date_form)
        except RecursionError:
            msg = f"parameter {name!r} is nested too deeply"
            raise ValueError(msg) from None
        except _Misfit as misfit:
            msg = f"parameter '{repr(name)[1:-1]}{misfit.place}' {misfit}"
            raise misfit.error(msg) from None
        # assumed: a blank value is left out, since no page tells if the gateway signs one; the Java
        # SDK drops it too.
        if text and not text.isspace():
            texts[name] = text
    return texts


def _text(value: object, date_form: DateForm) -> str:
    # observed: Lazada takes a list of ids as `[1,2]`; public clients send JSON everywhere else.
    if isinstance(value, (list, tuple, dict)):
        return _json(value, date_form)
    if type(value) is int:
        return _integer(value)
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, str):
        return _unicode(value)
    if isinstance(value, (list, tuple, Mapping)):
        return _json(value, date_form)
    return _scalar(value, date_form)


def _unicode(text: str) -> str:
    try:
        require_unicode("", text)
    except ValueError as error:
        raise _Misfit(ValueError, str(error).strip()) from None
    return text


def _scalar(value: object, date_form: DateForm) -> str:
    if isinstance(value, bool):  # observed: lower case, as the Java SDK writes it
        return "true" if value else "false"
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, Decimal):
        return _decimal(value)
    if isinstance(value, datetime):
        try:
            return date_form(value)
        except ValueError as error:
            raise _Misfit(ValueError, f"is {error}") from None
    raise _Misfit(TypeError, _why_no_text(value))


def _integer(value: int) -> str:
    try:
        return int.__repr__(value)
    except ValueError:  # sys.set_int_max_str_digits
        raise _Misfit(ValueError, "has more digits than Python turns into text") from None


def _decimal(value: Decimal) -> str:
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        raise _Misfit(ValueError, f"is {value}, which is no number that a gateway can read")
    if abs(exponent) > _MAX_ZEROS:
        raise _Misfit(ValueError, f"is {value}, which has more than {_MAX_ZEROS} zeros")
    return format(value, "f")


def _why_no_text(value: object) -> str:
    if isinstance(value, float):
        return (
            "is a float, whose text is ambiguous; pass a str or a decimal.Decimal (which a gateway "
            "with decimal=True reads)"
        )
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "is bytes; pass text, or give a file in files="
    if isinstance(value, date):
        return "is a date, which each API writes in a way of its own; pass its text"
    return (
        f"is of type {type(value).__name__}; pass str, int, bool, Decimal, datetime, list or dict"
    )


def _json(value: object, date_form: DateForm) -> str:
    if type(value) is str and value.isascii():
        return encode_basestring(value)
    if isinstance(value, Enum):
        value = value.value
    if value is None:
        return "null"
    if isinstance(value, str):
        return encode_basestring(_unicode(value))
    if isinstance(value, (list, tuple)):
        return f"[{','.join(_elements(value, date_form))}]"
    if type(value) is dict or isinstance(value, Mapping):
        return f"{{{','.join([_member(*item, date_form) for item in value.items()])}}}"
    text = _scalar(value, date_form)
    is_text = isinstance(value, datetime) and not text.isdecimal()
    return encode_basestring(text) if is_text else text


def _member(name: object, value: object, date_form: DateForm) -> str:
    if not isinstance(name, str):
        raise _Misfit(TypeError, f"has the key {name!r}; keys in JSON are text")
    try:
        return f"{encode_basestring(_unicode(name))}:{_json(value, date_form)}"
    except _Misfit as misfit:
        raise misfit.within(f".{name}" if name.isidentifier() else f"[{name[:40]!r}]") from None


def _elements(values: list[object] | tuple[object, ...], date_form: DateForm) -> list[str]:
    texts: list[str] = []
    try:
        for value in values:
            texts.append(_json(value, date_form))  # noqa: PERF401 - its length is the place
    except _Misfit as misfit:
        raise misfit.within(f"[{len(texts)}]") from None
    return texts
