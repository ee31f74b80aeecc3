"""TOP's batches: several calls in one body, several answers in one.

The body is ``#PUBLIC#`` and what all calls share, then each call's own parameters, ``N`` where it
has none. Query and body are signed together. A batch that is refused as a whole is answered once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attrs import evolve

from .._answers import Answer
from .._refusals import Refusal
from .._wire import Incoming, pairs

MAX_CALLS: Final = 100
"""Calls in one batch. The platform publishes no limit; this one is the sandbox's."""

_SEPARATOR = b"\r\n-S-\r\n"
_SHARED = b"#PUBLIC#"
_NOTHING = b"N"
_TEXT: Final = b"text/plain;charset=UTF-8"


def check(request: Incoming) -> None:
    """Raises :class:`Refusal` where a body is no batch of a size that is taken."""
    count = len(_queries(request)[1])
    if count > MAX_CALLS:
        about = f"a batch holds {MAX_CALLS} calls at most, not {count}"
        raise Refusal("InvalidParameter", about=about)
    if not count:
        raise Refusal("InvalidParameter", about="the body holds no calls")


def split(request: Incoming) -> Sequence[Incoming]:
    """The calls, each as if it had come alone."""
    shared, queries = _queries(request)
    if len(queries) > MAX_CALLS:
        return ()
    common = request.params | pairs(shared)
    return [
        evolve(request, params=common | ({} if query == _NOTHING else pairs(query)), body=b"")
        for query in queries
    ]


def join(request: Incoming, answers: Sequence[Answer]) -> Answer:
    """The answers in the order of the calls, separated as those were."""
    body = _separator(request).join(answer.body for answer in answers)
    return Answer(body, content_type=_TEXT)


def _queries(request: Incoming) -> tuple[bytes, list[bytes]]:
    """What all calls share, and what each has of its own."""
    first, *rest = request.body.split(_separator(request))
    if first.startswith(_SHARED):
        return first.removeprefix(_SHARED), rest
    return b"", [first, *rest] if request.body else []


def _separator(request: Incoming) -> bytes:
    return request.header(b"top-api-separator") or _SEPARATOR
