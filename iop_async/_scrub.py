"""Tracebacks that show no secret to an error reporter which prints local variables."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import wraps
from types import FrameType, TracebackType
from typing import Any, Final, ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")

_PACKAGE: Final = __name__.partition(".")[0]
_SUSPENDABLE: Final = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


def scrubs_frames(function: Callable[P, T]) -> Callable[P, T]:
    """Decorates what is given secrets: what it raises has no locals from here on inwards.

    The frames stay, with their line numbers; those of this package's coroutines are left out.
    """
    if inspect.iscoroutinefunction(function):
        return cast("Callable[P, T]", _scrubs_coroutine(function))

    @wraps(function)
    def door(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            del args, kwargs
            scrub(error)
            raise

    return door


def _scrubs_coroutine(function: Callable[P, Any]) -> Callable[P, Any]:
    @wraps(function)
    async def door(*args: P.args, **kwargs: P.kwargs) -> Any:
        try:
            running = function(*args, **kwargs)
        finally:
            del args, kwargs
        try:
            return await running
        except Exception as error:
            scrub(error)
            raise

    return door


def scrubs_construction(cls: type[T]) -> type[T]:
    """Decorates a class: :func:`scrubs_frames` for what its construction raises."""
    cls.__init__ = scrubs_frames(cls.__init__)  # type: ignore[method-assign] # same signature
    return cls


def scrub(error: BaseException) -> None:
    """Clear the locals behind the frame that caught ``error``, and those of its causes."""
    for each in _chain(error):
        first = each.__traceback__
        if each is error and first is not None:
            first.tb_next = _scrubbed(first.tb_next)
        else:
            each.__traceback__ = _scrubbed(first)


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        if each.__suppress_context__:
            each.__context__ = None  # shown by nobody, and a UnicodeError holds the whole text
        yield each
        waiting += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions


def _scrubbed(traceback: TracebackType | None) -> TracebackType | None:
    kept: list[TracebackType] = []
    while traceback is not None:
        if _clear(traceback.tb_frame):
            kept.append(traceback)
        traceback = traceback.tb_next
    following: TracebackType | None = None
    for each in reversed(kept):
        each.tb_next = following
        following = each
    return following


def _clear(frame: FrameType) -> bool:
    """Clear a frame that has ended; ``False`` where it can only be left out."""
    if frame.f_code.co_flags & _SUSPENDABLE:
        # It may be suspended and not at its end: an error that came through a future was raised
        # in a task which may go on. Clearing it would close it (before Python 3.13).
        module: str = frame.f_globals.get("__name__", "")
        return module.partition(".")[0] != _PACKAGE
    with suppress(RuntimeError):  # it still runs
        frame.clear()
    return True
