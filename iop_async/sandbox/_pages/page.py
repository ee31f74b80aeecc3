"""The look of the sandbox's pages: plain HTML in one piece, nothing fetched from elsewhere."""

from __future__ import annotations

from html import escape
from typing import Final

from starlette.responses import HTMLResponse

_HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "referrer-policy": "same-origin",  # or a browser does not say whose form it sends
    "x-content-type-options": "nosniff",
}

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5b6575; --line: #d9dee7;
  --card: #fff; --back: #f2f4f8; --main: #c2410c; --on-main: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #eef1f6; --soft: #a7b0bf; --line: #3a4352;
  --card: #1c222c; --back: #12161d; --main: #fb923c; --on-main: #1c1207; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 2rem 1rem; background: var(--back); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 30rem; margin: 4vh auto 0; padding: 2rem; background: var(--card);
  border: 1px solid var(--line); border-radius: 14px; }
main.wide { max-width: 62rem; margin-top: 0; }
h1 { margin: 0 0 .5rem; font-size: 1.4rem; line-height: 1.25; }
h2 { margin: 2rem 0 .5rem; font-size: 1.05rem; }
p { margin: .5rem 0; }
.soft, small, th { color: var(--soft); font-weight: normal; }
code { overflow-wrap: anywhere; }
ul { padding-left: 1.2rem; }
fieldset { margin: 1.25rem 0; padding: 0; border: 0; min-width: 0; }
fieldset select { width: 100%; }
legend { padding: 0 0 .4rem; font-weight: 600; }
label.choice { display: flex; gap: .75rem; align-items: center; padding: .6rem .8rem;
  margin-bottom: .5rem; border: 1px solid var(--line); border-radius: 9px; cursor: pointer; }
label.choice:has(:checked) { border-color: var(--main); box-shadow: inset 0 0 0 1px var(--main); }
label.choice span { display: grid; min-width: 0; overflow-wrap: anywhere; }
input[type=radio] { accent-color: var(--main); width: 1.1rem; height: 1.1rem; flex: none; }
input:not([type=radio]), select, button { font: inherit; color: inherit; padding: .5rem .7rem;
  border: 1px solid var(--line); border-radius: 9px; background: var(--card); max-width: 100%; }
button { cursor: pointer; }
button.main { background: var(--main); border-color: var(--main); color: var(--on-main);
  font-weight: 600; }
:focus-visible { outline: 3px solid var(--main); outline-offset: 2px; }
.buttons { display: flex; gap: .75rem; }
.buttons button { flex: 1; padding: .7rem; }
.row { margin-top: .75rem; display: flex; flex-wrap: wrap; gap: .6rem; align-items: end; }
.row label { display: grid; gap: .2rem; }
table { width: 100%; border-collapse: collapse; }
th, td { padding: .35rem .6rem .35rem 0; text-align: left; border-bottom: 1px solid var(--line); }
.scroll { overflow-x: auto; }
textarea { font: .9rem/1.4 ui-monospace, monospace; color: inherit; width: 100%; min-height: 5rem;
  padding: .5rem .7rem; border: 1px solid var(--line); border-radius: 9px;
  background: var(--card); }
.row label.grow { flex: 1 1 100%; }
td form { margin: 0; }
details { padding: .4rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
summary { cursor: pointer; }
summary .bad { color: var(--main); font-weight: 600; }
dl { display: grid; grid-template-columns: minmax(6rem, max-content) minmax(0, 1fr);
  gap: .15rem 1rem; margin: .5rem 0; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
pre { margin: .5rem 0; padding: .6rem .8rem; overflow-x: auto; border: 1px solid var(--line);
  border-radius: 9px; font: .85rem/1.5 ui-monospace, monospace; }
mark { background: var(--main); color: var(--on-main); }
.note { margin-top: 1.5rem; padding-top: 1rem; border-top: 1px solid var(--line); }
"""


def page(title: str, body: str, *, status: int = 200, wide: bool = False) -> HTMLResponse:
    """A page; ``title`` is text, ``body`` is HTML."""
    width = ' class="wide"' if wide else ""
    text = (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n<main{width}>\n{body}\n</main>\n</body>\n</html>\n"
    )
    return HTMLResponse(text, status, _HEADERS)


def error_page(text: str) -> HTMLResponse:
    """A page that says why not."""
    body = f"<h1>This authorization cannot go on</h1>\n<p>{escape(text)}</p>"
    return page("Authorization failed", body, status=400)


def mistake_page(text: str) -> HTMLResponse:
    """A page that says what was wrong with a form of the panel."""
    body = f"""<h1>That did not work</h1>
<p>{escape(text)}</p>
<p><a href="./">Back to the panel</a></p>"""
    return page("Sandbox", body, status=400)


def hidden(**fields: str) -> str:
    """Fields that a form carries along."""
    return "\n".join(
        f'<input type="hidden" name="{name}" value="{escape(value)}">'
        for name, value in fields.items()
    )
