"""The panel as a page: what is going on, and buttons for what is asked most."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape
from itertools import islice
from typing import Final

from starlette.responses import Response

from .._faults import KINDS
from .._sandbox import Sandbox
from .page import hidden, page
from .request_list import requests

_ROWS = 50

_FAULT_FORM: Final = f"""<form method="post" action="faults" class="row">
<label>Kind<select name="kind">{"".join(f"<option>{kind}</option>" for kind in KINDS)}</select>
</label>
<label>API<input name="api" placeholder="all" size="18"></label>
<label>Seller<input name="seller_id" placeholder="all" size="8"></label>
<label>Times<input name="times" value="1" size="6"></label>
<label>Seconds<input name="seconds" placeholder="1" size="6"></label>
<label>For seconds<input name="for_seconds" placeholder="any" size="6"></label>
<label>Status<input name="status" placeholder="503" size="5"></label>
<label>Code<input name="code" placeholder="of an error" size="12"></label>
<label>Sub code<input name="sub_code" placeholder="TOP's" size="12"></label>
<button>Add</button>
</form>"""

_ANSWER_FORM: Final = """<form method="post" action="answers" class="row">
<label class="grow">API<input name="api" required placeholder="/orders/get or a.dotted.name">
</label>
<label class="grow">Its answer, as JSON<textarea name="json" required spellcheck="false"
placeholder='{"data": {"count": 0, "orders": []}}'></textarea></label>
<button>Set</button>
</form>"""


def panel_page(sandbox: Sandbox) -> Response:
    """Clock, faults, grants and the latest refreshes."""
    clock = sandbox.clock
    skew = f", {clock.skew:g} s off" if clock.skew else ""
    return page(
        "Sandbox",
        f"""<h1>Sandbox: {escape(sandbox.profile.name)}</h1>
<p class="soft">Its clock reads {_time(clock.wall())} UTC, at {clock.speed:g} times the speed of
yours{skew}.</p>
<div class="row">
{_clock_button("An hour later", "3600")}
{_clock_button("A day later", "86400")}
{_clock_button("30 days later", "2592000")}
</div>
<h2>Faults</h2>
{_faults(sandbox)}
{_FAULT_FORM}
<form method="post" action="clear_faults" class="row"><button>Clear all</button></form>
<h2>Requests</h2>
{requests(islice(sandbox.seen.calls, _ROWS))}
<h2>Answers of your own</h2>
{_answers(sandbox)}
{_ANSWER_FORM}
<h2>Grants</h2>
{_grants(sandbox)}
<h2>Refreshes</h2>
{_refreshes(sandbox)}""",
        wide=True,
    )


def _clock_button(text: str, seconds: str) -> str:
    fields = hidden(advance=seconds)
    return f'<form method="post" action="clock">{fields}<button>{text}</button></form>'


def _faults(sandbox: Sandbox) -> str:
    rows = [
        (f.kind, f.api, f.seller_id, "forever" if f.times is None else f.times, f.hits)
        for f in sandbox.faults.rules
    ]
    return _table(("Kind", "API", "Seller", "Times left", "Hits"), rows)


def _answers(sandbox: Sandbox) -> str:
    lines = "\n".join(
        f"<tr><td><code>{escape(api)}</code></td><td><form method='post' action='forget_answer'>"
        f"{hidden(api=api)}<button>Forget</button></form></td></tr>"
        for api in sandbox.answers
    )
    none = '<p class="soft">None.</p>'
    return f'<div class="scroll"><table>{lines}</table></div>' if lines else none


def _grants(sandbox: Sandbox) -> str:
    rows = [
        (p.app, p.seller_id, p.generation, _time(p.access_until), _time(p.refresh_until))
        for p in sandbox.grants.live()[-_ROWS:]
    ]
    head = ("App", "Seller", "Generation", "Access until", "Refresh until")
    return _table(head, rows)


def _refreshes(sandbox: Sandbox) -> str:
    rows = [
        (_time(entry.at), entry.app, entry.seller, entry.generation, entry.code)
        for entry in reversed(sandbox.ledger.refreshes[-_ROWS:])
    ]
    return _table(("At", "App", "Seller", "Generation", "Outcome"), rows)


def _table(head: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> str:
    if not rows:
        return '<p class="soft">None.</p>'
    titles = "".join(f'<th scope="col">{title}</th>' for title in head)
    lines = "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f'<div class="scroll"><table>\n<tr>{titles}</tr>\n{lines}\n</table></div>'


def _cell(value: object) -> str:
    return f"<td>{'' if value is None else escape(str(value))}</td>"


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")
