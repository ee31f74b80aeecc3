"""IOP's two endpoints: paths below ``/rest``, dotted names at ``/sync``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final

from attrs import evolve

from .._answers import Answer, Ids, gateway_answer, signed_headers, to_json
from .._apis import Api
from .._dialect import Address, Dialect, Outcome
from .._parties import SandboxApp
from .._refusals import Said, missing
from .._wire import Incoming
from .business import PATH_APIS
from .checks import admit
from .dotted import DOTTED_APIS
from .tokens import TOKEN_APIS
from .words import say

APIS: Final[Mapping[str, Api]] = {**TOKEN_APIS, **PATH_APIS, **DOTTED_APIS}

_SYSTEM: Final = frozenset(
    {
        "access_token", "app_key", "debug", "format", "method", "partner_id", "session", "sign",
        "sign_method", "simplify", "timestamp", "v",
    }
)  # fmt: skip


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
    return Address(api, None if "/" in api else "", simplify=simplify)


def _admit(
    apps: Mapping[str, SandboxApp], request: Incoming, address: Address, wall: datetime
) -> SandboxApp:
    if not address.api:
        raise missing("method")
    return admit(apps, request.params, address.prefix, wall)


def _render_flat(_address: Address, outcome: Outcome, ids: Ids) -> Answer:
    if isinstance(outcome, Said):
        error = {"type": outcome.type, "code": outcome.code, "message": outcome.message}
        return gateway_answer(error | _ids(ids), to_json, headers=signed_headers(outcome))
    return gateway_answer({"code": "0", **outcome, **_ids(ids)}, to_json)


def _render_wrapped(address: Address, outcome: Outcome, ids: Ids) -> Answer:
    """An error keeps its wrapper even where ``simplify`` is asked."""
    if isinstance(outcome, Said):
        error = {"type": outcome.type, "code": outcome.code, "msg": outcome.message}
        finer = {"sub_code": outcome.sub_code, "sub_msg": outcome.sub_message}
        error |= {name: text for name, text in finer.items() if text is not None}
        write = partial(_wrap, "error_response", {})
        return gateway_answer(error | _ids(ids), write, headers=signed_headers(outcome))
    if address.simplify:
        return gateway_answer({**_unnested(outcome), **_ids(ids)}, to_json)
    name = address.api.removeprefix("taobao.").replace(".", "_")
    trace = {"_trace_id_": ids.trace_id} if ids.trace_id else {}
    fields = {**outcome, "request_id": ids.request_id}
    return gateway_answer(fields, partial(_wrap, f"{name}_response", trace))


def _wrap(name: str, beside: Mapping[str, str], fields: Mapping[str, Any]) -> bytes:
    return to_json({name: fields, **beside})


REST: Final = Dialect(
    apis=APIS,
    system=_SYSTEM,
    token_names=("access_token", "session"),
    json_params=True,
    address=_rest_address,
    admit=_admit,
    say=say,
    render=_render_flat,
)
"""``/rest``: flat answers; the API is the path below it, below ``/rest/2.0``, or in ``method``."""

SYNC: Final = evolve(REST, address=_sync_address, render=_render_wrapped)
"""``/sync``: a dotted name in ``method``, wrapped answers; no signature of a path is right."""


def _ids(ids: Ids) -> dict[str, str]:
    named = {"request_id": ids.request_id}
    return named | {"_trace_id_": ids.trace_id} if ids.trace_id else named


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
