"""The pages that a seller may see: plain HTML in one piece, without scripts and without requests.

Nothing that came with a request stands in one.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse

from ._words import AGAIN, PAGES, STATUSES, language_of

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5b6575; --line: #d9dee7;
  --card: #fff; --back: #f2f4f8; --good: #15803d; --bad: #b45309; --on: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #eef1f6; --soft: #a7b0bf; --line: #3a4352;
  --card: #1c222c; --back: #12161d; --good: #4ade80; --bad: #fbbf24; --on: #12161d; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 2rem 1rem; background: var(--back); color: var(--ink);
  font: 1rem/1.6 system-ui, sans-serif; }
main { max-width: 30rem; margin: 8vh auto 0; padding: 2rem; background: var(--card);
  border: 1px solid var(--line); border-radius: 14px; }
.mark { width: 3rem; height: 3rem; margin-bottom: 1.25rem; border-radius: 50%; display: grid;
  place-items: center; font-size: 1.5rem; font-weight: 700; color: var(--on);
  background: var(--bad); }
.good .mark { background: var(--good); }
h1 { margin: 0 0 .75rem; font-size: 1.4rem; line-height: 1.3; text-wrap: balance; }
p { margin: 0; color: var(--soft); }
a { display: inline-block; margin-top: 1.5rem; padding: .7rem 1.2rem; border-radius: 9px;
  background: var(--ink); color: var(--card); font-weight: 600; text-decoration: none; }
a:hover { opacity: .85; }
a:focus-visible { outline: 3px solid var(--bad); outline-offset: 2px; }
@media (max-width: 30rem) { body { padding: 1rem; } main { margin-top: 0; padding: 1.5rem; } }
"""
_STYLE_HASH: Final = b64encode(sha256(_STYLE.encode()).digest()).decode()

HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "vary": "accept-language",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


def page(request: Request, name: str, *, again: str) -> HTMLResponse:
    """One of the pages of ``_words``, in the browser's language; ``again`` is where to start."""
    language = language_of(request.headers.get("accept-language", ""))
    words = PAGES[language][name]
    status = STATUSES[name]
    is_good = status == 200
    link = f'\n<a href="{escape(again)}">{escape(AGAIN[language])}</a>'
    text = f"""<!DOCTYPE html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(words.title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<main class="{"good" if is_good else "bad"}">
<div class="mark" aria-hidden="true">{"✓" if is_good else "!"}</div>
<h1>{escape(words.title)}</h1>
<p>{escape(words.text)}</p>{"" if is_good or name == "unfinished" else link}
</main>
</body>
</html>
"""
    return HTMLResponse(text, status, HEADERS)
