"""What faults do to an answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

from attrs import evolve

from ._answers import Answer, html_answer, json_answer
from ._faults import Fault


def distort(fault: Fault, answer: Answer) -> Answer:
    """The answer as the fault lets it arrive."""
    return _EFFECTS[fault.kind](fault, answer)


def _cut(fault: Fault, answer: Answer) -> Answer:
    return evolve(answer, cut=fault.kind, body=answer.body if fault.after else b"")


def _truncate(_fault: Fault, answer: Answer) -> Answer:
    return evolve(answer, body=answer.body[: len(answer.body) // 2])


def _control_characters(_fault: Fault, answer: Answer) -> Answer:
    body = answer.body.replace(b"{", b'{"remark":"raw\tcontrol\r\ncharacters \x01",', 1)
    return evolve(answer, body=body)


def _empty(_fault: Fault, answer: Answer) -> Answer:
    return evolve(answer, body=b"")


def _patch(fault: Fault, answer: Answer) -> Answer:
    body = json.loads(answer.body)
    wrapped = (value for name, value in body.items() if name.endswith("_response"))
    level = next(wrapped, body)
    level |= fault.fields
    for name in fault.remove:
        level.pop(name, None)
    return json_answer(body, answer.headers)


def _html(_fault: Fault, _answer: Answer) -> Answer:
    text = 'Sorry, we have detected unusual traffic. <a href="/_____tmd_____/punish">Verify</a>'
    return html_answer(200, "punish", text)


def _status(fault: Fault, _answer: Answer) -> Answer:
    try:
        phrase = HTTPStatus(fault.status).phrase
    except ValueError:
        phrase = "Unknown"
    answer = html_answer(fault.status, f"{fault.status} {phrase}", "tengine")
    if fault.retry_after is None:
        return answer
    return evolve(answer, headers=((b"retry-after", str(fault.retry_after).encode()),))


_EFFECTS: Final[Mapping[str, Callable[[Fault, Answer], Answer]]] = {
    "reset": _cut,
    "drop": _cut,
    "truncate": _truncate,
    "control_characters": _control_characters,
    "empty": _empty,
    "patch": _patch,
    "html": _html,
    "status": _status,
}
