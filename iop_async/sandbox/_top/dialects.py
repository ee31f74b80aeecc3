"""TOP's two endpoints: single calls, and batches of them."""

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
    unknown_api,
)
from .._apis import Api
from .._dialect import Address, Dialect, Outcome
from .._parties import SandboxApp
from .._wire import GatewayRequest
from . import batch, checks
from .business import BUSINESS_APIS
from .encoding import XML, json_body, xml_body
from .errors import render_error
from .tokens import TOKEN_APIS

if TYPE_CHECKING:
    from .._sandbox import Sandbox

APIS: Final[Mapping[str, Api]] = {**TOKEN_APIS, **BUSINESS_APIS}

# DOC:101617; partner_id and target_app_key are observed of the official Java SDK.
_SYSTEM: Final = frozenset(
    {
        "app_key", "format", "method", "partner_id", "session", "sign", "sign_method", "simplify",
        "target_app_key", "timestamp", "v",
    }
)  # fmt: skip


def _address(request: GatewayRequest) -> Address:
    is_json = request.params.get("format") == "json"
    return Address(
        request.params.get("method", ""),
        format="json" if is_json else "xml",
        simplify=is_json and request.params.get("simplify", "").lower() == "true",
    )


def _admit(sandbox: Sandbox, request: GatewayRequest, address: Address) -> SandboxApp:
    if not address.api.strip():
        raise missing("method")
    if ROUTER.find_api(sandbox, address.api)[0] is None:
        raise unknown_api(address.api)
    return checks.admit(sandbox.apps, request, sandbox.clock.wall())


def _admit_batch(sandbox: Sandbox, request: GatewayRequest, _address: Address) -> SandboxApp:
    app = checks.admit(sandbox.apps, request, sandbox.clock.wall())
    batch.check(request)
    return app


def _render(address: Address, outcome: Outcome, ids: Ids) -> Answer:
    """An error keeps its wrapper even where ``simplify`` is asked for."""
    # observed: the code of an error is a number, in every sample and answer.
    if isinstance(outcome, RenderedError):
        fields = {
            "code": int(outcome.code),
            "msg": outcome.message,
            "sub_code": outcome.sub_code,
            "sub_msg": outcome.sub_message,
            "request_id": ids.request_id,
        }
        plain = evolve(address, simplify=False)
        return _answer("error_response", fields, plain, outcome)
    # observed: the method without "taobao.", dots as underscores.
    name = address.api.removeprefix("taobao.").replace(".", "_")
    return _answer(f"{name}_response", {**outcome, "request_id": ids.request_id}, address)


def _answer(
    name: str, fields: Mapping[str, Any], address: Address, said: RenderedError | None = None
) -> Answer:
    headers = string_to_sign_headers(said) if said else ()
    if address.format == "json":
        write = partial(json_body, name, simplify=address.simplify)
        return gateway_answer(fields, write, headers=headers)
    return gateway_answer(fields, partial(xml_body, name), content_type=XML, headers=headers)


ROUTER: Final = Dialect(
    apis=APIS,
    system=_SYSTEM,
    token_names=("session",),  # DOC:101617
    json_params=False,
    address=_address,
    admit=_admit,
    render_error=render_error,
    render=_render,
)
"""``/router/rest``, and ``/api``: a dotted name in ``method``, wrapped answers in XML or JSON."""

BATCH: Final = evolve(ROUTER, admit=_admit_batch, split=batch.split, join=batch.join)
"""``/router/batch``: many calls under one signature."""
