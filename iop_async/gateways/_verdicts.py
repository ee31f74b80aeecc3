"""The verdict of the business inside an answer that the gateway calls a success.

Every API has names of its own for it. Spellings are compared without case and underscores, so
that ``is_success``, ``isSuccess`` and XML's text ``"False"`` are one thing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from .._codes import PASSING_FAILURES
from .._models import Call, Failure
from .._redact import legible
from .._refusals import LONGEST_MESSAGE

# observed: names of the verdict in TaoWorld's, AliExpress's, Lazada's and TOP's answers.
_VERDICTS = frozenset(
    {"success", "issuccess", "issuccessful", "successful", "resultsuccess", "bizsuccess"}
)
# observed: TaoWorld's verdict may be the text "true"; assumed: the words of a refusal.
_REFUSALS = frozenset({"false", "fail", "failed", "failure", "no", "n"})

# observed: AliExpress calls a success "00" or 200 and an empty result 405, Lazada "0".
FINE_CODES = frozenset(
    {"", "0", "00", "000", "0000", "200", "405", "none", "null", "ok", "success", "true"}
)

# observed: codes that decide by themselves: TaoWorld's, AliExpress's, and of its AI service.
_DECIDING = ("bizerrorcode", "bizerrcode", "rspcode", "respcode", "rescode")
_CODES = (
    *_DECIDING, "errorcode", "errcode", "msgcode", "subcode", "failcode", "resultcode", "retcode",
    "code",
)  # fmt: skip
# observed: fields with the words of a refusal, the most particular ones first.
_MESSAGES = (
    "bizerrormsg", "bizerrordesc", "bizerrormessage", "rspmsg", "respmsg", "resmsg", "resmessage",
    "errormsg", "errormessage", "errordesc", "errordescription", "errorinfo", "errmsg",
    "errmessage", "errdesc", "bizmessage", "bizmsg", "msginfo", "messageinfo", "resultmsg",
    "resultmessage", "resultdesc", "submsg", "failreason", "failmsg", "failmessage", "retmsg",
    "msg", "message", "reason", "error",
)  # fmt: skip
_USED = _VERDICTS | {*_CODES, *_MESSAGES}
_DECIDE = _VERDICTS | {*_DECIDING}
_FINE_WORDS = frozenset({"success", "ok", "call succeeds", "successful"})

# observed: a verdict stands at the top or in one of these; one in a list is of an item.
_LEVELS = ("data", "result", "resp_result")
_LEVEL_NAMES = frozenset(_LEVELS)
_DEPTH = 2


def text_of(value: object) -> str | None:
    """A scalar as text; ``None`` for what is missing or no scalar."""
    if value is None or isinstance(value, (dict, list)):
        return None
    return str(value)


def find_failure(
    root: Mapping[str, Any], call: Call, *, has_own_code: bool = False
) -> Failure | None:
    """The failure that a business reports, at whichever level.

    Args:
        call: its secrets are masked in the words.
        has_own_code: ``root`` is a wrapper whose ``code`` is the business's, and not the gateway's.
    """
    levels = _levels(root)
    refusing = next(filter(_refuses, levels), None)
    if refusing is None and has_own_code and _is_refused_by_code(root):
        refusing = root
    if refusing is None:
        return None
    levels = [refusing, *(level for level in levels if level is not refusing)]
    if isinstance(error := root.get("error"), Mapping):
        levels.append(error)
    told = [_fields(level) for level in levels]
    code = _first(told, _CODES)
    return Failure(
        legible(code[:LONGEST_MESSAGE], call.secrets),
        legible(_first(told, _MESSAGES)[:LONGEST_MESSAGE], call.secrets),
        retryable=code.lower() in PASSING_FAILURES,
    )


def _levels(root: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    levels = outer = [root]
    if _LEVEL_NAMES.isdisjoint(root):
        return levels
    for _ in range(_DEPTH):
        outer = [
            inner
            for each in outer
            if not _LEVEL_NAMES.isdisjoint(each)
            for name in _LEVELS
            if isinstance(inner := each.get(name), dict)
        ]
        if not outer:
            break
        levels = levels + outer
    return levels


def _fields(level: Mapping[str, Any]) -> dict[str, str]:
    """The fields of a level that say something here, by their plain names."""
    texts = ((_plain(name), text_of(value)) for name, value in level.items())
    return {plain: text.strip() for plain, text in texts if plain and text is not None}


def _plain(name: str) -> str:
    """A field's name without case and underscores; empty for one that says nothing here."""
    plain = name[:40].lower().replace("_", "")
    return plain if plain in _USED else ""


def _deciding(names: tuple[str, ...]) -> list[str]:
    return [name for name in names if _plain(name) in _DECIDE]


# An API answers with the same names again and again; a map from ids never does.
_deciding_again = lru_cache(maxsize=1_024)(_deciding)
_FEW: Final = 64


def _refuses(level: Mapping[str, Any]) -> bool:
    decide = _deciding_again if len(level) <= _FEW else _deciding
    for name in decide(tuple(level)):
        value = level[name]
        if _plain(name) in _VERDICTS:
            if str(value).strip().lower() in _REFUSALS:
                return True
        elif (text_of(value) or "").strip().lower() not in FINE_CODES:
            return True
    return False


def _is_refused_by_code(root: Mapping[str, Any]) -> bool:
    """A wrapper's own code is a verdict where words stand beside it, or nothing else does.

    Else it may be anything: a voucher's, a country's.
    """
    fields = _fields(root)
    code, words = fields.get("code", ""), _first([fields], _MESSAGES)
    if code.lower() in FINE_CODES or words.lower() in _FINE_WORDS:
        return False
    return bool(words) or root.keys() <= {"code", "request_id", "_trace_id_"}


def _first(levels: Iterable[Mapping[str, str]], names: Iterable[str]) -> str:
    names = tuple(names)
    texts = (level.get(name, "") for level in levels for name in names)
    return next((text for text in texts if text.lower() not in FINE_CODES), "")
