"""TOP's batches: several calls in one body, several answers in one.

The body is ``#PUBLIC#`` and what all calls share, then each call's own parameters, ``N`` where it
has none. Query and body are signed together. A batch that is refused as a whole is answered once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attrs import evolve

from .._answers import Answer, Refusal
from .._wire import GatewayRequest, parse_query

# assumed: DOC:104350 gives no limit.
MAX_CALLS: Final = 100

# DOC:104350: the separator, the shared part, and the mark of a call without parameters.
_SEPARATOR = b"\r\n-S-\r\n"
_SHARED = b"#PUBLIC#"
_NOTHING = b"N"
_TEXT: Final = b"text/plain;charset=UTF-8"


def check(request: GatewayRequest) -> None:
    """Raises :class:`Refusal` where a body is no batch of a size that is taken."""
    count = len(_queries(request)[1])
    if count > MAX_CALLS:
        about = f"a batch holds {MAX_CALLS} calls at most, not {count}"
        raise Refusal("InvalidParameter", about=about)
    if not count:
        raise Refusal("InvalidParameter", about="the body holds no calls")


def split(request: GatewayRequest) -> Sequence[GatewayRequest]:
    """The calls, each as if it had come alone."""
    shared, queries = _queries(request)
    if len(queries) > MAX_CALLS:
        return ()
    common = request.params | parse_query(shared)
    return [
        evolve(request, params=common | ({} if query == _NOTHING else parse_query(query)), body=b"")
        for query in queries
    ]


def join(request: GatewayRequest, answers: Sequence[Answer]) -> Answer:
    """The answers in the order of the calls, separated as those were."""
    body = _separator(request).join(answer.body for answer in answers)
    return Answer(body, content_type=_TEXT)


def _queries(request: GatewayRequest) -> tuple[bytes, list[bytes]]:
    """The query that all calls share, and the query of each."""
    first, *rest = request.body.split(_separator(request))
    if first.startswith(_SHARED):
        return first.removeprefix(_SHARED), rest
    return b"", [first, *rest] if request.body else []


def _separator(request: GatewayRequest) -> bytes:
    return request.header(b"top-api-separator") or _SEPARATOR
