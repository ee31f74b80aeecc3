"""Options in the URL of a store: found by their names, read, and never repeated."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, TypeAlias
from urllib.parse import unquote

Read: TypeAlias = Callable[[str], object]
"""Makes a value of the text of an option; raises ``ValueError``, in words of what it takes."""


class UnusableUrl(ValueError):
    """Why a URL names no store, in words that repeat nothing of it, which may hold a password."""


def take_options(url: str, known: Mapping[str, Read]) -> tuple[str, dict[str, Any]]:
    """The URL without the options that are ``known``, and those; the rest stays letter by letter.

    Raises:
        UnusableUrl: one of them is there twice, or says nothing that it may.
    """
    begin, mark, query = _split(url)
    found: dict[str, Any] = {}
    kept: list[str] = []
    for piece in query.split("&") if mark else ():
        name, _, value = piece.partition("=")
        if name not in known:
            kept.append(piece)
            continue
        if name in found:
            msg = f"the option {name} is there twice"
            raise UnusableUrl(msg)
        found[name] = _value(name, value, known[name])
    return (f"{begin}?{'&'.join(kept)}" if kept else begin), found


def _value(name: str, text: str, read: Read) -> object:
    takes = ""
    try:
        return read(unquote(text))
    except ValueError as error:
        takes = str(error)
    msg = f"the option {name} takes {takes}"
    raise UnusableUrl(msg)


def _split(url: str) -> tuple[str, str, str]:
    # what a password may hold, and nobody escaped, is no option: so begin behind the last @
    before, at, place = url.rpartition("@")
    place, mark, query = place.partition("?")
    return f"{before}{at}{place}", mark, query


def option_names(url: str) -> list[str]:
    """The names of the options in a URL."""
    _, _, query = _split(url)
    return [unquote(piece.partition("=")[0]) for piece in query.split("&") if piece]


class UnknownOption(UnusableUrl):
    """An option that nobody would read, and those that somebody does."""

    def __init__(self, name: str, known: Collection[str]) -> None:
        near = get_close_matches(name.lower().replace("-", "_"), sorted(known), n=1)
        hint = f"; perhaps {near[0]} is meant" if near else ""
        every = ", ".join(sorted(known)) or "none"
        super().__init__(f"an option is not known{hint}. The known ones are {every}")
        self._name = name
        self._known = known

    def among(self, others: Collection[str]) -> UnknownOption:
        """The same, where there are others besides."""
        return UnknownOption(self._name, {*self._known, *others})


def require_known(names: Iterable[str], known: Collection[str]) -> None:
    """Raises ``UnknownOption`` for the first that is none of those."""
    for name in names:
        if name not in known:
            raise UnknownOption(name, known)


def text(value: str) -> str:
    """An option that is text."""
    return value


def seconds(value: str) -> float:
    """An option that is a number of seconds."""
    words = "a positive number of seconds"
    try:
        number = float(value)
    except ValueError:
        raise ValueError(words) from None
    if not (math.isfinite(number) and number > 0):
        raise ValueError(words)
    return number


def count(value: str) -> int:
    """An option that counts something."""
    if not (value.isascii() and value.isdecimal() and 0 < int(value) < 1_000_000):
        msg = "a whole number from 1"
        raise ValueError(msg)
    return int(value)
