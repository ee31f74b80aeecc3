"""What both dialects share when they read an answer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import unquote

from .._codes import HTTP, Codes, api_error
from .._exceptions import ApiError, IopError, ProtocolError, SignatureError
from .._models import Failure, HttpResponse, Reply
from .._redact import redact

STRING_TO_SIGN_HEADER: Final = "x-sandbox-string-to-sign"
"""Percent-encoded UTF-8."""

EXCERPT: Final = 200
"""Characters of an unreadable answer that its error shows."""

_ENVELOPE = frozenset({"request_id", "_trace_id_"})
_FINE_CODES = frozenset({"", "0", "00", "200", "405", "none"})
_BUSINESS_CODES = ("biz_error_code", "rsp_code", "resp_code")
_CODES = (*_BUSINESS_CODES, "error_code", "errorcode", "msg_code", "code")
_MESSAGES = (
    "biz_error_msg", "rsp_msg", "resp_msg", "error_msg", "errormsg", "error_message",
    "biz_message", "msg", "message",
)  # fmt: skip


def unreadable(response: HttpResponse, what: str, secrets: Iterable[str] = ()) -> IopError:
    """The error for an answer without an envelope: by its status where that says enough.

    The message shows the status and the first characters, secrets masked.
    """
    text = redact(response.content[: 20 * EXCERPT].decode("utf-8", "replace"), secrets)
    start = "".join(c if c.isprintable() else " " for c in text[:EXCERPT])
    status = response.status
    message = f"HTTP {status}, {what}" + (f": {start!r}" if start else "")
    if str(status) in HTTP:
        return api_error(HTTP, str(status), message, retry_after=retry_after(response))
    return ProtocolError(
        message,
        status=status,
        content=response.content,
        retryable=status >= 500,
        may_have_been_applied=not 300 <= status < 500,
    )


def retry_after(response: HttpResponse) -> float | None:
    """Seconds in the ``Retry-After`` header, where it gives seconds."""
    value = response.headers.get("retry-after", "").strip()
    return float(value) if value.isdecimal() and len(value) < 10 else None


def string_to_sign(response: HttpResponse) -> str | None:
    """What the gateway signed, where it says so: the sandbox does."""
    header = response.headers.get(STRING_TO_SIGN_HEADER)
    return None if header is None else unquote(header)


def read_json(
    response: HttpResponse, secrets: Iterable[str], *, strict: bool
) -> dict[str, Any] | IopError:
    """The JSON object in an answer, integers exact, or the error where there is none.

    ``strict=False`` reads strings with raw control characters as well.
    """
    content = response.content
    if not content.strip():
        return unreadable(response, "an empty answer")
    try:
        body = json.loads(content, strict=strict)
    except (ValueError, RecursionError):
        looks = "HTML" if content.lstrip()[:1] == b"<" else "unreadable JSON"
        return unreadable(response, looks, secrets)
    if isinstance(body, dict):
        return body
    return unreadable(response, "JSON that is no object", secrets)


def text_of(value: object) -> str | None:
    """A scalar as text; ``None`` for what is missing or no scalar."""
    if value is None or isinstance(value, (dict, list)):
        return None
    return str(value)


def wrapper_name(api: str) -> str:
    """The field that wraps the answer of a dotted API: ``taobao.x.y`` -> ``x_y_response``."""
    return f"{api.removeprefix('taobao.').replace('.', '_')}_response"


def success(root: dict[str, Any], body: dict[str, Any], response: HttpResponse) -> Reply:
    """The reply in ``root``, which is what the answer wraps, or all of it."""
    return Reply(
        _payload(root, flat=root is body),
        body,
        request_id=text_of(root.get("request_id", body.get("request_id"))),
        failure=find_failure(root),
        response=response,
    )


def _payload(root: Mapping[str, Any], *, flat: bool) -> Any:
    for name in ("data", "result"):
        if root.get(name) is not None:
            return root[name]
    envelope = _ENVELOPE | {"code"} if flat else _ENVELOPE
    return {name: value for name, value in root.items() if name not in envelope}


def refusal(
    codes: Codes,
    error: Mapping[str, Any],
    body: Mapping[str, Any],
    response: HttpResponse,
    secrets: Iterable[str],
) -> ApiError:
    """The error that an answer tells of; ``error`` is the part of ``body`` that does."""
    text = {name: text_of(value) for name, value in error.items()}
    raised = api_error(
        codes,
        text.get("code") or "",
        text.get("message") or text.get("msg") or "",
        sub_code=text.get("sub_code"),
        sub_message=text.get("sub_msg"),
        type=text.get("type"),
        request_id=text.get("request_id") or text_of(body.get("request_id")),
        body=body,
        retry_after=retry_after(response),
        secrets=secrets,
    )
    if isinstance(raised, SignatureError):
        raised.string_to_sign = string_to_sign(response)
    return raised


def find_failure(root: Mapping[str, Any]) -> Failure | None:
    """A business failure in an answer that the gateway calls a success, at any level it is told.

    Codes that mean success vary: ``0``, ``"00"``, ``200``; AliExpress answers 405 for an empty
    result.
    """
    for name in (None, "result", "resp_result"):
        level = root if name is None else root.get(name)
        if isinstance(level, Mapping):
            fields = {key.lower(): value for key, value in level.items()}
            refused = str(fields.get("success", True)).lower() == "false"
            codes = [text_of(fields.get(code)) or "" for code in _BUSINESS_CODES]
            if refused or any(code.lower() not in _FINE_CODES for code in codes):
                return Failure(_first(fields, _CODES), _first(fields, _MESSAGES))
    return None


def _first(fields: Mapping[str, Any], names: Iterable[str]) -> str:
    texts = (text_of(fields.get(name)) for name in names)
    return next((text for text in texts if text and text.lower() not in _FINE_CODES), "")
