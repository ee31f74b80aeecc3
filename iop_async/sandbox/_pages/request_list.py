"""The last calls on the panel: what was asked, the verdict, and where two signed texts part."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from .._requests import SeenCall
from .._signatures import Mistake


def requests(calls: Iterable[SeenCall]) -> str:
    """The calls, each to be opened."""
    return "\n".join(map(_call, calls)) or '<p class="soft">None.</p>'


def _call(call: SeenCall) -> str:
    is_good = call.code == "0"
    verdict = "ok" if is_good else f'<span class="bad">{escape(call.code)}</span>'
    facts = [
        ("Request", f"{call.http_method} {call.path}"),
        ("App", call.app),
        ("Seller", call.seller_id or ""),
        ("Files", str(call.files or "")),
        ("Message", call.message),
        *call.params.items(),
    ]
    lines = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts if value
    )
    mistake = "" if call.mistake is None else _mistake(call.mistake)
    is_open = " open" if call.mistake is not None else ""
    name = escape(call.api or call.path)
    return (
        f"<details{is_open}><summary>{call.at:%H:%M:%S} <code>{name}</code> {verdict}</summary>"
        f"{mistake}<dl>{lines}</dl></details>"
    )


def _mistake(mistake: Mistake) -> str:
    words = f"<p>The signature is wrong: {escape(mistake.words)}.</p>"
    ours = f"the sandbox signed  {_marked(mistake.ours, mistake)}"
    if mistake.theirs is None:
        return f"{words}<pre>{ours}</pre>"
    return f"{words}<pre>{ours}\nthe client signed   {_marked(mistake.theirs, mistake)}</pre>"


def _marked(text: str, mistake: Mistake) -> str:
    """The text, with what follows the place where the two part told apart."""
    if mistake.theirs is None or mistake.ours == mistake.theirs:
        return escape(text)
    same, rest = text[: mistake.part_at], text[mistake.part_at :]
    return f"{escape(same)}<mark>{escape(rest)}</mark>"
