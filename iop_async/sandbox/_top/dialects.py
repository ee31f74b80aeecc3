"""TOP's two endpoints: single calls, and batches of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final

from attrs import evolve

from .._answers import Answer, Ids, gateway_answer, signed_headers
from .._apis import Api
from .._dialect import Address, Dialect, Outcome
from .._parties import SandboxApp
from .._refusals import Refusal, Said, missing
from .._wire import Incoming
from . import batch, checks
from .business import BUSINESS_APIS
from .encoding import XML, json_body, xml_body
from .tokens import TOKEN_APIS
from .words import say

APIS: Final[Mapping[str, Api]] = {**TOKEN_APIS, **BUSINESS_APIS}

_SYSTEM: Final = frozenset(
    {
        "app_key", "format", "method", "partner_id", "session", "sign", "sign_method", "simplify",
        "target_app_key", "timestamp", "v",
    }
)  # fmt: skip


def _address(request: Incoming) -> Address:
    is_json = request.params.get("format") == "json"
    return Address(
        request.params.get("method", ""),
        format="json" if is_json else "xml",
        simplify=is_json and request.params.get("simplify", "").lower() == "true",
    )


def _admit(
    apps: Mapping[str, SandboxApp], request: Incoming, address: Address, wall: datetime
) -> SandboxApp:
    if not address.api.strip():
        raise missing("method")
    if address.api not in APIS:
        raise Refusal("InvalidApi")
    return checks.admit(apps, request, wall)


def _admit_batch(
    apps: Mapping[str, SandboxApp], request: Incoming, _address: Address, wall: datetime
) -> SandboxApp:
    app = checks.admit(apps, request, wall)
    batch.check(request)
    return app


def _render(address: Address, outcome: Outcome, ids: Ids) -> Answer:
    """An error keeps its wrapper even where ``simplify`` is asked."""
    if isinstance(outcome, Said):
        fields = {
            "code": int(outcome.code),
            "msg": outcome.message,
            "sub_code": outcome.sub_code,
            "sub_msg": outcome.sub_message,
            "request_id": ids.request_id,
        }
        plain = evolve(address, simplify=False)
        return _answer("error_response", fields, plain, outcome)
    name = address.api.removeprefix("taobao.").replace(".", "_")
    return _answer(f"{name}_response", {**outcome, "request_id": ids.request_id}, address)


def _answer(
    name: str, fields: Mapping[str, Any], address: Address, said: Said | None = None
) -> Answer:
    headers = signed_headers(said) if said else ()
    if address.format == "json":
        write = partial(json_body, name, simplify=address.simplify)
        return gateway_answer(fields, write, headers=headers)
    return gateway_answer(fields, partial(xml_body, name), content_type=XML, headers=headers)


ROUTER: Final = Dialect(
    apis=APIS,
    system=_SYSTEM,
    token_names=("session",),
    json_params=False,
    address=_address,
    admit=_admit,
    say=say,
    render=_render,
)
"""``/router/rest``, and ``/api``: a dotted name in ``method``, wrapped answers in XML or JSON."""

BATCH: Final = evolve(ROUTER, admit=_admit_batch, split=batch.split, join=batch.join)
"""``/router/batch``: many calls under one signature."""
