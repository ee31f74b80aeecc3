"""Judge a request as the platform would: no waiting, one answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen

from ._answers import Answer, make_ids
from ._apis import Context
from ._dialect import Address, Dialect, Outcome
from ._effects import distort
from ._faults import Fault
from ._parties import SandboxApp, SandboxSeller, Subject
from ._refusals import Refusal, missing
from ._wire import Incoming

if TYPE_CHECKING:
    from ._sandbox import Sandbox


@frozen
class Call:
    """One call that a request makes, and what is to go wrong with it."""

    request: Incoming
    address: Address
    subject: Subject
    faults: Sequence[Fault] = ()

    @property
    def fault(self) -> Fault | None:
        """The one that is about this call's own answer."""
        for fault in self.faults:
            if fault.refuses or fault.edits:
                return fault
        return None


def subject_of(sandbox: Sandbox, dialect: Dialect, request: Incoming, address: Address) -> Subject:
    """What a call is about, by which faults find it."""
    params = request.params
    seller = sandbox.grants.seller_of(
        access_token=dialect.access_token(params),
        refresh_token=params.get("refresh_token", ""),
        code=params.get("code", ""),
    )
    return Subject(address.api, params.get("app_key", ""), seller)


def judge(sandbox: Sandbox, dialect: Dialect, request: Incoming, calls: Sequence[Call]) -> Answer:
    """The answer to a request, and everything that changes because of it."""
    address = calls[0].address if calls else dialect.address(request)
    try:
        app = dialect.admit(sandbox.apps, request, address, sandbox.clock.wall())
    except Refusal as refusal:
        whole = Call(request, address, subject_of(sandbox, dialect, request, address))
        answers = [_answer(sandbox, dialect, call, refusal) for call in calls or [whole]]
        return answers[0]
    answers = [_answer(sandbox, dialect, call, app) for call in calls]
    return answers[0] if dialect.join is None else dialect.join(request, answers)


def record(sandbox: Sandbox, dialect: Dialect, call: Call, code: str) -> None:
    """Write a call into the ledger."""
    api = dialect.apis.get(call.address.api)
    token = call.request.params.get("refresh_token", "") if api and api.refreshes else ""
    pair = sandbox.grants.find_refresh(token)
    sandbox.ledger.record(sandbox.clock.now(), call.subject, code, token, pair)


def _answer(
    sandbox: Sandbox, dialect: Dialect, call: Call, admitted: SandboxApp | Refusal
) -> Answer:
    """The answer to one call of an app, or of one that was turned away."""
    fault = call.fault
    outcome: Outcome
    if fault is not None and fault.edits and not fault.after:
        outcome, code = {}, f"fault:{fault.kind}"
    else:
        try:
            outcome, code = _perform(sandbox, dialect, call, admitted), "0"
        except Refusal as refusal:
            outcome = dialect.say(refusal)
            code = outcome.code
    record(sandbox, dialect, call, code)
    if fault is not None and fault.refuses and fault.after:
        outcome = dialect.say(fault.refusal(sandbox.clock.now()))
    ids = make_ids(sandbox.clock.wall(), trace=sandbox.profile.trace_id)
    answer = dialect.render(call.address, outcome, ids)
    return distort(fault, answer) if fault is not None and fault.edits else answer


def _perform(
    sandbox: Sandbox, dialect: Dialect, call: Call, app: SandboxApp | Refusal
) -> Mapping[str, Any]:
    """What comes after the signature: the caller's address, limits, the token, the API itself."""
    if isinstance(app, Refusal):
        raise app
    request, fault, name = call.request, call.fault, call.address.api
    if app.ip_whitelist is not None and request.client not in app.ip_whitelist:
        raise Refusal("AppWhiteIpLimit", about=request.client or "")
    if fault is not None and fault.refuses and not fault.after:
        raise fault.refusal(sandbox.clock.now())
    if not name:
        raise missing("method")
    api = dialect.apis.get(name)
    seller = None
    if api is None or api.reads_token:
        token = dialect.access_token(request.params)
        seller = _seller(sandbox, app, token, needed=api is not None and api.needs_token)
    if api is None:
        raise Refusal("InvalidApi")
    params = {key: value for key, value in request.params.items() if key not in dialect.system}
    return api.run(
        Context(sandbox, app, params, request.files, request.body, request.client, seller)
    )


def _seller(sandbox: Sandbox, app: SandboxApp, token: str, *, needed: bool) -> SandboxSeller | None:
    if token:
        return sandbox.sellers[sandbox.grants.authenticate(app, token).seller]
    if needed:
        raise Refusal("IllegalAccessToken", about="missing")
    return None
