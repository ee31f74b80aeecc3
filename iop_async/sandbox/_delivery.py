"""The way of an answer to its client: faults change it, and then it is sent or cut off."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

from attrs import evolve
from starlette.types import Receive, Scope, Send

from ._answers import Answer, html_answer
from ._faults import Fault

EXTENSION: Final = "iop_async.sandbox"
"""ASGI extension of :mod:`._server`: ``abort(reset)`` ends the connection at once."""

_REMARK = "raw\tcontrol\r\ncharacters"


class ConnectionCut(ConnectionAbortedError):
    """Raised to end a connection where the server lends no hand."""


def apply_fault(fault: Fault, answer: Answer) -> Answer:
    """The answer as the fault lets it arrive."""
    return _EFFECTS[fault.kind](fault, answer)


def _abort(fault: Fault, answer: Answer) -> Answer:
    return evolve(answer, abort=fault.kind, body=answer.body if fault.after else b"")


def _truncate(_fault: Fault, answer: Answer) -> Answer:
    return evolve(answer, body=answer.body[: len(answer.body) // 2])


def _control_characters(_fault: Fault, answer: Answer) -> Answer:
    # observed: TOP leaves tabs and line ends unescaped in JSON strings; taobaopy repairs them.
    answer = answer.with_fields(lambda fields: {"remark": _REMARK, **fields})
    escaped = _REMARK.encode("unicode_escape")
    return evolve(answer, body=answer.body.replace(escaped, _REMARK.encode(), 1))


def _empty(_fault: Fault, answer: Answer) -> Answer:
    return evolve(answer, body=b"")


def _patch(fault: Fault, answer: Answer) -> Answer:
    def change(fields: Mapping[str, Any]) -> dict[str, Any]:
        patched = {**fields, **fault.fields}
        return {name: value for name, value in patched.items() if name not in fault.remove}

    return answer.with_fields(change)


def _body(fault: Fault, answer: Answer) -> Answer:
    body = fault.body(answer.body) if callable(fault.body) else fault.body
    return evolve(
        answer, body=body.encode() if isinstance(body, str) else body, status=fault.status
    )


def _unchanged(_fault: Fault, answer: Answer) -> Answer:
    return answer


def _html(fault: Fault, _answer: Answer) -> Answer:
    # observed: a page named "punish", with status 200, where risk control steps in.
    text = 'Sorry, we have detected unusual traffic. <a href="/_____tmd_____/punish">Verify</a>'
    return html_answer(fault.status, "punish", text)


def _status(fault: Fault, _answer: Answer) -> Answer:
    try:
        phrase = HTTPStatus(fault.status).phrase
    except ValueError:
        phrase = "Unknown"
    # observed: 414 and 404 are HTML, of a server in front. assumed: so are the others.
    return html_answer(fault.status, f"{fault.status} {phrase}", "tengine")


_EFFECTS: Final[Mapping[str, Callable[[Fault, Answer], Answer]]] = {
    "reset": _abort,
    "drop": _abort,
    "truncate": _truncate,
    "control_characters": _control_characters,
    "empty": _empty,
    "body": _body,
    "headers": _unchanged,
    "patch": _patch,
    "html": _html,
    "status": _status,
}


async def send_answer(
    answer: Answer,
    headers: Mapping[str, str | None],
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    """Send the answer, or as much of it as it wants to be sent.

    ``headers`` go before the answer's own; ``None`` leaves one out.
    """
    if answer.abort == "drop" or (answer.abort and not answer.body):
        await _end(answer.abort, scope, receive)
        return
    own = [
        (b"content-type", answer.content_type),
        (b"content-length", str(len(answer.body)).encode()),
        *answer.headers,
    ]
    given = [
        (name.encode(), value.encode()) for name, value in headers.items() if value is not None
    ]
    sent = given + [(name, value) for name, value in own if name.decode() not in headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": sent})
    if answer.abort:
        half = answer.body[: len(answer.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        await _end(answer.abort, scope, receive)
        return
    await send({"type": "http.response.body", "body": answer.body})


async def _end(abort: str, scope: Scope, receive: Receive) -> None:
    extension = scope.get("extensions", {}).get(EXTENSION)
    if extension is None:
        msg = f"a {abort} that the sandbox was asked for"
        raise ConnectionCut(msg)
    extension["abort"](reset=abort == "reset")
    # The server learns in its next turn that the connection is gone, and only then does it not
    # take a missing answer for an error.
    while (await receive())["type"] != "http.disconnect":
        pass
