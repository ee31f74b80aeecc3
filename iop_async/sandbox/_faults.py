"""Faults: rules that say which calls go wrong, how, and for how long."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Final, TypeAlias

from attrs import Factory, define, field, fields_dict

from ._answers import Refusal
from ._parties import Subject

Body: TypeAlias = "str | bytes | Callable[[bytes], bytes]"

KINDS: Final[Mapping[str, bool]] = {
    "latency": True,
    "reset": True,
    "drop": True,
    "truncate": True,  # observed: TOP's JSON, and the next kind
    "control_characters": True,  # observed: raw tabs and line ends, which clients of TOP's repair
    "empty": True,
    "body": True,
    "headers": True,
    "patch": True,
    "html": False,  # observed: risk control, or an address that is not on the app's list
    "status": False,  # observed: 429, 500, 502, 504; assumed: the others
    "ban": False,
    "limit": False,
    "error": False,
}
"""Every kind, and its default of ``after``: the gateway does the work before it goes wrong."""

_REFUSING = frozenset({"ban", "limit", "error"})
_EDITING = frozenset({"patch", "control_characters"})
_ENDLESS = frozenset({"ban", "limit"})
_numbers = count(1)


def _default_times(fault: Fault) -> int | None:
    return None if fault.kind in _ENDLESS or fault.for_seconds is not None else 1


def _default_after(fault: Fault) -> bool:
    return KINDS.get(fault.kind, True)


def _default_status(fault: Fault) -> int:
    return 503 if fault.kind == "status" else 200


@define(kw_only=True)
class Fault:
    """A rule about calls that go wrong.

    Args:
        kind: ``latency`` (``seconds`` of real time; beyond the client's patience, a timeout);
            ``reset`` (the connection dies within the answer, before any of it unless ``after``);
            ``drop`` (it closes before the first byte); ``truncate``; ``control_characters`` (raw
            tabs and line ends in a JSON string, which breaks it); ``empty``; ``body`` (``body``
            instead of the answer: text, bytes, or a function of the answer's bytes); ``headers``
            (the answer, but for its ``headers``); ``patch`` (members of the answer are replaced
            by ``fields``, those in ``remove`` are left out; ``fields=sandbox.grant(other)`` gives
            another seller's pair); ``html`` (a punish page); ``status`` (an error page of
            ``status``); ``ban`` (for ``seconds`` from now); ``limit`` (a ban once ``calls`` were
            made within ``seconds``, for ``ban_seconds`` or the rest of those); ``error``
            (``code``, ``message``, ``type``, ``sub_code``, ``sub_message``).
        api, app, seller_id: calls that it applies to; all of them by default. The narrowest given
            says whose limit a ban is.
        times: number of calls that go wrong: one by default, ``None`` without end, which is the
            default of bans, limits and rules with ``for_seconds``.
        times_each: number of one seller's at most; any by default.
        for_seconds: time of the sandbox's clock, from now, that the rule holds; without end by
            default: until ``sandbox.faults.clear()``.
        after: the gateway does the work before it goes wrong; see :data:`KINDS`.
        status: of kinds that replace the answer: 503 of ``status``, 200 of others.
        headers: of any kind that answers: added or, by their names, replaced; ``None`` leaves one
            out, ``date`` as well.
        retry_after: text or number of a ``Retry-After`` among those.

    Example::

        fault = sandbox.fail("error", api="/orders/get", code="ServiceTimeout", times=2)
        await seller.call("/orders/get")  # the client tries again
        assert fault.hits == 2
    """

    kind: str
    api: str | None = None
    app: str | None = None
    seller_id: str | None = None
    for_seconds: float | None = None
    times: int | None = field(default=Factory(_default_times, takes_self=True))
    times_each: int | None = None
    after: bool = field(default=Factory(_default_after, takes_self=True))
    seconds: float = 1.0
    calls: int = 1
    ban_seconds: float | None = None
    status: int = field(default=Factory(_default_status, takes_self=True))
    retry_after: str | float | None = None
    headers: Mapping[str, str | None] = field(factory=dict)
    body: Body = b""
    code: str = ""
    message: str | None = None
    type: str | None = None
    sub_code: str | None = None
    sub_message: str | None = None
    fields: Mapping[str, Any] = field(factory=dict)
    remove: tuple[str, ...] = field(default=(), converter=tuple)
    id: int = field(factory=lambda: next(_numbers), init=False)
    hits: int = field(default=0, init=False)
    _ends_at: datetime | None = field(default=None, init=False)
    _window_ends_at: datetime | None = field(default=None, init=False)
    _counted: int = field(default=0, init=False)
    _hits_by_seller: Counter[str | None] = field(factory=Counter, init=False)

    def __attrs_post_init__(self) -> None:
        if self.kind not in KINDS:
            msg = f"no fault {self.kind!r}; there are {', '.join(KINDS)}"
            raise ValueError(msg)
        if self.kind == "error" and not self.code:
            msg = "an error needs a code, such as ServiceTimeout"
            raise ValueError(msg)
        if not 200 <= self.status <= 599:
            msg = f"no status {self.status}"
            raise ValueError(msg)

    @property
    def refuses(self) -> bool:
        """True for an answer of the gateway itself, in the gateway's envelope."""
        return self.kind in _REFUSING

    @property
    def edits(self) -> bool:
        """True for a change of the members of one answer; the exchange goes well."""
        return self.kind in _EDITING

    @property
    def breaks(self) -> bool:
        """True for a failure of a whole exchange, be it of one call or of a batch of them."""
        return not (self.refuses or self.edits or self.kind == "latency")

    def all_headers(self) -> dict[str, str | None]:
        """The headers that it sets or, with ``None``, leaves out; names in lower case."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        return (
            headers
            if self.retry_after is None
            else {"retry-after": str(self.retry_after), **headers}
        )

    def applies_to(self, subject: Subject) -> bool:
        """True for a call that the rule is about."""
        return (
            self.times != 0
            and (
                self.times_each is None or self._hits_by_seller[subject.seller_id] < self.times_each
            )
            and self.api in (None, subject.api)
            and self.app in (None, subject.app)
            and self.seller_id in (None, subject.seller_id)
        )

    def trigger(self, subject: Subject, now: datetime) -> bool:
        """True for a call that goes wrong, of those that the rule applies to. Counts the call."""
        if self._ends_at is not None and now >= self._ends_at:
            return False
        if self.kind == "limit" and not self._exceeded(now):
            return False
        self.hits += 1
        self._hits_by_seller[subject.seller_id] += 1
        if self.times is not None:
            self.times -= 1
        return True

    def start(self, now: datetime) -> None:
        """Let the rule hold from ``now`` on."""
        seconds = self.seconds if self.kind == "ban" else self.for_seconds
        if seconds is not None:
            self._ends_at = now + timedelta(seconds=seconds)

    def refusal(self, now: datetime) -> Refusal:
        """The refusal, for a kind that :attr:`refuses`."""
        is_ban = self.kind != "error"
        return Refusal(
            self.code or self._limit_code(),
            self.message,
            type=self.type,
            sub_code=self.sub_code,
            sub_message=self.sub_message,
            about="app" if is_ban and self.app is not None else "",
            seconds=self._seconds_left(now) if is_ban else None,
        )

    def _seconds_left(self, now: datetime) -> int:
        """Seconds that a ban goes on, the last one counted whole."""
        # observed: whole seconds, 0 among them.
        until = self._ends_at if self.kind == "ban" else self._window_ends_at
        return max(0, math.ceil((until - now).total_seconds() if until else self.seconds))

    def _limit_code(self) -> str:
        # observed: the three names; that each is of whom it names, clients and pages say.
        if self.api is not None:
            return "ApiCallLimit"
        return "SellerCallLimit" if self.seller_id is not None else "AppCallLimit"

    def _exceeded(self, now: datetime) -> bool:
        if self._window_ends_at is None or now >= self._window_ends_at:
            self._window_ends_at, self._counted = now + timedelta(seconds=self.seconds), 0
        self._counted += 1
        if self._counted == self.calls + 1 and self.ban_seconds is not None:
            self._window_ends_at = now + timedelta(seconds=self.ban_seconds)
        return self._counted > self.calls

    def show(self) -> dict[str, Any]:
        """The rule as JSON."""
        shown = {name: getattr(self, name) for name in fields_dict(Fault) if name[0] != "_"}
        if isinstance(self.body, bytes):
            return shown | {"body": self.body.decode("utf-8", "replace")}
        return shown | {"body": self.body if isinstance(self.body, str) else "a function"}


def parse_fault(members: Mapping[str, Any]) -> Fault:
    """A rule from JSON, or from a form where everything is text. Raises ``ValueError``."""
    if unknown := members.keys() - _READ.keys():
        msg = f"a fault has no {', '.join(sorted(unknown))}; it has {', '.join(sorted(_READ))}"
        raise ValueError(msg)
    try:
        return Fault(**{name: _READ[name](value) for name, value in members.items()})
    except TypeError as error:
        msg = f"no fault: {error}"
        raise ValueError(msg) from None


def _flag(value: object) -> bool:
    return str(value).lower() in ("true", "1", "on", "yes")


def _times(value: Any) -> int | None:
    return None if value is None or value == "forever" else int(value)


def _optional(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else read(value)


def _body(value: Any) -> Any:
    if callable(value) or isinstance(value, (str, bytes)):
        return value
    msg = f"a body is text, bytes or a function of bytes, not {type(value).__name__}"
    raise TypeError(msg)


_READ: Final[Mapping[str, Callable[[Any], Any]]] = {
    "kind": str,
    "api": _optional(str),
    "app": _optional(str),
    "seller_id": _optional(str),
    "for_seconds": _optional(float),
    "times": _times,
    "times_each": _optional(int),
    "after": _flag,
    "seconds": float,
    "calls": int,
    "ban_seconds": _optional(float),
    "status": int,
    "retry_after": _optional(str),
    "headers": dict,
    "body": _body,
    "code": str,
    "message": _optional(str),
    "type": _optional(str),
    "sub_code": _optional(str),
    "sub_message": _optional(str),
    "fields": dict,
    "remove": tuple,
}


@define
class Faults:
    """The rules in force, in the order in which they were added."""

    rules: list[Fault] = field(factory=list)

    def add(self, fault: Fault, now: datetime) -> Fault:
        """Put a rule in force."""
        fault.start(now)
        self.rules.append(fault)
        return fault

    def clear(self) -> None:
        """Let everything go well again."""
        self.rules.clear()

    def trigger(self, subject: Subject, now: datetime) -> list[Fault]:
        """The faults of a call: latencies, and the first other rule that applies to it."""
        triggered: list[Fault] = []
        is_decided = False
        for fault in self.rules:
            is_latency = fault.kind == "latency"
            if (
                (is_latency or not is_decided)
                and fault.applies_to(subject)
                and fault.trigger(subject, now)
            ):
                triggered.append(fault)
                is_decided = is_decided or not is_latency
        return triggered
