"""The TOP dialect: one URL, the API in ``method``, answers wrapped in the method's name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, Final, Literal

from attrs import field, frozen

from .. import _codes
from .._exceptions import IopError
from .._models import App, Call, HttpRequest, HttpResponse, Reply, require_aware
from .._redact import Secret, secrets_in
from ..protocols import Signer
from ..signers import TOP_HMAC_SHA256, string_to_sign
from . import _addresses, _answers, _batches, _bodies
from ._values import text_params
from ._xml import XmlRefused, read_xml

_CHINA: Final = timezone(timedelta(hours=8))


def china_time(moment: datetime) -> str:
    """TOP's form of a time: ``yyyy-MM-dd HH:mm:ss`` in GMT+8, whatever the machine's zone."""
    return moment.astimezone(_CHINA).strftime("%Y-%m-%d %H:%M:%S")


@frozen
class Top:
    """A gateway of the TOP family.

    Args:
        base_url: the whole URL, ``https://eco.taobao.com/router/rest``. Plain http is for
            loopback hosts.
        authorize_url: the page where a seller approves.
        signer: signs every call: :data:`~iop_async.signers.TOP_HMAC_SHA256`,
            :data:`~iop_async.signers.HMAC_MD5` or :data:`~iop_async.signers.TOP_MD5`.
        format: ``json``, or ``xml``, which has no types: every value is text then.
        partner_id: a partner's id, where TOP gave one.
        target_app_key: the app on whose behalf another one calls.
        allow_http: accept plain http to any host: every session then travels in the clear.

    System parameters go into the query, the call's own into a form body, files are multipart.
    """

    base_url: str = field(converter=_addresses.bare)
    authorize_url: str = field(default="https://oauth.taobao.com/authorize", kw_only=True)
    signer: Signer = field(default=TOP_HMAC_SHA256, kw_only=True)
    format: Literal["json", "xml"] = field(default="json", kw_only=True)
    partner_id: str | None = field(default=None, kw_only=True)
    target_app_key: str | None = field(default=None, kw_only=True)
    allow_http: bool = field(default=False, kw_only=True)

    def __attrs_post_init__(self) -> None:
        for url in (self.base_url, self.authorize_url):
            _addresses.require_safe(url, allow_http=self.allow_http)
        if self.format not in ("json", "xml"):
            msg = f"format is {self.format!r}; TOP answers in 'json' or 'xml'"
            raise ValueError(msg)

    def encode(self, app: App, call: Call, *, now: datetime) -> HttpRequest:
        """The signed request; see :class:`~iop_async.protocols.Gateway`.

        Raises:
            TypeError, ValueError: a value that has no agreed text, a parameter that the dialect
                sets itself, an API that is no dotted name, a naive ``now``.
        """
        system = self._system_params(app, now) | self._call_params(call)
        params = text_params(call.params, china_time)
        _bodies.require_disjoint(system, params)
        sign = self.signer.sign(app.secret, "", params | system)
        system["sign"] = Secret(sign)
        return _bodies.request(self.base_url, call, query=system, body=params, boundary=sign)

    def _system_params(self, app: App, now: datetime) -> dict[str, str]:
        require_aware("now", now)
        optional = {"partner_id": self.partner_id, "target_app_key": self.target_app_key}
        return {
            "app_key": app.key,
            "timestamp": china_time(now),
            "v": "2.0",
            "sign_method": self.signer.sign_method,
            "format": self.format,
            **{name: value for name, value in optional.items() if value is not None},
        }

    def _call_params(self, call: Call) -> dict[str, str]:
        if call.is_path:
            msg = f"{call.api!r} is a path; TOP names an API like 'taobao.top.sec.token.get'"
            raise ValueError(msg)
        params = {"method": call.api}
        if call.access_token is not None:
            params["session"] = call.access_token
        if call.simplify is not None:
            params["simplify"] = "true" if call.simplify else "false"
        return params

    def decode(self, call: Call, response: HttpResponse) -> Reply:
        """The reply; see :class:`~iop_async.protocols.Gateway`.

        Raises:
            ApiError: the gateway answered with an error code.
            ProtocolError: the answer is no envelope, or another method's.
        """
        outcome = self.read(call, response)
        if isinstance(outcome, IopError):
            raise outcome
        return outcome

    def read(self, call: Call, response: HttpResponse) -> Reply | IopError:
        """What came back, as a value: the error is not raised."""
        secrets = secrets_in(call.params, call.access_token)
        body = _read_body(response, secrets)
        if isinstance(body, IopError):
            return body
        error = body.get("error_response")
        if isinstance(error, dict):
            return _answers.refusal(_codes.TOP, error, body, response, secrets)
        wrapper = _answers.wrapper_name(call.api)
        root = body.get(wrapper)
        if root is None and call.simplify and not any(n.endswith("_response") for n in body):
            root = body
        if root == "":
            root = {}
        if not isinstance(root, dict):
            return _answers.unreadable(response, f"no {wrapper} in the answer", secrets)
        return _answers.success(root, body, response)

    def encode_batch(self, app: App, calls: Sequence[Call], *, now: datetime) -> HttpRequest:
        """Several calls in one request, each for the seller of its own access token.

        What all of them share is sent once; the signature covers the query and the body.

        Raises:
            TypeError, ValueError: as :meth:`encode`; a call with files, which a batch cannot
                carry; a gateway without batches.
        """
        if not self.base_url.endswith("/rest"):
            msg = f"{self.base_url} has no batch; only an address that ends in /router/rest has"
            raise ValueError(msg)
        queries = [self._query(call) for call in calls]
        body = _batches.join(queries)
        system = self._system_params(app, now)
        text = string_to_sign("", system) + body
        system["sign"] = Secret(self.signer.sign(app.secret, text, {}))
        url = f"{self.base_url.removesuffix('rest')}batch?{_bodies.urlencode(system)}"
        return HttpRequest("POST", url, {"content-type": _batches.CONTENT_TYPE}, body.encode())

    def _query(self, call: Call) -> dict[str, str]:
        if call.files:
            msg = f"{call.api} has files, which a batch cannot carry; call it on its own"
            raise ValueError(msg)
        system = self._call_params(call)
        params = text_params(call.params, china_time)
        _bodies.require_disjoint(system, params)
        return system | params

    def decode_batch(self, calls: Sequence[Call], response: HttpResponse) -> list[Reply | IopError]:
        """What each call came to, in the order of the calls.

        Raises:
            ApiError: the gateway refused the batch as a whole.
            ProtocolError: the answer is no batch of that size.
        """
        parts = _batches.split(response)
        if len(parts) == len(calls):
            return [self.read(call, part) for call, part in zip(calls, parts, strict=True)]
        outcome = self.read(calls[0], response) if len(parts) == 1 else None
        if isinstance(outcome, IopError):
            raise outcome
        raise _answers.unreadable(response, f"{len(parts)} answers to {len(calls)} calls")


def _read_body(response: HttpResponse, secrets: Iterable[str]) -> dict[str, Any] | IopError:
    """JSON or XML, whichever it is: errors come in XML even to those who asked for JSON."""
    if response.content.lstrip()[:1] != b"<":
        return _answers.read_json(response, secrets, strict=False)
    try:
        name, value = read_xml(response.content.strip())
    except XmlRefused as refused:
        return _answers.unreadable(response, f"unreadable XML ({refused})", secrets)
    return {name: value}
