"""The gateway's endpoint: read, let faults strike, judge, deliver."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import anyio
from starlette.types import Receive, Scope, Send

from ._answers import Answer, html_answer, make_ids
from ._delivery import deliver
from ._dialect import Dialect
from ._effects import distort
from ._faults import Fault
from ._judge import Call, judge, record, subject_of
from ._wire import MAX_QUERY, Disconnected, Incoming, read_request

if TYPE_CHECKING:
    from ._sandbox import Sandbox

_TOO_LONG = html_answer(414, "414 Request-URI Too Large", "tengine")
_NO_METHOD = html_answer(405, "405 Not Allowed", "tengine")


async def serve_request(
    sandbox: Sandbox, dialect: Dialect, scope: Scope, receive: Receive, send: Send
) -> None:
    """One request, from its first byte to its last."""
    if scope["method"] not in ("GET", "POST"):
        await deliver(_NO_METHOD, scope, receive, send)
        return
    if len(scope["query_string"]) > MAX_QUERY:
        await deliver(_TOO_LONG, scope, receive, send)
        return
    try:
        request = await read_request(scope, receive, json_params=dialect.json_params)
    except Disconnected:
        return
    calls = [_call(sandbox, dialect, each) for each in (dialect.split or _only)(request)]
    faults = list({fault.id: fault for call in calls for fault in call.faults}.values())
    await _wait(fault for fault in faults if not fault.after)
    answer = _work(sandbox, dialect, request, calls, faults)
    await _wait(fault for fault in faults if fault.after)
    await deliver(answer, scope, receive, send)


def _only(request: Incoming) -> tuple[Incoming]:
    return (request,)


def _call(sandbox: Sandbox, dialect: Dialect, request: Incoming) -> Call:
    address = dialect.address(request)
    subject = subject_of(sandbox, dialect, request, address)
    rules = sandbox.faults
    struck = rules.strike(subject, sandbox.clock.now()) if rules.rules else ()
    return Call(request, address, subject, struck)


async def _wait(faults: Iterable[Fault]) -> None:
    for fault in faults:
        if fault.kind == "latency":
            await anyio.sleep(fault.seconds)


def _work(
    sandbox: Sandbox,
    dialect: Dialect,
    request: Incoming,
    calls: list[Call],
    faults: list[Fault],
) -> Answer:
    """The answer that reaches the client; the work is done unless a fault came before it."""
    broken = next((fault for fault in faults if fault.breaks), None)
    if broken is None:
        return judge(sandbox, dialect, request, calls)
    if broken.after:
        return distort(broken, judge(sandbox, dialect, request, calls))
    for call in calls:
        record(sandbox, dialect, call, f"fault:{broken.kind}")
    ids = make_ids(sandbox.clock.wall(), trace=sandbox.profile.trace_id)
    return distort(broken, dialect.render(dialect.address(request), {}, ids))
