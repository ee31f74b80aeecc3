"""Checks of what people give, with words that say what to give instead and repeat no secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final
from unicodedata import category

_API: Final = re.compile(r"(?:/(?:\w[\w.~-]*|\{\w+\}))+/?|\w+(?:\.\w+)+", re.ASCII)
_HEADER: Final = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
_HEADER_VALUE: Final = re.compile(r"[!-~]+(?:[ \t]+[!-~]+)*")

# RFC 9110: what belongs to the connection and the body; of the others the transport tells who
# calls, what it can read, and that no cookie is kept.
_OWNED_HEADERS: Final = frozenset(
    {
        *("accept-encoding", "authorization", "connection", "content-encoding", "content-length"),
        *("content-type", "cookie", "expect", "host", "keep-alive", "te", "top-api-separator"),
        *("trailer", "transfer-encoding", "upgrade", "user-agent"),
    }
)
_QUOTES: Final = "\"'`\u2018\u2019\u201c\u201d"

_SHOWN: Final = 60
"""Characters of a seller id that a message repeats."""


def require_aware(name: str, value: datetime | None) -> None:
    """Raises ``ValueError`` for a naive datetime: every time in this library is aware."""
    if value is not None and value.tzinfo is not UTC and value.utcoffset() is None:
        msg = f"{name} is a naive datetime; give it a time zone, such as datetime.now(UTC)"
        raise ValueError(msg)


def require_unicode(name: str, text: str) -> None:
    """Raises ``ValueError`` for text without a UTF-8 form: half a surrogate pair is in it."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            msg = f"{name} holds half a surrogate pair, which has no UTF-8 form"
            raise ValueError(msg) from None


def require_credential(name: str, value: object, hint: str) -> None:
    """Raises ``TypeError`` or ``ValueError`` for a key or secret that was copied badly.

    A line end of a file or a quote of a settings file would be signed and sent with it, and the
    gateway's answer to that names neither.
    """
    # as good ones are; this is done for each call
    if isinstance(value, str) and value.isascii() and value.encode().isalnum():
        return
    if value is not None and not isinstance(value, str):
        msg = f"{name} is of type {type(value).__name__}; give it as text"
        raise TypeError(msg)
    if value is None or not value.strip():
        msg = f"{name} is empty; {hint}"
        raise ValueError(msg)
    if value != value.strip() or not value.isprintable():
        msg = f"{name} has a space or line end around it, or an invisible character; {hint}"
        raise ValueError(msg)
    if value[0] in _QUOTES or value[-1] in _QUOTES:
        msg = f"{name} has a quote around it; {hint}"
        raise ValueError(msg)


def require_access_token(value: object) -> None:
    """Raises ``TypeError`` or ``ValueError`` for what is no access token, or a badly copied one."""
    hint = "leave it out, or authorize the seller first"
    require_credential("the access token", value, hint)


def require_seller_id(value: object, name: str = "seller_id") -> None:
    """Raises ``TypeError`` or ``ValueError`` for what can be nobody's seller id.

    A number from JSON or a database column would look like an id, and match none.
    """
    if type(value) is str and value.isalnum():  # as nearly all are; this is done for each call
        return
    if not isinstance(value, str):
        msg = f"{name} is of type {type(value).__name__}; {_instead_of(value)}"
        raise TypeError(msg)
    if not value.strip():
        msg = f"{name} is empty; give the id that the platform has for the seller"
        raise ValueError(msg)
    if value != value.strip():
        msg = f"{name} is {value[:_SHOWN]!r}, with white space around it; strip it"
        raise ValueError(msg)
    require_unicode(name, value)
    if any(category(character) == "Cc" for character in value):
        msg = f"{name} is {value[:_SHOWN]!r}, with a control character in it; no id has one"
        raise ValueError(msg)


def _instead_of(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18:
        return f"seller ids are text, so give {str(value)!r}"
    if isinstance(value, bytes | bytearray):
        return "seller ids are text, so decode it"
    if hasattr(value, "seller_id"):
        return "give its seller_id"
    return "give the id that the platform has for the seller, as text"


def require_seconds(name: str, value: Any) -> None:
    """Raises ``TypeError`` or ``ValueError`` for what is no time: more than 0, or ``None``."""
    if value is None:
        return
    if not isinstance(value, int | float) or isinstance(value, bool):
        msg = f"{name} is {value!r}; give seconds, or None for no limit"
        raise TypeError(msg)
    if not value > 0:
        msg = f"{name} is {value!r}; give more than 0 seconds, or None for no limit"
        raise ValueError(msg)


def require_count(name: str, value: Any) -> None:
    """Raises ``TypeError`` or ``ValueError`` for what is no whole number from 1 on."""
    if not isinstance(value, int) or isinstance(value, bool):
        msg = f"{name} is {value!r}; give a whole number from 1 on"
        raise TypeError(msg)
    if value < 1:
        msg = f"{name} is {value}; give a whole number from 1 on"
        raise ValueError(msg)


def api_name(value: Any) -> str:
    """The API that a caller names: a path, without the ``/rest`` of addresses, or a dotted name.

    Raises:
        TypeError, ValueError: it names none.
    """
    if not isinstance(value, str):
        msg = f"api is of type {type(value).__name__}; give a path like '/order/get'"
        raise TypeError(msg)
    return _api_name(value)


@lru_cache(maxsize=1_024)
def _api_name(value: str) -> str:
    if "://" in value:
        msg = "api is a URL; the gateway has the address, so give only a path like '/order/get'"
        raise ValueError(msg)
    if not _API.fullmatch(value):
        shown = value.partition("?")[0][:100]
        msg = f"{shown!r} is no API; give a path like '/order/get' or a name like 'a.b.get'"
        raise ValueError(msg)
    # observed: the platform's pages write `/rest/order/get` too; a public client strips it.
    return value.removeprefix("/rest") if value.startswith("/rest/") else value


def mapping(name: str, value: Any) -> Mapping[str, Any]:
    """A mapping of names to values; none of them where there is no value.

    Raises:
        TypeError: it is anything else.
    """
    if value is None:
        return {}
    if type(value) is not dict and not isinstance(value, Mapping):
        msg = f"{name} is of type {type(value).__name__}; give a mapping of names to values"
        raise TypeError(msg)
    return value


def http_headers(value: Any) -> dict[str, str]:
    """Extra headers of a call, their names in lower case.

    Raises:
        TypeError, ValueError: one that HTTP has no room for, or that is not the caller's to set.
    """
    headers: dict[str, str] = {}
    if value is None:
        return headers
    for name, text in mapping("headers", value).items():
        if not isinstance(name, str) or not isinstance(text, str):
            msg = f"header {name!r} is of type {type(text).__name__}; names and values are text"
            raise TypeError(msg)
        if not _HEADER.fullmatch(name) or not _HEADER_VALUE.fullmatch(text):
            msg = f"header {name[:80]!r} has a name or value that HTTP cannot carry"
            raise ValueError(msg)
        if name.lower() in _OWNED_HEADERS or name.lower().startswith("proxy-"):
            msg = f"the header {name} is set by the gateway or the transport; leave it out"
            raise ValueError(msg)
        headers[name.lower()] = text
    return headers
