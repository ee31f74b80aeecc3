"""The panel: look at the sandbox, and move it, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl

from attrs import Attribute, asdict
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from .._faults import parse_fault
from .._grants import Pair, digest
from .._parties import SandboxApp, SandboxSeller
from .._sandbox import Sandbox
from .page import mistake_page
from .panel_page import panel_page

Action: TypeAlias = Callable[[Sandbox, Mapping[str, Any]], Any]


async def home(sandbox: Sandbox, _request: Request) -> Response:
    """The page for people."""
    return panel_page(sandbox)


async def run_action(sandbox: Sandbox, request: Request) -> Response:
    """Run the action of this method and path; answers JSON, or leads a form back to the page."""
    action = ACTIONS[request.method, request.url.path.rpartition("/")[2]]
    is_form = "form" in request.headers.get("content-type", "")
    try:
        members: Any = dict(request.query_params)
        if request.method == "POST" and is_form:
            body = (await request.body()).decode("utf-8", "replace")
            members |= {name: value for name, value in parse_qsl(body) if value.strip()}
        elif request.method == "POST":
            members |= await request.json()
        result = action(sandbox, members)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        text = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
        return mistake_page(text) if is_form else JSONResponse({"error": text}, 400)
    return RedirectResponse("./", 303) if is_form else JSONResponse(result)


def _faults(sandbox: Sandbox, _members: Mapping[str, Any]) -> Any:
    return {"faults": [fault.show() for fault in sandbox.faults.rules]}


def _add_fault(sandbox: Sandbox, members: Mapping[str, Any]) -> Any:
    return sandbox.faults.add(parse_fault(members), sandbox.clock.now()).show()


def _clear_faults(sandbox: Sandbox, members: Mapping[str, Any]) -> Any:
    sandbox.faults.clear()
    return _faults(sandbox, members)


def _clock(sandbox: Sandbox, _members: Mapping[str, Any]) -> Any:
    clock = sandbox.clock
    return {
        "now": clock.now().isoformat(),
        "wall": clock.wall().isoformat(),
        "speed": clock.speed,
        "skew": clock.skew,
    }


def _move_clock(sandbox: Sandbox, members: Mapping[str, Any]) -> Any:
    moves: dict[str, Callable[[Any], None]] = {
        "speed": lambda value: setattr(sandbox.clock, "speed", float(value)),
        "skew": lambda value: setattr(sandbox.clock, "skew", float(value)),
        "set": lambda value: sandbox.clock.set(datetime.fromisoformat(value)),
        "advance": lambda value: sandbox.clock.advance(float(value)),
    }
    if not members or members.keys() - moves.keys():
        msg = f"the clock takes {', '.join(moves)}"
        raise ValueError(msg)
    for name, move in moves.items():
        if name in members:
            move(members[name])
    return _clock(sandbox, members)


def _ledger(sandbox: Sandbox, members: Mapping[str, Any]) -> Any:
    seller_id = members.get("seller_id")
    return {
        "refreshes": [
            asdict(entry) | {"at": entry.at.isoformat()}
            for entry in sandbox.ledger.refreshes
            if seller_id in (None, entry.seller)
        ],
        "calls": [
            {"api": api, "code": code, "count": count}
            for (api, code), count in sandbox.ledger.calls.items()
        ],
        "live": _grants(sandbox, {"seller_id": seller_id})["live"],
    }


def _grants(sandbox: Sandbox, members: Mapping[str, Any]) -> Any:
    seller_id = members.get("seller_id")
    shown = [
        _pair(pair, tokens=members.get("tokens") == "1")
        for pair in sandbox.grants.live()
        if seller_id in (None, pair.seller_id)
    ]
    return {"live": shown}


def _pair(pair: Pair, *, tokens: bool) -> dict[str, Any]:
    shown = {
        "app": pair.app,
        "seller_id": pair.seller_id,
        "generation": pair.generation,
        "issued_at": pair.issued_at.isoformat(),
        "access_until": pair.access_until.isoformat(),
        "refresh_until": pair.refresh_until.isoformat(),
        "access_digest": digest(pair.access_token),
        "refresh_digest": digest(pair.refresh_token),
    }
    if tokens:
        shown |= {"access_token": pair.access_token, "refresh_token": pair.refresh_token}
    return shown


def _add_grant(sandbox: Sandbox, members: Mapping[str, Any]) -> Any:
    return sandbox.grant(members["seller_id"], app=members.get("app"))


def _revoke(sandbox: Sandbox, members: Mapping[str, Any]) -> Any:
    for pair in sandbox.grants.live():
        if members["seller_id"] == pair.seller_id and members.get("app") in (None, pair.app):
            sandbox.grants.revoke(pair.app, pair.seller_id)
    return _grants(sandbox, {})


def _sellers(sandbox: Sandbox, _members: Mapping[str, Any]) -> Any:
    return {"sellers": [asdict(seller) for seller in sandbox.sellers.values()]}


def _add_sellers(sandbox: Sandbox, members: Mapping[str, Any]) -> Any:
    if "count" in members:
        added = sandbox.add_sellers(int(members["count"]))
    else:
        seller = SandboxSeller(str(members["seller_id"]), str(members.get("account", "")))
        added = sandbox.add_sellers([seller])
    return {"sellers": [asdict(seller) for seller in added]}


def _apps(sandbox: Sandbox, _members: Mapping[str, Any]) -> Any:
    return {"apps": [asdict(app, filter=_shown) for app in sandbox.apps.values()]}


def _shown(attribute: Attribute[Any], _value: object) -> bool:
    return attribute.name != "secret"


def _add_app(sandbox: Sandbox, members: Mapping[str, Any]) -> Any:
    more = dict(members)
    for name in ("ip_whitelist", "apis"):
        if more.get(name) is not None:
            more[name] = tuple(more[name])
    sandbox.add_app(SandboxApp(**more))
    return _apps(sandbox, members)


def _answers(sandbox: Sandbox, _members: Mapping[str, Any]) -> Any:
    return {"answers": list(sandbox.answers)}


def _add_answer(sandbox: Sandbox, members: Mapping[str, Any]) -> Any:
    # A form has text alone.
    data = json.loads(members["json"]) if "json" in members else members["data"]
    sandbox.answer(members["api"], data)
    return _answers(sandbox, members)


def _forget_answer(sandbox: Sandbox, members: Mapping[str, Any]) -> Any:
    sandbox.answers.pop(members["api"], None)
    return _answers(sandbox, members)


def _requests(sandbox: Sandbox, _members: Mapping[str, Any]) -> Any:
    return {"requests": [asdict(call) | {"at": call.at.isoformat()} for call in sandbox.seen.calls]}


ACTIONS: Final[Mapping[tuple[str, str], Action]] = {
    ("GET", "faults"): _faults,
    ("POST", "faults"): _add_fault,
    ("DELETE", "faults"): _clear_faults,
    ("POST", "clear_faults"): _clear_faults,
    ("GET", "clock"): _clock,
    ("POST", "clock"): _move_clock,
    ("GET", "ledger"): _ledger,
    ("GET", "grants"): _grants,
    ("POST", "grants"): _add_grant,
    ("DELETE", "grants"): _revoke,
    ("GET", "answers"): _answers,
    ("POST", "answers"): _add_answer,
    ("DELETE", "answers"): _forget_answer,
    ("POST", "forget_answer"): _forget_answer,
    ("GET", "requests"): _requests,
    ("GET", "sellers"): _sellers,
    ("POST", "sellers"): _add_sellers,
    ("GET", "apps"): _apps,
    ("POST", "apps"): _add_app,
}
