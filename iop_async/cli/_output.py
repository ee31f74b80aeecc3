"""What commands print: words for a person, JSON for a program, and nothing that moves a cursor."""

from __future__ import annotations

import json
import re
from contextvars import ContextVar
from typing import Any, Final

import click
from click.exceptions import NoArgsIsHelpError
from rich.console import Console

from .._exceptions import ApiError, IopError, TokenError
from .._redact import legible

wanted_as_json: Final[ContextVar[bool]] = ContextVar("wanted_as_json", default=False)
"""Whether ``--json`` was given; set before anything is read, since reading it may fail."""

# In JSON they stand within strings alone, but for the line ends of an indentation.
_UNFIT: Final = re.compile(r"[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_IN_PYTHON: Final = re.compile(
    r"\b(?:[A-Z]\w+\((?:\.\.\., )?)?"
    r"(?P<name>[a-z]+(?:_[a-z]+)*)=(?:True\b|'(?P<text>[^']*)'|(?P<any>\.\.\.))\)?"
)


def wants_json() -> bool:
    """Whether a program reads what is printed."""
    return wanted_as_json.get()


def json_text(value: Any, *, indent: int | None = None) -> str:
    """JSON that a terminal shows as it is: what is fit for no eye is escaped in it."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return text if text.isprintable() else _UNFIT.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def print_json(value: Any) -> None:
    """Print a document on standard output."""
    click.echo(json_text(value, indent=2))


def say(text: str) -> None:
    """Print a line for a person on standard output."""
    click.echo(fit_for_terminals(text))


def note(text: str) -> None:
    """Print a line for a person on standard error; a program is told nothing."""
    if not wants_json():
        click.echo(fit_for_terminals(text), err=True)


def warn(text: str) -> None:
    """Print a warning on standard error."""
    text = spoken(text)
    if wants_json():
        click.echo(json_text({"warning": legible(text)}), err=True)
    else:
        click.echo(f"warning: {fit_for_terminals(text)}", err=True)


def fit_for_terminals(text: str) -> str:
    """Words of strangers, line by line: secrets masked, control characters escaped."""
    return "\n".join(map(legible, text.split("\n")))


def console(*, stderr: bool = False) -> Console:
    """For tables and progress bars: no markup, no emoji, no guesses at what text means."""
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def print_error(error: click.ClickException) -> None:
    """Print what went wrong on standard error, as JSON where that is wanted."""
    if wants_json():
        click.echo(json_text({"error": error_document(error)}), err=True)
        return
    if isinstance(error, NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return
    context = getattr(error, "ctx", None)
    if isinstance(error, click.UsageError) and context is not None:
        click.echo(context.get_usage(), err=True)
        click.echo(f"Try '{context.command_path} --help' for help.\n", err=True)
    click.echo(f"Error: {fit_for_terminals(spoken(error.format_message()))}", err=True)
    if details := getattr(error, "details", ""):
        click.echo(fit_for_terminals(details), err=True)


def error_document(error: click.ClickException) -> dict[str, Any]:
    """An error as the value of ``error``; all of its fields are always there.

    ``kind`` is the name of the library's exception, ``UsageError`` for what was given wrongly, and
    ``Error`` for anything else.
    """
    cause = error.__cause__
    is_bare = isinstance(error, NoArgsIsHelpError)
    message = "there is no command: --help lists them" if is_bare else error.format_message()
    is_usage = isinstance(error, click.UsageError)
    is_ours = isinstance(cause, IopError)
    document: dict[str, Any] = {
        "kind": type(cause).__name__ if is_ours else "UsageError" if is_usage else "Error",
        "message": legible(spoken(message)),
        "details": getattr(error, "details", "") or None,
        "exit_status": error.exit_code,
        **dict.fromkeys(_FACTS),
    }
    if isinstance(cause, (ApiError, TokenError, IopError)):
        document |= {name: _plain(getattr(cause, name, None)) for name in _FACTS}
    return document


_FACTS: Final = (
    *("code", "sub_code", "request_id", "advice", "seller_id", "reason"),
    *("retryable", "retry_after", "may_have_been_applied"),
)


def _plain(value: Any) -> Any:
    return legible(value) if isinstance(value, str) else value


def spoken(text: str) -> str:
    """What a message of the library says to a programmer, said to a person at a shell."""
    return _IN_PYTHON.sub(_as_option, text)


def _as_option(found: re.Match[str]) -> str:
    value = found["text"] or ("URL" if found["any"] else "")
    return f"--{found['name'].replace('_', '-')} {value}".rstrip()
