"""The gateway's endpoint: read, let faults strike, judge, deliver."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import anyio
from starlette.types import Receive, Scope, Send

from ._answers import Answer, html_answer, make_ids
from ._delivery import deliver
from ._dialects import Address, Dialect
from ._effects import distort
from ._faults import Fault
from ._judge import judge, record, subject_of
from ._parties import Subject
from ._wire import MAX_QUERY, Disconnected, Incoming, read_request

if TYPE_CHECKING:
    from ._sandbox import Sandbox

_TOO_LONG = html_answer(414, "414 Request-URI Too Large", "tengine")
_NO_METHOD = html_answer(405, "405 Not Allowed", "tengine")


async def serve_call(
    sandbox: Sandbox, dialect: Dialect, scope: Scope, receive: Receive, send: Send
) -> None:
    """One call, from its first byte to its last."""
    if scope["method"] not in ("GET", "POST"):
        await deliver(_NO_METHOD, scope, receive, send)
        return
    if len(scope["query_string"]) > MAX_QUERY:
        await deliver(_TOO_LONG, scope, receive, send)
        return
    try:
        request = await read_request(scope, receive)
    except Disconnected:
        return
    address = dialect.address(request)
    subject = subject_of(sandbox, request, address)
    struck = sandbox.faults.strike(subject, sandbox.clock.now()) if sandbox.faults.rules else []
    await _wait(fault for fault in struck if not fault.after)
    answer = _work(sandbox, dialect, request, address, subject=subject, struck=struck)
    await _wait(fault for fault in struck if fault.after)
    await deliver(answer, scope, receive, send)


async def _wait(faults: Iterable[Fault]) -> None:
    for fault in faults:
        if fault.kind == "latency":
            await anyio.sleep(fault.seconds)


def _work(
    sandbox: Sandbox,
    dialect: Dialect,
    request: Incoming,
    address: Address,
    *,
    subject: Subject,
    struck: list[Fault],
) -> Answer:
    """The answer that reaches the client; the work is done unless a fault came before it."""
    now = sandbox.clock.now()
    fault = next((fault for fault in struck if fault.kind != "latency"), None)
    if fault is None:
        return judge(sandbox, dialect, request, address, subject=subject)
    if fault.refuses and not fault.after:
        refusal = fault.refusal(now)
        return judge(sandbox, dialect, request, address, subject=subject, imposed=refusal)
    ids = make_ids(sandbox.clock.wall(), trace=sandbox.profile.trace_id)
    if fault.after:
        answer = judge(sandbox, dialect, request, address, subject=subject)
    else:
        record(sandbox, request, subject, f"fault:{fault.kind}")
        answer = dialect.render(address, {}, ids)
    if fault.refuses:
        return dialect.render(address, fault.refusal(now), ids)
    return distort(fault, answer)
