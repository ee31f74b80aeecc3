"""Faults: rules that say which calls go wrong, how, and how often."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Final

from attrs import Factory, define, field, fields_dict

from ._parties import Subject
from ._refusals import Refusal

KINDS: Final[Mapping[str, bool]] = {
    "latency": True,
    "reset": True,
    "drop": True,
    "truncate": True,
    "control_characters": True,
    "empty": True,
    "patch": True,
    "html": False,
    "status": False,
    "ban": False,
    "limit": False,
    "error": False,
}
"""Every kind, and whether by default it comes after the gateway has done the work."""

_REFUSING = frozenset({"ban", "limit", "error"})
_EDITING = frozenset({"patch", "control_characters"})
_ENDLESS = frozenset({"ban", "limit"})
_numbers = count(1)


def _usual_times(fault: Fault) -> int | None:
    return None if fault.kind in _ENDLESS else 1


def _usual_after(fault: Fault) -> bool:
    return KINDS.get(fault.kind, True)


@define(kw_only=True)
class Fault:
    """A rule about what goes wrong.

    Args:
        kind: ``latency`` (``seconds`` of real time); ``reset`` (the connection dies within the
            answer); ``drop`` (it closes before the first byte); ``truncate``,
            ``control_characters`` (raw tabs and line ends in a JSON string, which breaks it);
            ``empty``; ``patch`` (members of the answer are replaced by ``fields``, those in
            ``remove`` are left out); ``html`` (a punish page); ``status``; ``ban`` (for
            ``seconds`` of the sandbox's time from now); ``limit`` (a ban for the rest of
            ``seconds`` once ``calls`` were made in them); ``error`` (``code``, ``message``,
            ``type``, ``sub_code``, ``sub_message``).
        api, app, seller: calls that it meets; all of them by default. The narrowest that is given
            says whose limit a ban is.
        times: how many calls it meets: one by default, ``None`` without end, which is the default
            of bans and limits.
        times_each: how many of one seller at most; any number by default.
        after: whether the gateway does the work before it goes wrong; see :data:`KINDS`.
        status, retry_after: of a ``status``.
    """

    kind: str
    api: str | None = None
    app: str | None = None
    seller: str | None = None
    times: int | None = field(default=Factory(_usual_times, takes_self=True))
    times_each: int | None = None
    after: bool = field(default=Factory(_usual_after, takes_self=True))
    seconds: float = 1.0
    calls: int = 1
    status: int = 503
    retry_after: int | None = None
    code: str = ""
    message: str | None = None
    type: str | None = None
    sub_code: str | None = None
    sub_message: str | None = None
    fields: Mapping[str, Any] = field(factory=dict)
    remove: tuple[str, ...] = field(default=(), converter=tuple)
    id: int = field(factory=lambda: next(_numbers), init=False)
    hits: int = field(default=0, init=False)
    _until: datetime | None = field(default=None, init=False)
    _counted: int = field(default=0, init=False)
    _met: Counter[str | None] = field(factory=Counter, init=False)

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
        """Whether it is an answer of the gateway itself, in the gateway's envelope."""
        return self.kind in _REFUSING

    @property
    def edits(self) -> bool:
        """Whether it changes what one answer says, and not how the exchange goes."""
        return self.kind in _EDITING

    @property
    def breaks(self) -> bool:
        """Whether it spoils a whole exchange, be it of one call or of a batch of them."""
        return not (self.refuses or self.edits or self.kind == "latency")

    def meets(self, subject: Subject) -> bool:
        """Whether a call is one of those that the rule is about."""
        return (
            self.times != 0
            and (self.times_each is None or self._met[subject.seller] < self.times_each)
            and self.api in (None, subject.api)
            and self.app in (None, subject.app)
            and self.seller in (None, subject.seller)
        )

    def strike(self, subject: Subject, now: datetime) -> bool:
        """Whether a call that it meets goes wrong. Counts the call."""
        if self.kind == "ban" and self._until is not None and now >= self._until:
            return False
        if self.kind == "limit" and not self._exceeded(now):
            return False
        self.hits += 1
        self._met[subject.seller] += 1
        if self.times is not None:
            self.times -= 1
        return True

    def start(self, now: datetime) -> None:
        """The rule holds from ``now`` on."""
        if self.kind == "ban":
            self._until = now + timedelta(seconds=self.seconds)

    def refusal(self, now: datetime) -> Refusal:
        """What the gateway says, for a kind that :attr:`refuses`."""
        is_ban = self.kind != "error"
        return Refusal(
            self.code or self._limit_code(),
            self.message,
            type=self.type,
            sub_code=self.sub_code,
            sub_message=self.sub_message,
            about="app" if is_ban and self.app is not None else "",
            seconds=self._left(now) if is_ban else None,
        )

    def _left(self, now: datetime) -> int:
        """Seconds that a ban goes on, the last one counted whole."""
        left = (self._until - now).total_seconds() if self._until else self.seconds
        return max(0, math.ceil(left))

    def _limit_code(self) -> str:
        if self.api is not None:
            return "ApiCallLimit"
        return "SellerCallLimit" if self.seller is not None else "AppCallLimit"

    def _exceeded(self, now: datetime) -> bool:
        if self._until is None or now >= self._until:
            self._until, self._counted = now + timedelta(seconds=self.seconds), 0
        self._counted += 1
        return self._counted > self.calls

    def show(self) -> dict[str, Any]:
        """The rule as JSON."""
        return {name: getattr(self, name) for name in fields_dict(Fault) if name[0] != "_"}


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

    def strike(self, subject: Subject, now: datetime) -> list[Fault]:
        """What happens to a call: latencies, and the first other rule that meets it."""
        struck: list[Fault] = []
        is_decided = False
        for fault in self.rules:
            is_latency = fault.kind == "latency"
            if (
                (is_latency or not is_decided)
                and fault.meets(subject)
                and fault.strike(subject, now)
            ):
                struck.append(fault)
                is_decided = is_decided or not is_latency
        return struck
