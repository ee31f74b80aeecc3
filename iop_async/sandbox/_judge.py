"""The judgement of a request as the platform would make it: no waiting, one answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen

from ._answers import Answer, Refusal, make_ids, missing, unknown_api
from ._apis import Context
from ._delivery import apply_fault
from ._dialect import Address, Dialect, Outcome
from ._faults import Fault
from ._parties import SandboxApp, SandboxSeller, Subject
from ._requests import SeenCall, cut, shown
from ._wire import GatewayRequest

if TYPE_CHECKING:
    from ._sandbox import Sandbox


@frozen
class ReceivedCall:
    """One call that a request makes, and the faults that are to spoil it."""

    request: GatewayRequest
    address: Address
    subject: Subject
    faults: Sequence[Fault] = ()

    @property
    def fault(self) -> Fault | None:
        """The fault that is about this call's own answer."""
        for fault in self.faults:
            if fault.refuses or fault.edits:
                return fault
        return None


def find_subject(
    sandbox: Sandbox, dialect: Dialect, request: GatewayRequest, address: Address
) -> Subject:
    """The subject of a call, by which faults find it."""
    params = request.params
    seller_id = sandbox.grants.find_seller_id(
        access_token=dialect.access_token(params),
        refresh_token=params.get("refresh_token", ""),
        code=params.get("code", ""),
    )
    return Subject(address.api, params.get("app_key", ""), seller_id)


def judge(
    sandbox: Sandbox, dialect: Dialect, request: GatewayRequest, calls: Sequence[ReceivedCall]
) -> Answer:
    """The answer to a request, and everything that changes because of it."""
    address = calls[0].address if calls else dialect.address(request)
    try:
        app = dialect.admit(sandbox, request, address)
    except Refusal as refusal:
        whole = ReceivedCall(request, address, find_subject(sandbox, dialect, request, address))
        answers = [_answer(sandbox, dialect, call, refusal) for call in calls or [whole]]
        return answers[0]
    answers = [_answer(sandbox, dialect, call, app) for call in calls]
    return answers[0] if dialect.join is None else dialect.join(request, answers)


def record(
    sandbox: Sandbox,
    dialect: Dialect,
    call: ReceivedCall,
    code: str,
    *,
    refusal: Refusal | None = None,
    message: str = "",
) -> None:
    """Write a call into the ledger, and among those that people look at."""
    api = dialect.apis.get(call.address.api)
    token = call.request.params.get("refresh_token", "") if api and api.refreshes else ""
    pair = sandbox.grants.find_refresh(token)
    now = sandbox.clock.now()
    sandbox.ledger.record(now, call.subject, code, token, pair)
    request, subject = call.request, call.subject
    sandbox.seen.add(
        SeenCall(
            at=now,
            http_method=request.http_method,
            path=cut(request.path),
            api=cut(subject.api),
            app=cut(subject.app),
            seller_id=subject.seller_id,
            params=shown(request.params),
            files=len(request.files),
            code=code,
            message=cut(message),
            mistake=None if refusal is None else refusal.mistake,
        )
    )


def _answer(
    sandbox: Sandbox, dialect: Dialect, call: ReceivedCall, admitted: SandboxApp | Refusal
) -> Answer:
    """The answer to one call of an app, or of one that was turned away."""
    fault = call.fault
    outcome: Outcome
    refused, message = None, ""
    if fault is not None and fault.edits and not fault.after:
        outcome, code = {}, f"fault:{fault.kind}"
    else:
        try:
            outcome, code = _perform(sandbox, dialect, call, admitted), "0"
        except Refusal as refusal:
            outcome = dialect.render_error(refusal)
            code, refused, message = outcome.code, refusal, outcome.message
    record(sandbox, dialect, call, code, refusal=refused, message=message)
    if fault is not None and fault.refuses and fault.after:
        outcome = dialect.render_error(fault.refusal(sandbox.clock.now()))
    ids = make_ids(sandbox.clock.wall(), trace=sandbox.profile.trace_id)
    answer = dialect.render(call.address, outcome, ids)
    return apply_fault(fault, answer) if fault is not None and fault.edits else answer


def _perform(
    sandbox: Sandbox, dialect: Dialect, call: ReceivedCall, app: SandboxApp | Refusal
) -> Mapping[str, Any]:
    """The checks after the signature, and the API itself.

    assumed: addresses, limits, permissions, tokens and unknown APIs are checked in this order.
    observed: AliExpress refuses for want of a permission before it looks at an API's parameters.
    """
    if isinstance(app, Refusal):
        raise app
    request, fault, name = call.request, call.fault, call.address.api
    if app.ip_whitelist is not None and request.client not in app.ip_whitelist:
        # 108134; observed: live, on AliExpress and on Lazada.
        raise Refusal("AppWhiteIpLimit", about=request.client or "")
    if fault is not None and fault.refuses and not fault.after:
        raise fault.refusal(sandbox.clock.now())
    if not name:
        raise missing("method")
    api, path_params = dialect.find_api(sandbox, name)
    if api is not None and not app.may_call(name):
        raise Refusal("InsufficientPermission", about=name)
    seller = None
    if api is None or api.reads_token:
        token = dialect.access_token(request.params)
        seller = _seller(sandbox, app, token, needed=api is not None and api.needs_token)
    if api is None:
        raise unknown_api(name)
    params = {key: value for key, value in request.params.items() if key not in dialect.system}
    return api.run(
        Context(
            sandbox, app, params | path_params, request.files, request.body, request.client, seller
        )
    )


def _seller(sandbox: Sandbox, app: SandboxApp, token: str, *, needed: bool) -> SandboxSeller | None:
    if token:
        return sandbox.sellers[sandbox.grants.authenticate(app, token).seller_id]
    if needed:
        raise Refusal("IllegalAccessToken", about="missing")
    return None
