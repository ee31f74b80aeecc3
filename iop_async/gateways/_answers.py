"""Reading of answers, as far as both dialects do it alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote

from attrs import define

from .._codes import HTTP, Codes
from .._exceptions import ApiError, IopError, ProtocolError, SignatureError
from .._json import JsonRefused, loads
from .._models import Call, Reply
from .._redact import legible, redact
from .._refusals import api_error
from .._wire import HttpResponse
from ..signers import STRING_TO_SIGN_HEADER
from ._verdicts import FINE_CODES, find_failure, text_of
from ._xml import XmlRefused, read_xml

EXCERPT: Final = 200
"""Characters of an unreadable answer that its error shows."""

# observed: newer answers carry _trace_id_ beside the request id.
_ENVELOPE = frozenset({"request_id", "_trace_id_"})
# DOC:102707: `msg` and both sub fields are TOP's; 108138: `message` and `type` are IOP's.
_WORDS = frozenset({"message", "msg", "type", "sub_code", "sub_msg"})
_FLAT_ENVELOPE = _ENVELOPE | {"code"}
_ERROR_FIELDS = _ENVELOPE | _WORDS | {"code", "detail"}
# observed: risk control answers JSON with the first two; assumed: proxies say `error`.
_FOREIGN = frozenset({"rgv587_flag", "ret", "error"})
# 108138: the three types of an error; its own headings contradict what each of them means.
_TYPES = frozenset({"isv", "isp", "system"})


@define(eq=False)
class Answer:
    """An answer with what it is read by.

    Args:
        codes: the table of the dialect.
        wrapper: the field that wraps a success; ``None`` where nothing does.
        may_be_flat: a success may come without its wrapper.
        batch: the other calls that it answers, whose secrets are masked in its words as well.
    """

    call: Call
    response: HttpResponse
    codes: Codes
    wrapper: str | None = None
    may_be_flat: bool = True
    batch: Sequence[Call] = ()

    def unreadable(self, reason: str) -> IopError:
        """The error for an answer without an envelope: by its status where that says enough.

        The message shows the status and the first characters, secrets masked.
        """
        content, status = self.response.content, self.response.status
        # More than is shown, so that a secret is masked that begins in the part shown.
        secrets = [secret for call in (self.call, *self.batch) for secret in call.secrets]
        text = redact(content[: 4 * EXCERPT].decode("utf-8", "replace"), secrets)[:EXCERPT]
        start = text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)
        message = f"HTTP {status}, {reason}" + (f": {start!r}" if start else "")
        if str(status) in HTTP:
            return api_error(HTTP, self.call, self.response, str(status), message)
        error = ProtocolError(
            message,
            status=status,
            content=content,
            # A page of a proxy, or half an answer, passes; what is wrong with a request does not.
            retryable=status >= 500 or status < 300,
            may_have_been_applied=not 300 <= status < 500,
        )
        error.sent_at = self.response.received_at
        return error

    def outcome(self, body: dict[str, Any]) -> Reply | IopError:
        """The reply or the error that a decoded answer comes to."""
        # DOC:102707 (TOP); observed of IOP's /sync: an error has this wrapper, simplified or not.
        if "error_response" in body:
            return self._refused(body)
        root = body if self.wrapper is None else body.get(self.wrapper)
        # assumed: an empty result in XML is an empty element, so text.
        root = {} if root == "" else root
        if root is None and not any(name.endswith("_response") for name in body):
            root = body
        if not isinstance(root, dict):
            return self.unreadable(f"no {self.wrapper} in the answer, or one that is no object")
        is_flat, is_envelope = root is body, True
        if is_flat and not (self.wrapper is None and body.get("code") == "0"):
            fields = {name.lower(): value for name, value in body.items()}
            code = (text_of(fields.get("code")) or "").strip().lower()
            if self._is_error(fields, code):
                return self.error(fields, body)
            is_envelope = self.may_be_flat and (bool(code) or self._is_envelope(fields))
        if self.response.status >= 400:
            return self.unreadable("no error code in the answer")
        if not is_envelope:
            return self.unreadable(f"no {self.wrapper or 'code'} in the answer")
        has_own_code = not is_flat and self.wrapper is not None
        return Reply(
            _payload(root, flat=is_flat),
            body,
            request_id=self._request_id(root, body),
            failure=find_failure(root, self.call, has_own_code=has_own_code),
            response=self.response,
        )

    def _refused(self, body: dict[str, Any]) -> IopError:
        error = body["error_response"]
        if isinstance(error, list) and error:
            error = error[0]
        if isinstance(error, dict) and error:
            return self.error(error, body)
        return self.unreadable("an error_response that names no code")

    def _is_error(self, fields: Mapping[str, Any], code: str) -> bool:
        """A flat answer is an error by its code.

        Where a wrapper could have been left out, ``code`` may be a field of the business: it is
        the gateway's where its type or nothing but an error's fields stand beside it, or where it
        is one of the gateway's names.
        """
        if self.wrapper is None:
            # observed: `"0"` is success in every SDK, and 0 as a number in some answers.
            return code not in ("", "0")
        if code in FINE_CODES:
            return False
        is_typed = str(fields.get("type")).lower() in _TYPES and bool(fields.keys() & _WORDS)
        is_named = code in self.codes and not code.isdecimal()
        return is_typed or is_named or fields.keys() <= _ERROR_FIELDS

    def _is_envelope(self, fields: Mapping[str, Any]) -> bool:
        """A flat answer without a code is the gateway's, and no stranger's JSON."""
        if find_failure(fields, self.call) is not None:
            return True
        is_error = bool(fields.keys() & _WORDS) and fields.keys() <= _ERROR_FIELDS
        if fields.get("code") or is_error or fields.keys() & _FOREIGN:
            return False
        # DOC:101617: only `simplify` drops a wrapper; observed: the request id stays all the same.
        is_asked_for = self.wrapper is None or asks_to_simplify(self.call)
        return is_asked_for and bool(fields.keys() & _ENVELOPE)

    def error(self, error: Mapping[str, Any], body: Mapping[str, Any]) -> ApiError:
        """The error that an answer tells of; ``error`` is the part of ``body`` that does."""
        # DOC:102707: `msg` in TOP; observed: IOP says `message` by path and `msg` at /sync.
        text = {name: text_of(value) for name, value in error.items()}
        raised = api_error(
            self.codes,
            self.call,
            self.response,
            text.get("code") or "",
            text.get("message") or text.get("msg") or "",
            sub_code=text.get("sub_code"),
            sub_message=text.get("sub_msg"),
            type=text.get("type"),
            request_id=text.get("request_id") or text_of(body.get("request_id")),
            body=body,
        )
        if isinstance(raised, SignatureError):
            raised.string_to_sign = string_to_sign(self.response)
        return raised

    def _request_id(self, root: Mapping[str, Any], body: Mapping[str, Any]) -> str | None:
        text = text_of(root.get("request_id", body.get("request_id")))
        if text is None:
            return None
        # Every reply has one, so that masking it all would cost half as much as reading the answer.
        secrets = self.call.secrets
        if text.isalnum():
            for secret in secrets:
                if secret[:6] in text:
                    break
            else:
                return text
        return legible(text, secrets)

    def read_json(
        self, *, strict: bool, decimal: bool, max_values: int
    ) -> dict[str, Any] | IopError:
        """The JSON object in the answer, integers exact, or the error where there is none.

        ``strict=False`` reads strings with raw control characters as well.
        """
        content = self.response.content
        if not content.strip():
            return self.unreadable("an empty answer")
        try:
            body = loads(content, strict=strict, decimal=decimal, max_values=max_values)
        except JsonRefused as refused:
            looks = "HTML" if content.lstrip()[:1] == b"<" else str(refused)
            return self.unreadable(looks)
        if isinstance(body, dict):
            return body
        return self.unreadable("JSON that is no object")

    def read_xml(self, *, max_values: int) -> dict[str, Any] | IopError:
        """The root element of the answer by its name, or the error where there is none."""
        try:
            name, value = read_xml(self.response.content.strip(), max_values=max_values)
        except XmlRefused as refused:
            return self.unreadable(f"unreadable XML ({refused})")
        return {name: value}


def string_to_sign(response: HttpResponse) -> str | None:
    """The text that the gateway signed, where it says so: the sandbox does."""
    header = response.headers.get(STRING_TO_SIGN_HEADER)
    return None if header is None else unquote(header)


def asks_to_simplify(call: Call) -> bool:
    """The call asks for an answer without its wrapper."""
    return bool(call.simplify) or str(call.params.get("simplify")).lower() == "true"


def wrapper_name(api: str) -> str:
    """The field that wraps the answer of a dotted API: ``taobao.x.y`` -> ``x_y_response``."""
    # DOC:101617: the method's name without `taobao.`, dots as underscores.
    return f"{api.removeprefix('taobao.').replace('.', '_')}_response"


def _payload(root: Mapping[str, Any], *, flat: bool) -> Any:
    # observed: TaoWorld puts it under `data`, AliExpress under `result`, Lazada at the top.
    for name in ("data", "result"):
        if root.get(name) is not None:
            return root[name]
    rest = dict(root)
    for name in _FLAT_ENVELOPE if flat else _ENVELOPE:
        rest.pop(name, None)
    return rest
