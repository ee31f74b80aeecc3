"""Loggers whose lines stay one line each, whatever a stranger has put into what they tell."""

from __future__ import annotations

import logging
from typing import Final

from ._redact import escape_controls


class _OneLine(logging.Filter):
    """Escapes what breaks a line or moves a cursor, in ids say that a gateway gave."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(map(_fit, record.args))
        return True


_ONE_LINE: Final = _OneLine()


def _fit(value: object) -> object:
    if isinstance(value, (str, BaseException)):
        return escape_controls(str(value))
    return value


def own_logger(name: str) -> logging.Logger:
    """The logger of a part of this library."""
    found = logging.getLogger(name)
    found.addFilter(_ONE_LINE)  # once, however often it is asked for
    return found
