"""Commands of one manner: ``--json``, one line for an error, an exit status."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Any, Final

import click

from .._exceptions import IopError
from .._scrub import scrub
from ._output import print_error, wanted_as_json, warn


class Failed(click.ClickException):
    """A command could not do what it was to; the error behind it is the cause.

    Args:
        message: what went wrong, in words.
        details: more lines for a person.
        exit_code: of the process.
    """

    def __init__(self, message: str, *, details: str = "", exit_code: int = 1) -> None:
        super().__init__(message)
        self.details = details
        self.exit_code = exit_code  # type: ignore[misc] # as click's own UsageError has another


class Command(click.Command):
    """A command that takes ``--json``, and whose errors are said in one line."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        option = ["--json"]
        words = "Print JSON, errors and warnings too (these on standard error, one a line)."
        self.params.append(click.Option(option, is_flag=True, expose_value=False, help=words))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            error.ctx = None  # what may be said is known; something else was missing
            raise
        except (IopError, ImportError, ValueError, TypeError, OSError) as error:
            if isinstance(error, OSError) and error.filename is None and error.errno == _EPIPE:
                raise
            scrub(error)
            raise Failed(_words(error)) from error


_EPIPE: Final = 32


def _words(error: Exception) -> str:
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    words = f"{error.strerror[:1].lower()}{error.strerror[1:]}"
    return words if error.filename is None else f"{error.filename}: {words}"


class Group(click.Group):
    """Commands, and groups of them."""

    command_class = Command
    group_class = type


class Root(Group):
    """All commands."""

    def main(  # type: ignore[override] # it is overloaded there
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        *,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command, and exit; or raise, where it does not stand alone."""
        given = list(sys.argv[1:] if args is None else args)
        own = given[: given.index("--")] if "--" in given else given
        before = wanted_as_json.set("--json" in own)
        handler = _Warnings(logging.WARNING)
        logger = logging.getLogger("iop_async")
        logger.addHandler(handler)
        try:
            status = super().main(given, prog_name, standalone_mode=False, **extra)
        except (click.Abort, click.ClickException) as error:
            if not standalone_mode:
                raise
            status = _tell(error)
        finally:
            logger.removeHandler(handler)
            wanted_as_json.reset(before)
        if standalone_mode:
            sys.exit(status if isinstance(status, int) else 0)
        return status


def _tell(error: click.Abort | click.ClickException) -> int:
    if isinstance(error, click.ClickException):
        print_error(error)
        return error.exit_code
    is_interrupt = isinstance(error.__cause__, KeyboardInterrupt)
    print_error(Failed("interrupted" if is_interrupt else "aborted"))
    return 130 if is_interrupt else 1


class _Warnings(logging.Handler):
    """Says what the library logs as a warning."""

    def emit(self, record: logging.LogRecord) -> None:
        warn(record.getMessage())
