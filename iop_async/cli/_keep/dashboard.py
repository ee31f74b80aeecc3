"""The dashboard: plain HTML, which its script reads again every two seconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Final

from ...tokens import Health, SellerStatus, Survey, TokenEvent
from .watch import Watch

_KIND_CLASSES: Final = {
    "refreshed": "good",
    "incident_over": "good",
    "refresh_failed": "warn",
    "doubtful_lifetime": "warn",
    "authorize_by": "warn",
}
_HEIGHT: Final = 100
_NOTHING: Final = "\N{EN DASH}"
_NONE: Final = '<p class="soft">None.</p>'


def render(watch: Watch, health: Health | None) -> str:
    """The page."""
    now = datetime.now(UTC) if health is None else health.at
    title, pill = _verdict(watch, health)
    body = "" if health is None else _overview(health) + _survey(health)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} · iop-async keep</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/dashboard.css">
<script src="/dashboard.js" defer></script>
</head>
<body>
<p id="lost" class="bad" role="alert" hidden>The keeper does not answer; this is what it said
last.</p>
<main>
<header><h1>Keeper</h1>{pill}<span class="soft">{escape(watch.tokens.scope)} · {_clock(now)} UTC
</span></header>
{_problems(health)}
{body}
<div class="two">
{_events("Recent events", watch.events, now)}
{_events("Incidents and errors", watch.incidents, now)}
</div>
</main>
</body>
</html>
"""


def _verdict(watch: Watch, health: Health | None) -> tuple[str, str]:
    if watch.phase != "keeping" or health is None:
        text = watch.phase.capitalize()
        return text, f'<span class="pill warn">{text}</span>'
    if health.is_healthy:
        return "All well", '<span class="pill good">All well</span>'
    count = len(health.problems)
    text = f"{count} problem{'s' if count > 1 else ''}"
    return text, f'<span class="pill bad">{text}</span>'


def _problems(health: Health | None) -> str:
    if health is None or health.is_healthy:
        return ""
    lines = "".join(f"<li>{escape(problem)}</li>" for problem in health.problems)
    return f'<section><h2>What to look at</h2><ul class="problems bad">{lines}</ul></section>'


def _overview(health: Health) -> str:
    death = health.nearest_death
    facts: list[tuple[str, object, str]] = [
        ("Nearest death", _NOTHING if death is None else _until(death, health.at), ""),
        ("Refreshing now", health.refreshing, ""),
        ("Overdue by", _span(health.overdue) if health.overdue >= 1 else _NOTHING, ""),
        ("Not in the store", health.unpersisted, "bad" if health.unpersisted else ""),
        ("Held up by", health.held_up_by or _NOTHING, "warn" if health.held_up_by else ""),
        ("Keeper", health.keeper, "bad" if health.keeper == "stalled" else ""),
    ]
    return f"<section><h2>Now</h2>{_facts(facts)}</section>\n"


def _facts(facts: Iterable[tuple[str, object, str]]) -> str:
    cells = "".join(
        f'<div><dt>{name}</dt><dd class="{kind}">{escape(_number(value))}</dd></div>'
        for name, value, kind in facts
    )
    return f"<dl>{cells}</dl>"


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _survey(health: Health) -> str:
    survey = health.survey
    if survey is None:
        return "<section><h2>Sellers</h2><p>They are being counted.</p></section>"
    states = survey.by_state
    facts: list[tuple[str, object, str]] = [
        ("Live", states["live"], "good" if states["live"] else ""),
        ("Ambiguous", states["ambiguous"], "warn" if states["ambiguous"] else ""),
        ("Must authorize", states["reauthorize"], "bad" if states["reauthorize"] else ""),
        ("Unanswered", survey.unanswered, ""),
        ("Failing", survey.failing, "warn" if survey.failing else ""),
        ("Expired", survey.expired, "bad" if survey.expired else ""),
    ]
    age = (health.at - survey.at).total_seconds()
    counted = f"Counted {_span(age)} ago, in {survey.seconds:.1f} s."
    return f"""<section><h2>Sellers by state</h2>{_facts(facts)}
<p><small>{counted}</small></p></section>
<div class="two">
{_refreshes(survey, health.at)}
{_authorize_by(survey, health.at)}
</div>"""


def _refreshes(survey: Survey, now: datetime) -> str:
    hour = survey.at.replace(minute=0, second=0, microsecond=0)
    rows = [
        (each, _until(max(each.refresh_at, now), now), _state(each))
        for each in survey.next_refreshes
        if each.refresh_at is not None
    ]
    return f"""<section><h2>Coming refreshes</h2>
{_bars(survey.refreshes, hour, timedelta(hours=1), 48, "refreshes due", "%d %b %H:00")}
<p class="axis"><span>now</span><span>in 24 h</span><span>in 48 h</span></p>
{_sellers("Refresh", rows)}</section>"""


def _authorize_by(survey: Survey, now: datetime) -> str:
    day = survey.at.replace(hour=0, minute=0, second=0, microsecond=0)
    rows = [
        (each, _until(each.authorize_by, now), f"{each.authorize_by:%Y-%m-%d}")
        for each in survey.next_authorize_by
        if each.authorize_by is not None
    ]
    return f"""<section><h2>Sellers should authorize by</h2>
{_bars(survey.authorize_by, day, timedelta(days=1), 90, "sellers", "%d %b")}
<p class="axis"><span>today</span><span>in 45 days</span><span>in 90 days</span></p>
{_sellers("Ends", rows)}</section>"""


def _bars(
    counts: Mapping[datetime, int], begin: datetime, step: timedelta, size: int, of: str, form: str
) -> str:
    most = max(counts.values(), default=0)
    bars = []
    for place in range(size):
        moment = begin + step * place
        count = counts.get(moment, 0)
        if count:
            height = max(round(_HEIGHT * count / most), 2)
            bars.append(
                f'<rect x="{place * 10 + 1}" y="{_HEIGHT - height}" width="8" height="{height}">'
                f"<title>{moment.strftime(form)}, {of}: {count:,}</title></rect>"
            )
    label = f"{of}: {sum(counts.values()):,}, at most {most:,} in one bar"
    return (
        f'<svg role="img" aria-label="{label}" viewBox="0 0 {size * 10} {_HEIGHT}" '
        f'preserveAspectRatio="none">{"".join(bars)}</svg>'
    )


def _sellers(what: str, rows: Sequence[tuple[SellerStatus, str, str]]) -> str:
    if not rows:
        return _NONE
    lines = "\n".join(
        f'<tr><td class="seller">{escape(status.seller_id)}</td>'
        f'<td class="time">{moment}</td><td>{escape(detail)}</td></tr>'
        for status, moment, detail in rows[:10]
    )
    return (
        f'<div class="scroll"><table><tr><th scope="col">Seller</th><th scope="col">{what}</th>'
        f'<th scope="col"></th></tr>\n{lines}</table></div>'
    )


def _state(status: SellerStatus) -> str:
    if status.is_refreshing:
        return "under way"
    if status.attempts:
        return f"failed {status.attempts} times"
    return "" if status.state == "live" else status.state


def _events(title: str, events: Iterable[TokenEvent], now: datetime) -> str:
    lines = "\n".join(
        f'<li><span class="soft">{_span((now - event.at).total_seconds())} ago</span> '
        f'<strong class="{_KIND_CLASSES.get(event.kind, "bad")}">{event.kind.replace("_", " ")}'
        f"</strong> {escape(event.seller_id or '')}"
        f"{f'<small>{escape(event.reason)}</small>' if event.reason else ''}</li>"
        for event in events
    )
    listed = f'<ol class="events">{lines}</ol>' if lines else _NONE
    return f"<section><h2>{title}</h2>{listed}</section>"


def _clock(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def _until(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return _NOTHING
    seconds = (moment - now).total_seconds()
    return f"in {_span(seconds)}" if seconds >= 0 else f"{_span(-seconds)} ago"


def _span(seconds: float) -> str:
    """In the largest units that say enough: 8 s, 29 min, 3 h 20 min, 12 d."""
    whole = max(int(seconds), 0)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min"
    if whole < 172_800:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86_400} d"
