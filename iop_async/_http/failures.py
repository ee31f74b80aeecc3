"""Foreign exceptions become ours here, and nowhere else.

httpcore, httpx and the fork httpx2 name their errors alike, so one table by name serves all three,
and a client of any of them can be given to :class:`HttpxTransport` without importing the others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Final

from attrs import frozen

from .._exceptions import TransportError, TransportTimeout
from .messages import Outgoing
from .streams import UploadBroken

_LIBRARIES: Final = frozenset(
    {"anyio", "h11", "httpcore", "httpcore2", "httpx", "httpx2", "respx", "trio"}
)
_SYSTEM: Final = frozenset({"builtins", "socket", "ssl"})


class ExchangeFailure(Exception):
    """A failure of our own. Its kinds are named as httpx and httpcore name theirs."""


class PoolTimeout(ExchangeFailure):
    """No slot came free in time."""


class QueueFull(ExchangeFailure):
    """Too many wait already."""


class ConnectTimeout(ExchangeFailure):
    """No connection in time."""


class ConnectError(ExchangeFailure):
    """No connection."""


class WriteTimeout(ExchangeFailure):
    """A piece of the request was not taken in time."""


class LocalProtocolError(ExchangeFailure):
    """The request is none that can be sent."""


class RemoteProtocolError(ExchangeFailure):
    """The answer is none, or not all of one."""


@frozen
class _Rule:
    error: type[TransportError]
    words: str
    nothing_sent: bool = False


# A class is looked up before its bases, so the most specific row wins.
_RULES: Final[Mapping[str, _Rule]] = {
    "ConnectTimeout": _Rule(
        TransportTimeout, "no connection within {connect} s", nothing_sent=True
    ),
    "PoolTimeout": _Rule(
        TransportTimeout, "no connection came free within {pool} s", nothing_sent=True
    ),
    "WriteTimeout": _Rule(TransportTimeout, "the request could not be sent within {write} s"),
    "ReadTimeout": _Rule(TransportTimeout, "no answer, or no more of it, within {read} s"),
    "TimeoutException": _Rule(TransportTimeout, "took too long"),
    "TimeoutError": _Rule(TransportTimeout, "took too long"),
    "ConnectError": _Rule(TransportError, "no connection", nothing_sent=True),
    "ProxyError": _Rule(TransportError, "no way through the proxy", nothing_sent=True),
    "UnsupportedProtocol": _Rule(TransportError, "no way to that address", nothing_sent=True),
    "RemoteProtocolError": _Rule(TransportError, "the answer broke off or is no HTTP"),
    "LocalProtocolError": _Rule(TransportError, "the request is no HTTP"),
    "QueueFull": _Rule(TransportError, "not sent", nothing_sent=True),
    "UploadBroken": _Rule(TransportError, "the upload was broken off"),
    "RequestError": _Rule(TransportError, "the connection broke"),
    "NetworkError": _Rule(TransportError, "the connection broke"),
    "ProtocolError": _Rule(TransportError, "the connection broke"),
    "BrokenResourceError": _Rule(TransportError, "the connection broke"),
    "ClosedResourceError": _Rule(TransportError, "the connection was closed"),
    "EndOfStream": _Rule(TransportError, "the connection was closed"),
    "OSError": _Rule(TransportError, "the connection broke"),
}


def translate(
    exc: Exception, outgoing: Outgoing, timeouts: Mapping[str, float | None]
) -> TransportError | None:
    """The error to raise from ``exc``; ``None`` where it is a bug and no failure of a network.

    Args:
        timeouts: seconds by phase, for the message.
    """
    rule = _rule_for(exc)
    if rule is None:
        return None
    reason = _reason(exc)
    words = rule.words.format_map(timeouts)
    message = f"{outgoing.where}: {words}" + (f" ({reason})" if reason else "")
    # Only our own connections raise httpcore's errors; a client of the user's may use the proxy.
    is_ours = _library(exc) == "httpcore" or isinstance(exc, ConnectError | ConnectTimeout)
    if rule.words.startswith("no connection") and is_ours:
        setting = _unused_proxy(outgoing.base)
        if setting is not None:
            message += f"; {setting} of the environment is not used: say HttpxTransport(proxy=...)"
    # Transports of other libraries raise httpx's errors, and not always the right one:
    # httpx-aiohttp calls a server that hung up a ConnectTimeout.
    nothing_sent = rule.nothing_sent and _library(exc.__cause__) in _LIBRARIES | _SYSTEM
    error = rule.error(
        message,
        may_have_been_applied=outgoing.begun and not nothing_sent,
        content=outgoing.received,
    )
    error.connection_was_stale = (
        outgoing.on_kept_connection
        and outgoing.answer is None
        and not isinstance(error, TransportTimeout)
    )
    return error


def _unused_proxy(base: str) -> str | None:
    """The setting of the environment that names a proxy for ``https://host:port``, if one does."""
    from urllib.request import getproxies, proxy_bypass

    scheme, _, host = base.partition("://")
    found = getproxies()
    setting = next((name for name in (scheme, "all") if found.get(name)), None)
    return f"{setting}_proxy" if setting and not proxy_bypass(host) else None


def _library(exc: BaseException | None) -> str:
    return type(exc).__module__.partition(".")[0]


def _rule_for(exc: BaseException) -> _Rule | None:
    if isinstance(exc, BaseExceptionGroup):
        return next(filter(None, map(_rule_for, exc.exceptions)), None)
    if isinstance(exc, ExchangeFailure | UploadBroken):
        return _RULES[type(exc).__name__]
    for cls in type(exc).__mro__:
        if cls.__module__.partition(".")[0] in _LIBRARIES or cls in (OSError, TimeoutError):
            rule = _RULES.get(cls.__name__)
            if rule is not None:
                return rule
    return None


def _reason(exc: BaseException) -> str:
    """The words of the system, from the deepest error that has any."""
    reason = ""
    for error in _chain(exc):
        verify_message = getattr(error, "verify_message", "")  # of an ssl.SSLCertVerificationError
        if verify_message:
            return f"certificate verify failed: {verify_message}"
        if isinstance(error, OSError) and error.strerror:
            # asyncio puts words of its own in the place of the system's
            is_plain = type(error).__module__ == "builtins"
            reason = os.strerror(error.errno) if error.errno and is_plain else error.strerror
        elif type(error).__name__.endswith(("ProtocolError", "ProxyError")):
            reason = reason or _public_part(error)
        elif isinstance(error, UploadBroken | QueueFull):
            return str(error)
    return reason


def forget_frames(exc: BaseException) -> None:
    """Make an exception fit to be shown as a cause.

    The frames of an HTTP library hold the request and the answer in their locals, and tools that
    report errors print locals. Its words about a malformed answer quote that answer.
    """
    for error in _chain(exc):
        error.__traceback__ = None
        if type(error).__name__.endswith("ProtocolError"):
            error.args = (_public_part(error),)


def _public_part(error: BaseException) -> str:
    return str(error).partition(":")[0]


def _chain(exc: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting: list[BaseException | None] = [exc]
    while waiting:
        error = waiting.pop()
        if error is not None and id(error) not in seen:
            seen.add(id(error))
            yield error
            waiting += [error.__cause__, error.__context__]
            if isinstance(error, BaseExceptionGroup):
                waiting += error.exceptions
