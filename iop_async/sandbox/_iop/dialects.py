"""IOP's two endpoints: paths below ``/rest``, dotted names at ``/sync``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve

from .._answers import (
    Answer,
    Ids,
    RenderedError,
    gateway_answer,
    missing,
    string_to_sign_headers,
    to_json,
)
from .._apis import Api
from .._dialect import Address, Dialect, Outcome
from .._parties import SandboxApp
from .._wire import GatewayRequest
from .business import PATH_APIS
from .checks import REST_RULES, SYNC_RULES, SYSTEM, Rules, admit
from .dotted import DOTTED_APIS
from .errors import render_error
from .tokens import TOKEN_APIS

if TYPE_CHECKING:
    from .._sandbox import Sandbox

APIS: Final[Mapping[str, Api]] = {**TOKEN_APIS, **PATH_APIS, **DOTTED_APIS}


def _rest_address(request: GatewayRequest) -> Address:
    path = request.path.removeprefix("/rest")
    if path in ("", "/"):
        # observed: official Python and PHP SDKs call the base alone, and name the API in `method`.
        api = request.params.get("method", "")
        return Address(api, api if "/" in api else "")
    # DOC:120693: REST 2.0, whose paths are filled in; what is signed is the path behind "/2.0".
    is_filled_in = path.startswith("/2.0/")
    path = path.removeprefix("/2.0") if is_filled_in else path
    return Address(path, path, is_filled_in=is_filled_in)


def _sync_address(request: GatewayRequest) -> Address:
    api = request.params.get("method", "")
    simplify = request.params.get("simplify", "").lower() == "true"
    # observed: a path at /sync is refused, IncompleteSignature, however it is signed.
    return Address(api, None if "/" in api else "", simplify=simplify)


def _admit(rules: Rules, sandbox: Sandbox, request: GatewayRequest, address: Address) -> SandboxApp:
    if not address.api:
        raise missing("method")
    return admit(sandbox.apps, request.params, address, sandbox.clock.wall(), rules)


def _render_flat(_address: Address, outcome: Outcome, ids: Ids) -> Answer:
    # observed: code "0" for a success and `message` for an error, both flat.
    if isinstance(outcome, RenderedError):
        error = {"type": outcome.type, "code": outcome.code, "message": outcome.message}
        return gateway_answer(error | _ids(ids), to_json, headers=string_to_sign_headers(outcome))
    return gateway_answer({"code": "0", **outcome, **_ids(ids)}, to_json)


def _render_wrapped(address: Address, outcome: Outcome, ids: Ids) -> Answer:
    """An error keeps its wrapper even where ``simplify`` is asked for."""
    # observed: `msg` here, in answers of /sync, and `message` at /rest.
    if isinstance(outcome, RenderedError):
        error = {"type": outcome.type, "code": outcome.code, "msg": outcome.message}
        finer = {"sub_code": outcome.sub_code, "sub_msg": outcome.sub_message}
        error |= {name: text for name, text in finer.items() if text is not None}
        write = partial(_wrap, "error_response", {})
        return gateway_answer(error | _ids(ids), write, headers=string_to_sign_headers(outcome))
    if address.simplify:
        return gateway_answer({**_unnested(outcome), **_ids(ids)}, to_json)
    # DOC:120692: the method with underscores. observed: _trace_id_ stands beside the wrapper.
    name = address.api.removeprefix("taobao.").replace(".", "_")
    trace = {"_trace_id_": ids.trace_id} if ids.trace_id else {}
    fields = {**outcome, "request_id": ids.request_id}
    return gateway_answer(fields, partial(_wrap, f"{name}_response", trace))


def _wrap(name: str, beside: Mapping[str, str], fields: Mapping[str, Any]) -> bytes:
    return to_json({name: fields, **beside})


REST: Final = Dialect(
    apis=APIS,
    system=SYSTEM,
    # observed: AliExpress takes a token by either name; paths are documented with the first.
    token_names=("access_token", "session"),
    json_params=True,  # observed: a Go client of TaoWorld sends one flat JSON object
    address=_rest_address,
    admit=partial(_admit, REST_RULES),
    render_error=render_error,
    render=_render_flat,
)
"""``/rest``: flat answers; the API is the path below it, below ``/rest/2.0``, or in ``method``."""

SYNC: Final = evolve(
    REST, address=_sync_address, admit=partial(_admit, SYNC_RULES), render=_render_wrapped
)
"""``/sync``: a dotted name in ``method``, wrapped answers; no signature of a path is right."""


def _ids(ids: Ids) -> dict[str, str]:
    named = {"request_id": ids.request_id}
    return named | {"_trace_id_": ids.trace_id} if ids.trace_id else named


def _unnested(value: Any) -> Any:
    """``{"list": {"item": [...]}}``, as wrapped answers have it, becomes ``{"list": [...]}``."""
    # observed: simplify=true does so on AliExpress; assumed: to every list of the answer.
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
