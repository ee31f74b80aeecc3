"""Judge a request as the platform would: no waiting, one answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from ._answers import Answer, make_ids
from ._apis import Api, Context
from ._business import PATH_APIS
from ._dialects import Address, Dialect
from ._dotted import DOTTED_APIS
from ._parties import SandboxApp, SandboxSeller, Subject
from ._refusals import Refusal
from ._token_apis import REFRESH, TOKEN_APIS
from ._wire import Incoming

if TYPE_CHECKING:
    from ._sandbox import Sandbox

APIS: Final[Mapping[str, Api]] = {**TOKEN_APIS, **PATH_APIS, **DOTTED_APIS}

_SYSTEM_PARAMS: Final = frozenset(
    {
        "access_token", "app_key", "debug", "format", "method", "partner_id", "session", "sign",
        "sign_method", "simplify", "timestamp", "v",
    }
)  # fmt: skip


def subject_of(sandbox: Sandbox, request: Incoming, address: Address) -> Subject:
    """What a request is about, by which faults find it."""
    params = request.params
    seller = sandbox.grants.seller_of(
        access_token=_access_token(params),
        refresh_token=params.get("refresh_token", ""),
        code=params.get("code", ""),
    )
    return Subject(address.api, params.get("app_key", ""), seller)


def judge(
    sandbox: Sandbox,
    dialect: Dialect,
    request: Incoming,
    address: Address,
    *,
    subject: Subject,
    imposed: Refusal | None = None,
) -> Answer:
    """The answer to a request, and everything that changes because of it.

    Args:
        imposed: a ban or an error that meets every call whose signature is right.
    """
    wall = sandbox.clock.wall()
    outcome: Mapping[str, Any] | Refusal
    try:
        app = dialect.admit(sandbox.apps, request, address, wall)
        outcome = _perform(sandbox, app, request, address.api, imposed)
    except Refusal as refusal:
        outcome = refusal
    record(sandbox, request, subject, outcome.code if isinstance(outcome, Refusal) else "0")
    return dialect.render(address, outcome, make_ids(wall, trace=sandbox.profile.trace_id))


def record(sandbox: Sandbox, request: Incoming, subject: Subject, code: str) -> None:
    """Write a call into the ledger."""
    token = request.params.get("refresh_token", "") if subject.api in REFRESH else ""
    pair = sandbox.grants.find_refresh(token)
    sandbox.ledger.record(sandbox.clock.now(), subject, code, token, pair)


def _perform(
    sandbox: Sandbox,
    app: SandboxApp,
    request: Incoming,
    name: str,
    imposed: Refusal | None,
) -> Mapping[str, Any]:
    """What comes after the signature: the caller's address, limits, the token, the API itself."""
    if app.ip_whitelist is not None and request.client not in app.ip_whitelist:
        raise Refusal("AppWhiteIpLimit")
    if imposed is not None:
        raise imposed
    api = APIS.get(name)
    seller = None
    if api is None or api.reads_token:
        needed = api is not None and api.needs_token
        seller = _authenticate(sandbox, app, request.params, needed=needed)
    if api is None:
        raise Refusal("InvalidApi")
    params = {name: value for name, value in request.params.items() if name not in _SYSTEM_PARAMS}
    return api.run(Context(sandbox, app, params, request.files, seller))


def _authenticate(
    sandbox: Sandbox, app: SandboxApp, params: Mapping[str, str], *, needed: bool
) -> SandboxSeller | None:
    token = _access_token(params)
    if not token and not needed:
        return None
    return sandbox.sellers[sandbox.grants.authenticate(app, token).seller]


def _access_token(params: Mapping[str, str]) -> str:
    return params.get("access_token") or params.get("session") or ""
