"""From what a gateway said to the error that says it: class, facts, advice, a bounded wait."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any, Final

from ._codes import HTTP, NOTHING_SENT, UNKNOWN, Codes, Rule
from ._exceptions import ApiError, AuthError, ClockError
from ._models import Call
from ._wire import HttpResponse

_LONGEST_WAIT: Final = 900.0
"""Seconds that an answer may postpone a call by, unless it names a quota of the day."""

# DOC:108426: quotas of a day end at midnight in GMT+8.
_CHINA = timezone(timedelta(hours=8))
_NEARLY: Final = 600.0
_YEARS = range(1971, 9000)
_LONGEST_NAME: Final = 200
LONGEST_MESSAGE: Final = 16_384
"""Characters of a gateway's words that are shown and read; the answer itself has all of them."""

# observed: "this ban will last 1 seconds", "for 2 more seconds", "..., ban will last 1 seconds";
# the other units and orders are assumed.
_BAN = re.compile(
    r"\bbann?(?:ed)?\b[^0-9]{0,40}+(?P<number>[0-9]++(?:,[0-9]{3})*+(?:\.[0-9]++)?)"
    r"\s{0,3}+(?:more\s{1,3}+)?(?P<unit>ms|milli|s\b|sec|min|h\b|hour)",
    re.IGNORECASE,
)
_UNITS = {
    "ms": 0.001,
    "milli": 0.001,
    "s": 1.0,
    "sec": 1.0,
    "min": 60.0,
    "h": 3600.0,
    "hour": 3600.0,
}

# observed: families of sub codes. TOP's rule (DOC:102707): isp.* passes, isv.* is a mistake. A
# number or F00-... is the API's own and means nothing beside the platform's codes of that number.
_BAD = "(?:illegal|invalid|expired?)"
_ACCESS = "(?:access[-_. ]?token|session[-_. ]?(?:key)?)"
_REFRESH = "refresh[-_. ]?token"

_FAMILIES: Final = {
    "business": re.compile(r"\d+|f\d\d-.*"),
    "limit": re.compile(
        r".{0,60}(?:(?:call|business|frequency|flow|traffic|qps)[-_. ]?(?:limit|control)"
        r"|throttl|too[-_. ]?many[-_. ]?(?:call|request)).*"
    ),
    "refresh-token": re.compile(
        rf".{{0,30}}(?:{_BAD}[-_. ]?{_REFRESH}|{_REFRESH}[-_. ]?(?:is[-_. ]?)?(?:{_BAD}|not)).*"
    ),
    "access-token": re.compile(
        rf".{{0,30}}(?:{_BAD}[-_. ]?{_ACCESS}|{_ACCESS}[-_. ]?(?:is[-_. ]?)?(?:{_BAD}|not)).*"
    ),
    "isv": re.compile(r"isv\..*"),
    "isp": re.compile(r"isp\..*"),
}
"""The first whose pattern a code in lower case fits, whole."""


def api_error(
    codes: Codes,
    call: Call,
    response: HttpResponse,
    code: str,
    message: str,
    *,
    sub_code: str | None = None,
    sub_message: str | None = None,
    type: str | None = None,
    request_id: str | None = None,
    body: Any = None,
) -> ApiError:
    """The error for an answer, by the most specific row that there is for its codes."""
    rule = _rule(codes, call, code, sub_code or "")
    if rule is UNKNOWN:
        status = "5xx" if response.status >= 500 else ""
        rule = HTTP.get(str(response.status)) or HTTP.get(status, rule)
    words = "; ".join(filter(None, (message, sub_message)))[:LONGEST_MESSAGE]
    error = rule.error(
        code[:_LONGEST_NAME],
        words,
        sub_code=sub_code and sub_code[:_LONGEST_NAME],
        type=type and type[:_LONGEST_NAME],
        request_id=request_id and request_id[:_LONGEST_NAME],
        body=body,
        advice=_advice(rule, call),
        retry_after=_wait(rule, words, response),
        secrets=call.secrets,
    )
    _state_facts(error, rule, call, response)
    return error


def _state_facts(error: ApiError, rule: Rule, call: Call, response: HttpResponse) -> None:
    error.content = response.content
    error.sent_at = response.received_at
    error.may_have_been_applied = rule.may_have_been_applied
    error.affects_every_seller = rule.affects_every_seller
    error.scope = rule.scope
    # The one input of a refresh is its token.
    error.refresh_token_rejected = rule.refresh_token_rejected or (
        rule.input_rejected and "refresh_token" in call.params
    )
    if isinstance(error, AuthError):
        error.access_token_rejected = rule.access_token_rejected
    if isinstance(error, ClockError):
        error.gateway_time = date_of(response.headers.get("date"))


def _rule(codes: Codes, call: Call, code: str, sub_code: str) -> Rule:
    code, sub_code = _plain(code), _plain(sub_code)
    family = _family(sub_code)
    namespace = call.api.partition(".")[0].lower()
    keys = (
        # A number among the sub codes is the business's own, whatever it is among the codes.
        "" if sub_code.isdecimal() else sub_code,
        f"{code}/{family}",
        # These two say whose fault it is; the other families say what it is, whatever the code.
        "" if family in ("isv", "isp") else family,
        f"{code}@{namespace}",
        code,
        family,
        _family(code),
    )
    return next((codes[key] for key in keys if key in codes), UNKNOWN)


def _plain(code: str) -> str:
    """A code as the tables have it; Lazada's ``E1002`` and ``E006`` are 1002 and 6."""
    code = code[:_LONGEST_NAME].strip().lower()
    # observed: "E901: The request is too frequent", of what Lazada's pages call 901.
    number = code.removeprefix("e")
    return number.lstrip("0") or "0" if number.isascii() and number.isdecimal() else code


def _family(code: str) -> str:
    return next((name for name, fits in _FAMILIES.items() if fits.fullmatch(code)), "")


def _advice(rule: Rule, call: Call) -> str:
    sent = call.access_token or call.params.keys() & {"access_token", "session"}
    return NOTHING_SENT if rule.access_token_rejected and not sent else rule.advice


def _wait(rule: Rule, words: str, response: HttpResponse) -> float | None:
    """Seconds to wait: those of a ban in the words, else those of ``Retry-After``; bounded."""
    seconds = ban_seconds(words)
    if seconds is None:
        seconds = header_seconds(response)
    now = date_of(response.headers.get("date")) or response.received_at
    tomorrow = now.astimezone(_CHINA).date() + timedelta(days=1)
    midnight = datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=_CHINA)
    rest_of_day = (midnight - now).total_seconds()
    if rule.until_midnight:
        return rest_of_day if seconds is None else min(seconds, rest_of_day)
    if seconds is None or seconds <= _LONGEST_WAIT:
        return seconds
    # DOC:108426: a quota of one API ends at midnight too, and its ban tells the seconds until then.
    return rest_of_day if abs(seconds - rest_of_day) < _NEARLY else _LONGEST_WAIT


def ban_seconds(words: str) -> float | None:
    """Seconds that a ban lasts, by the platform's words about it; ``None`` where they name none."""
    ban = _BAN.search(words)
    return (
        None if ban is None else float(ban["number"].replace(",", "")) * _UNITS[ban["unit"].lower()]
    )


def header_seconds(response: HttpResponse) -> float | None:
    """``Retry-After``, in seconds or as a date; a date counts from the answer's own ``Date``."""
    value = response.headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        until = date_of(value)
        now = date_of(response.headers.get("date")) or response.received_at
        return None if until is None else max((until - now).total_seconds(), 0.0)
    return seconds if seconds >= 0 else None  # so not where it is no number


def date_of(header: str | None) -> datetime | None:
    """A date as HTTP writes it; ``None`` for anything else."""
    if header is None or len(header) > 64:
        return None
    try:
        moment = parsedate_to_datetime(header)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.year not in _YEARS:
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC)
