"""TOP's batches: several queries in one body, several answers in one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from .._wire import HttpResponse
from ._forms import urlencode

CONTENT_TYPE: Final = "text/plain;charset=utf-8"

# DOC:104350: the separator, the line of shared parameters, and a call that has none of its own.
_SEPARATOR = "\r\n-S-\r\n"
_SHARED = "#PUBLIC#"
_NOTHING = "N"


def join(queries: Sequence[Mapping[str, str]]) -> str:
    """The body: what all queries share, then what each has of its own."""
    if not queries:
        msg = "a batch needs at least one call"
        raise ValueError(msg)
    shared = dict(set.intersection(*(set(query.items()) for query in queries)))
    own = [
        urlencode({name: value for name, value in query.items() if name not in shared})
        for query in queries
    ]
    head = [_SHARED + urlencode(dict(sorted(shared.items())))] if shared else []
    return _SEPARATOR.join([*head, *(query or _NOTHING for query in own)])


def split(response: HttpResponse, *, at_most: int) -> list[HttpResponse]:
    """The answers in a body, each as if it had come alone."""
    # A body of nothing but separators is cut no further than is looked at.
    parts = response.content.split(_SEPARATOR.encode(), at_most - 1)
    return [attrs.evolve(response, content=part) for part in parts]
