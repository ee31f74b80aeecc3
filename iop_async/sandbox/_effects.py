"""What faults do to an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

from attrs import evolve

from ._answers import Answer, html_answer
from ._faults import Fault

_REMARK = "raw\tcontrol\r\ncharacters"


def distort(fault: Fault, answer: Answer) -> Answer:
    """The answer as the fault lets it arrive."""
    return _EFFECTS[fault.kind](fault, answer)


def _cut(fault: Fault, answer: Answer) -> Answer:
    return evolve(answer, cut=fault.kind, body=answer.body if fault.after else b"")


def _truncate(_fault: Fault, answer: Answer) -> Answer:
    return evolve(answer, body=answer.body[: len(answer.body) // 2])


def _control_characters(_fault: Fault, answer: Answer) -> Answer:
    """As TOP does it at times: tabs and line ends stand in a JSON string as they are."""
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
