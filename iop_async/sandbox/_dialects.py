"""Dialects: how an endpoint names an API, what it checks, and how it wraps an answer.

A dialect is a value of three functions; adding one is one value and one line in :data:`DIALECTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeAlias

from attrs import frozen

from ..gateways._answers import STRING_TO_SIGN_HEADER
from ._answers import Answer, Ids, json_answer
from ._parties import SandboxApp
from ._refusals import Refusal, missing
from ._signature import admit, header_value
from ._wire import Incoming

Outcome: TypeAlias = "Mapping[str, Any] | Refusal"


@frozen
class Address:
    """Which API a request names.

    Attributes:
        api: a path or a dotted name; empty where the request names none.
        prefix: what is signed before the parameters; ``None`` where no signature can be right.
        simplify: whether the answer comes without its wrapper.
    """

    api: str
    prefix: str | None = ""
    simplify: bool = False


@frozen
class Dialect:
    """One family of endpoints.

    Args:
        address: the API that a request names.
        admit: the app that signed a request, at a date; raises :class:`Refusal`.
        render: the answer to a call that went well, or was refused.
    """

    address: Callable[[Incoming], Address]
    admit: Callable[[Mapping[str, SandboxApp], Incoming, Address, datetime], SandboxApp]
    render: Callable[[Address, Outcome, Ids], Answer]


def _rest_address(request: Incoming) -> Address:
    path = request.path.removeprefix("/rest")
    if path in ("", "/"):
        api = request.params.get("method", "")
        return Address(api, api if "/" in api else "")
    if path.startswith("/2.0/"):
        path = path.removeprefix("/2.0")
    return Address(path, path)


def _sync_address(request: Incoming) -> Address:
    api = request.params.get("method", "")
    simplify = request.params.get("simplify", "").lower() == "true"
    return Address(api, None if "/" in api else "", simplify)


def _admit(
    apps: Mapping[str, SandboxApp], request: Incoming, address: Address, wall: datetime
) -> SandboxApp:
    if not address.api:
        raise missing("method")
    return admit(apps, request.params, address.prefix, wall)


def _render_flat(_address: Address, outcome: Outcome, ids: Ids) -> Answer:
    if isinstance(outcome, Refusal):
        error = {"type": outcome.type, "code": outcome.code, "message": outcome.message}
        return json_answer(error | _ids(ids), _headers(outcome))
    return json_answer({"code": "0", **outcome, **_ids(ids)})


def _render_wrapped(address: Address, outcome: Outcome, ids: Ids) -> Answer:
    """An error keeps its wrapper even where ``simplify`` is asked."""
    if isinstance(outcome, Refusal):
        error = {"type": outcome.type, "code": outcome.code, "msg": outcome.message}
        return json_answer({"error_response": error | _ids(ids)}, _headers(outcome))
    if address.simplify:
        return json_answer({**_unnested(outcome), **_ids(ids)})
    name = address.api.removeprefix("taobao.").replace(".", "_")
    trace = {"_trace_id_": ids.trace_id} if ids.trace_id else {}
    return json_answer({f"{name}_response": {**outcome, "request_id": ids.request_id}, **trace})


REST: Final = Dialect(_rest_address, _admit, _render_flat)
"""``/rest``: flat answers; the API is the path below it, below ``/rest/2.0``, or in ``method``."""

SYNC: Final = Dialect(_sync_address, _admit, _render_wrapped)
"""``/sync``: a dotted name in ``method``, wrapped answers; no signature of a path is right."""

DIALECTS: Final[tuple[tuple[str, Dialect], ...]] = (("/rest", REST), ("/sync", SYNC))
"""By the root of the URL's path."""


def dialect_of(path: str) -> Dialect | None:
    """The dialect spoken at a path, if any."""
    for root, dialect in DIALECTS:
        if path == root or path.startswith(f"{root}/"):
            return dialect
    return None


def _ids(ids: Ids) -> dict[str, str]:
    named = {"request_id": ids.request_id}
    return named | {"_trace_id_": ids.trace_id} if ids.trace_id else named


def _headers(refusal: Refusal) -> tuple[tuple[bytes, bytes], ...]:
    if refusal.string_to_sign is None:
        return ()
    shown = header_value(refusal.string_to_sign)
    return ((STRING_TO_SIGN_HEADER.encode(), shown.encode()),)


def _unnested(value: Any) -> Any:
    """``{"list": {"item": [...]}}``, as wrapped answers have it, becomes ``{"list": [...]}``."""
    if isinstance(value, list):
        return [_unnested(member) for member in value]
    if not isinstance(value, Mapping):
        return value
    return {
        name: _unnested(
            next(iter(member.values()))
            if isinstance(member, Mapping)
            and len(member) == 1
            and isinstance(next(iter(member.values())), list)
            else member
        )
        for name, member in value.items()
    }
