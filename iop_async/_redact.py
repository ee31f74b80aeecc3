"""Masking of secrets in text that people read and in what is pickled."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NoReturn, SupportsIndex

MASK: Final = "***"

# Named in DOC:108069 (`access_token`, `sign`), DOC:101617 (`session`) and OAuth; `session` is the
# same token under TOP's name. The others are spellings that SDKs and settings use.
_SECRET_NAMES: Final = frozenset(
    {
        *("access_token", "accessToken", "refresh_token", "refreshToken", "token", "sign"),
        *("session", "session_key", "sessionKey", "sessionkey", "secret", "password"),
        *("client_secret", "app_secret", "appSecret"),
    }
)

_KNOWN_BY: Final = 8
"""Characters by which a secret is found where it was cut short."""

_MAX_DEPTH: Final = 200
_LAYERS: Final = 3
"""Escapes within escapes that are looked through: JSON in JSON, in a URL."""

_NAMES: Final = ("token", "secret", "session", "sign", "code", "password", "5000", "62")
_NAMED: Final = re.compile(
    r"""(?ix)
    (?: (?: token | secret | password | (?<![a-z]) (?: sign | session (?:[_-]?key)? ) )
        [\\"'\s]*+ (?: (?P<prose> : \s++ ) | [:=>] ) (?P<quotes> [\\"'\s]*+ )
      | (?<![a-z_]) code [^\w]{1,8}+ (?= \d_ )
      # observed: how access and refresh tokens begin, of IOP and of TOP
      | (?<! \w ) (?= (?: 5000\d | 62\d\d ) \w{16} ) (?= \d*+ [a-z] )
    )
    (?P<value> [^\\"'\s&<>,;}\])]++ )
    """
)
_ESCAPES: Final = "\\%&\0"
_ESCAPE: Final = re.compile(
    r"""(?ix)
    (?<! \\ ) \\++ (?: u (?P<u> [0-9a-f]{4} ) | x (?P<x> [0-9a-f]{2} ) | (?= ["'/] ) )
    | % (?P<percent> [0-9a-f]{2} )
    | & (?: \#? \w{1,10} ) ;
    | \0++
    """
)


# Control characters of both sets but tab, directions of writing, Unicode's line ends, and halves of
# surrogate pairs: they move a terminal's cursor, break lines of a log, or make text read backwards.
_ILLEGIBLE: Final = re.compile(
    r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


class Secret(str):
    """Text whose ``repr`` is masked, so that containers and tracebacks do not show it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"'{MASK}'"


_NO_SECRETS: Final[frozenset[str]] = frozenset()


class NotPickled:
    """Refuses to be pickled or copied: a pickle is clear text."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: SupportsIndex, /) -> NoReturn:
        msg = f"{type(self).__name__} holds secrets and is not pickled or copied"
        raise TypeError(msg)


def is_secret(api: str, name: str) -> bool:
    """True for the name of a parameter that is a secret; ``code`` is one where a token is asked."""
    return name in _SECRET_NAMES or (name == "code" and "token" in api)


def secrets_in(api: str, params: Mapping[str, object], *more: str | None) -> frozenset[str]:
    """The secret values among the parameters of a call, and those given besides."""
    if not more and "code" not in params and _SECRET_NAMES.isdisjoint(params):
        return _NO_SECRETS
    named = [str(value) for name, value in params.items() if is_secret(api, name)]
    return frozenset([Secret(secret) for secret in (*named, *more) if secret])


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Mask the given secrets, and what stands after a name that announces one.

    A secret is found also where it is cut short or escaped (JSON, HTML, URL): the text is then
    given without those escapes. What is too short for a secret, or a word, stays. Takes time
    linear in the text.
    """
    secrets = [each for each in secrets if _is_long_enough(each)]
    plain = text = _mask(text, secrets)
    for _ in range(_LAYERS):
        before = plain
        if not any(map(before.__contains__, _ESCAPES)):  # ten times as fast as the pattern
            break
        plain = _ESCAPE.sub(_unescaped, before)
        if plain == before:
            break
        masked = _mask(plain, secrets)
        if masked != plain:
            plain = text = masked
    return text


def legible(text: str, secrets: Iterable[str] = ()) -> str:
    """Redacted, and with what is fit for no eye as its escape: for words that a stranger said."""
    return escape_controls(redact(text, secrets))


def escape_controls(text: str) -> str:
    """What moves a cursor, breaks a line or turns the direction of writing, as its escape."""
    return text if text.isprintable() else _ILLEGIBLE.sub(_escaped, text)


def redact_tree(value: Any, secrets: Iterable[str] = ()) -> Any:
    """A copy of decoded JSON with the secrets masked: by the names of fields, and in all text."""
    return _Tree(tuple(secrets)).copy(value, _MAX_DEPTH)


class _Tree:
    """Copies values; one that occurs twice stays one."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        self._secrets = secrets
        self._done: dict[int, Any] = {}

    def copy(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            return redact(value, self._secrets)
        if not isinstance(value, (Mapping, list, tuple)):
            return value
        if depth == 0:
            return MASK
        if id(value) not in self._done:
            self._done[id(value)] = self._container(value, depth - 1)
        return self._done[id(value)]

    def _container(self, value: Any, depth: int) -> Any:
        if not isinstance(value, Mapping):
            return type(value)([self.copy(member, depth) for member in value])
        return {
            name: MASK
            if name in _SECRET_NAMES and isinstance(member, str) and member
            else self.copy(member, depth)
            for name, member in value.items()
        }


def _is_long_enough(secret: str) -> bool:
    """False for what may be a word, which must not be masked wherever it occurs."""
    return len(secret) >= _KNOWN_BY or (len(secret) >= 6 and not _is_word(secret))


def _is_word(text: str) -> bool:
    return text.isalpha() and text.islower()


def _mask(text: str, secrets: Iterable[str]) -> str:
    for secret in sorted(secrets, key=len, reverse=True):
        text = _mask_known(text, secret)
    folded = text.lower()
    if any(name in folded for name in _NAMES):
        text = _NAMED.sub(_masked, text)
    return text


def _mask_known(text: str, secret: str) -> str:
    head = secret[:_KNOWN_BY]
    start = text.find(head)
    if start < 0:
        return text
    pieces, end = [], 0
    while start >= 0:
        pieces.append(text[end:start])
        end = start + len(head)
        while text[end : end + 1] == secret[end - start : end - start + 1] != "":
            end += 1
        start = text.find(head, end)
    return MASK.join([*pieces, text[end:]])


def _masked(found: re.Match[str]) -> str:
    value = found["value"]
    is_prose = found["prose"] and not found["quotes"]
    is_kept = value.isalpha() if is_prose else False
    if found["quotes"] is not None and (is_kept or not _is_long_enough(value)):
        return found[0]
    return found[0][: -len(value)] + MASK


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def _unescaped(found: re.Match[str]) -> str:
    """What an escape stands for, unless that is fit for no eye; nothing for a mere backslash."""
    digits = found["u"] or found["x"] or found["percent"]
    if digits:
        char = chr(int(digits, 16))
    elif found[0][0] == "&":
        from html import unescape

        char = unescape(found[0])
    else:
        return ""
    return char if char.isprintable() else found[0]
