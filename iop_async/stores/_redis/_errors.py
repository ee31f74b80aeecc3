"""Errors of redis-py, of valkey-py and of the server become ours here, and nowhere else.

Their own words are left out, because some of them repeat the arguments of a command. Those of the
two libraries are told by their names, which are the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from attrs import frozen

from ..._exceptions import StoreError


class AstrayError(Exception):
    """A connection leads to another server than the Sentinels name, and nothing was sent."""


class NotReplicatedError(Exception):
    """A write was made, and the replicas that may take the server's place do not have it yet."""


class RecordTooLargeError(Exception):
    """A record is longer than the server takes."""


@frozen
class _Rule:
    words: str
    is_passing: bool = True
    is_lost: bool = False  # the command may have been done, and its answer lost
    is_astray: bool = False  # the connection leads to a server that is no master, or no more


_CREDENTIALS: Final = _Rule(
    "the server refuses the user name or password, so nothing was changed. Put the right ones into "
    "the URL or the client",
    is_passing=False,
)
_CLUSTER: Final = _Rule(
    "the server is part of a Redis Cluster, and the client is none for clusters: give the store a "
    "redis.asyncio.RedisCluster",
    is_passing=False,
)
_CLUSTER_DOWN: Final = _Rule(
    "the cluster does not serve these keys now, so nothing was changed. Look for masters that are "
    "down and slots that nobody serves"
)
_CONNECTION: Final = _Rule(
    "the connection failed; whether the last command was done is not known. Look whether the "
    "server runs and can be reached",
    is_lost=True,
)
_BUSY_CLIENT: Final = _Rule(
    "no connection was free, so nothing was changed. Allow the client, or the server, more of them"
)

_TOO_LARGE: Final = _Rule("the record is too large; it was not written", is_passing=False)

_NO_MASTER: Final = _Rule(
    "no Sentinel answers, or none knows a master of the service, so nothing was changed. Look "
    "whether they run and can be reached, and for the name of the service in the URL"
)

# by the word that an error of the server begins with
_CODES: Final[Mapping[str, _Rule]] = {
    "OOM": _Rule(
        "the server's memory is full (maxmemory), so nothing was written. Give it more, and the "
        "store works again"
    ),
    "READONLY": _Rule(
        "this server is a read-only replica, so nothing was changed. Connect to its master, or "
        "wait for the failover",
        is_astray=True,
    ),
    "LOADING": _Rule("the server is still reading its data from the disk; nothing was changed"),
    "MASTERDOWN": _Rule("this replica has lost its master; nothing was changed", is_astray=True),
    "MISCONF": _Rule(
        "the server cannot save its data, and so refuses writes. Look at its disk and its log"
    ),
    "NOREPLICAS": _Rule(
        "fewer replicas are connected than the server asks for (min-replicas-to-write), so nothing "
        "was changed"
    ),
    "BUSY": _Rule("a script of somebody keeps the server busy; nothing was changed"),
    "NOAUTH": _CREDENTIALS,
    "WRONGPASS": _CREDENTIALS,
    "NOPERM": _Rule(
        "this user may not do that. It needs the commands EVALSHA, EVAL and WAIT, those that "
        "scripts run on hashes and sorted sets, and the keys of the prefix",
        is_passing=False,
    ),
    "WRONGTYPE": _Rule(
        "keys of the store hold something else. Find out what wrote there, or choose another "
        "prefix",
        is_passing=False,
    ),
    "IOPLAYOUT": _Rule(
        "another release of iop-async keeps its data there in a way that this one does not know; "
        "nothing was changed. Install the release that wrote it, or a newer one",
        is_passing=False,
    ),
    "CLUSTERDOWN": _CLUSTER_DOWN,
    "TRYAGAIN": _CLUSTER_DOWN,
    "MOVED": _CLUSTER,
    "ASK": _CLUSTER,
    "CROSSSLOT": _Rule(
        "the keys of a scope are not on one node, although they share a hash tag: the proxy before "
        "the server does not know hash tags. Connect to the servers themselves",
        is_passing=False,
    ),
}

# where neither code nor class tells
_TEXTS: Final[Mapping[str, _Rule]] = {
    "max number of clients": _BUSY_CLIENT,
    "invalid bulk length": _TOO_LARGE,
    # of a command within a script: Redis 7.0, and others
    "user executing the script can't": _CODES["NOPERM"],
    "ACL failure in script": _CODES["NOPERM"],
    "unauthenticated": _CREDENTIALS,  # a command of so many parts is not even read to its end
}

_SILENT: Final = _Rule(
    "the server did not answer in time; whether the last command was done is not known. Look "
    "whether it hangs, or give the store a longer timeout",
    is_lost=True,
)
_ASTRAY: Final = _Rule(
    "the Sentinels disagree on who the master is, so nothing was changed. One takes over now",
    is_astray=True,
)
_NOT_REPLICATED: Final = _Rule(
    "what was written has not come to the replicas in time, so that the next master may not have "
    "it. Look whether they run and keep up, or whether one takes over now",
    is_lost=True,
)

# by the name of a class, of which an error has several
_CLASSES: Final[Mapping[str, _Rule]] = {
    "AstrayError": _ASTRAY,
    "NotReplicatedError": _NOT_REPLICATED,
    "RecordTooLargeError": _TOO_LARGE,
    "MasterNotFoundError": _NO_MASTER,
    "OutOfMemoryError": _CODES["OOM"],
    "ReadOnlyError": _CODES["READONLY"],
    "BusyLoadingError": _CODES["LOADING"],
    "NoPermissionError": _CODES["NOPERM"],
    "AuthenticationError": _CREDENTIALS,
    "AuthorizationError": _CREDENTIALS,
    "AuthenticationWrongNumberOfArgsError": _CREDENTIALS,
    "ClusterCrossSlotError": _CODES["CROSSSLOT"],
    "MasterDownError": _CODES["MASTERDOWN"],
    "TryAgainError": _CODES["TRYAGAIN"],
    "AskError": _CLUSTER,
    "ClusterError": _CLUSTER_DOWN,
    "RedisClusterException": _CLUSTER_DOWN,
    "ValkeyClusterException": _CLUSTER_DOWN,
    "MaxConnectionsError": _BUSY_CLIENT,
    "TimeoutError": _SILENT,
    "ConnectionError": _CONNECTION,
    "OSError": _CONNECTION,
}

_SCRIPT: Final = _Rule(
    "its keys do not fit together. Some were evicted, removed or changed by somebody else: restore "
    "them from a copy, and let no server evict keys that holds grants",
    is_passing=False,
)
_UNKNOWN: Final = _Rule("the server or its client failed")
_CODE: Final = re.compile(r"-?([A-Z]{2,})\b")


def is_of_no_script(exc: Exception) -> bool:
    """True where the server does not know a script by its SHA-1."""
    return "NoScriptError" in _names(exc)


def is_of_no_master(exc: Exception) -> bool:
    """True where no Sentinel tells who the master is."""
    return "MasterNotFoundError" in _names(exc)


def is_lost(exc: Exception) -> bool:
    """True where a command may have been done, or may be undone, although it failed."""
    return _rule_for(exc).is_lost


def is_astray(exc: Exception) -> bool:
    """True where a server refused a command that another connection may bring to the right one."""
    return _rule_for(exc).is_astray


def store_error(exc: Exception, name: str) -> StoreError:
    """A new error that holds nothing of ``exc``, in whose frames are the bodies of records."""
    rule = _rule_for(exc)
    return StoreError(f"{name}: {rule.words} ({_reason(exc)})", retryable=rule.is_passing)


def _names(exc: Exception) -> list[str]:
    return [kind.__name__ for kind in type(exc).__mro__]  # most specific first


def _rule_for(exc: Exception) -> _Rule:
    text = str(exc)
    for part, rule in _TEXTS.items():
        if part in text:
            return rule
    for name in _names(exc):
        if name in _CLASSES:
            return _CLASSES[name]
    # the error of a command in a script stands within another one on servers before Redis 7
    for code in _CODE.findall(text):
        if code in _CODES:
            return _CODES[code]
    return _SCRIPT if "user_script" in text else _UNKNOWN


def _reason(exc: Exception) -> str:
    inner: BaseException | None = exc
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror
        inner = inner.__cause__ or inner.__context__
    return type(exc).__name__
