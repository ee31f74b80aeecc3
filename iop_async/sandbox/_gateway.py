"""The gateway's endpoint: read a request, apply faults, judge it, send the answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import anyio
from starlette.types import Receive, Scope, Send

from ._answers import Answer, html_answer, make_ids
from ._delivery import apply_fault, send_answer
from ._dialect import Dialect
from ._faults import Fault
from ._judge import ReceivedCall, find_subject, judge, record
from ._wire import MAX_QUERY, Disconnected, GatewayRequest, read_request

if TYPE_CHECKING:
    from ._sandbox import Sandbox

# observed: 414 of a long query, 405 of a method that a page of the host does not take.
_TOO_LONG = html_answer(414, "414 Request-URI Too Large", "tengine")
_NO_METHOD = html_answer(405, "405 Not Allowed", "tengine")


async def serve_request(
    sandbox: Sandbox, dialect: Dialect, scope: Scope, receive: Receive, send: Send
) -> None:
    """One request, from its first byte to its last."""
    faults: list[Fault] = []
    answer = _refuse_in_front(scope)
    if answer is None:
        try:
            request = await read_request(scope, receive, json_params=dialect.json_params)
        except Disconnected:
            return
        calls = [_call(sandbox, dialect, each) for each in (dialect.split or _only)(request)]
        faults = list({fault.id: fault for call in calls for fault in call.faults}.values())
        await _wait(fault for fault in faults if not fault.after)
        answer = _answer(sandbox, dialect, request, calls, faults)
        await _wait(fault for fault in faults if fault.after)
    headers: dict[str, str | None] = {"date": sandbox.clock.http_date()}
    for fault in faults:
        headers |= fault.all_headers()
    await send_answer(answer, headers, scope, receive, send)


def _refuse_in_front(scope: Scope) -> Answer | None:
    """The answer of the servers in front of the gateway, to what they do not let through."""
    if scope["method"] not in ("GET", "POST"):
        return _NO_METHOD
    return _TOO_LONG if len(scope["query_string"]) > MAX_QUERY else None


def _only(request: GatewayRequest) -> tuple[GatewayRequest]:
    return (request,)


def _call(sandbox: Sandbox, dialect: Dialect, request: GatewayRequest) -> ReceivedCall:
    address = dialect.address(request)
    subject = find_subject(sandbox, dialect, request, address)
    rules = sandbox.faults
    triggered = rules.trigger(subject, sandbox.clock.now()) if rules.rules else ()
    return ReceivedCall(request, address, subject, triggered)


async def _wait(faults: Iterable[Fault]) -> None:
    for fault in faults:
        if fault.kind == "latency":
            await anyio.sleep(fault.seconds)


def _answer(
    sandbox: Sandbox,
    dialect: Dialect,
    request: GatewayRequest,
    calls: list[ReceivedCall],
    faults: list[Fault],
) -> Answer:
    """The answer that reaches the client; the work is done unless a fault came before it."""
    broken = next((fault for fault in faults if fault.breaks), None)
    if broken is None:
        return judge(sandbox, dialect, request, calls)
    if broken.after:
        return apply_fault(broken, judge(sandbox, dialect, request, calls))
    for call in calls:
        record(sandbox, dialect, call, f"fault:{broken.kind}")
    ids = make_ids(sandbox.clock.wall(), trace=sandbox.profile.trace_id)
    return apply_fault(broken, dialect.render(dialect.address(request), {}, ids))
