"""The TOP dialect: one URL, the API in ``method``, answers wrapped in the method's name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from attrs import field, frozen

from .. import _codes
from .._exceptions import IopError
from .._inputs import http_headers, require_aware
from .._json import MAX_VALUES
from .._models import App, Call, Reply
from .._redact import Secret
from .._scrub import scrubs_construction, scrubs_frames
from .._unsigned import Unsigned
from .._wire import HttpRequest, HttpResponse
from ..dates import gmt8
from ..endpoints import top
from ..protocols import AwaitingSigner, Signer, TokenEndpoints
from ..signers import TOP_HMAC_SHA256, string_to_sign
from . import _addresses, _batches, _forms
from ._answers import Answer, asks_to_simplify, wrapper_name
from ._forms import DateForm, text_params


@scrubs_construction
@frozen
class Top:
    """A gateway of the TOP family.

    Args:
        base_url: the whole URL, ``https://eco.taobao.com/router/rest``, or ``https://host`` of
            one that ends so. Plain http is for loopback hosts.
        authorize_url: the page where a seller approves.
        signer: signs every call: :data:`~iop_async.signers.TOP_HMAC_SHA256`,
            :data:`~iop_async.signers.HMAC_MD5` or :data:`~iop_async.signers.TOP_MD5`.
        format: ``json``, or ``xml``, which has no types: every value is text then.
        partner_id: a partner's id, where TOP gave one.
        target_app_key: the app on whose behalf another one calls.
        allow_http: accept plain http to any host: every session then travels in the clear.
        date_form: writes a ``datetime`` among the parameters; :mod:`iop_async.dates` has the known
            forms.
        decimal: read JSON numbers with a fraction as ``Decimal``, which keeps their digits and can
            be sent again, and not as ``float``.
        max_answer_values: an answer with more commas, colons and opening brackets (in XML: with
            more tags and attributes) is a ``ProtocolError``: a small answer may become thirty
            times as large in memory.
        headers: sent with every call besides what HTTP needs.

    System parameters go into the query, the call's own into a form body, files are multipart.

    Example::

        gateway = iop.gateways.Top("https://eco.taobao.com/router/rest", format="xml")
        client = iop.Client(app, gateway)
    """

    base_url: str = field(converter=_addresses.router_url)
    # DOC:101617; TOP's own sandbox has a page of its own.
    authorize_url: str = field(default="https://oauth.taobao.com/authorize", kw_only=True)
    signer: Signer | AwaitingSigner = field(default=TOP_HMAC_SHA256, kw_only=True)
    format: Literal["json", "xml"] = field(default="json", kw_only=True)
    partner_id: str | None = field(default=None, kw_only=True)
    target_app_key: str | None = field(default=None, kw_only=True)
    allow_http: bool = field(default=False, kw_only=True)
    date_form: DateForm = field(default=gmt8, repr=False, kw_only=True)
    decimal: bool = field(default=False, kw_only=True)
    max_answer_values: int = field(default=MAX_VALUES, kw_only=True)
    headers: Mapping[str, str] = field(
        factory=dict, converter=http_headers, hash=False, repr=False, kw_only=True
    )

    def __attrs_post_init__(self) -> None:
        for url in (self.base_url, self.authorize_url):
            _addresses.require_safe(url, allow_http=self.allow_http)
        _addresses.require_top(self.base_url)
        if self.format not in ("json", "xml"):
            msg = f"format is {self.format!r}; TOP answers in 'json' or 'xml'"
            raise ValueError(msg)

    @property
    def token_endpoints(self) -> TokenEndpoints:
        """``taobao.top.auth.token.*``."""
        return top

    @scrubs_frames
    def encode(self, app: App, call: Call, *, now: datetime) -> HttpRequest:
        """The signed request; see :class:`~iop_async.protocols.Gateway`.

        Raises:
            TypeError, ValueError: a value that has no agreed text, a parameter that the dialect
                sets itself, an API that is no dotted name, a naive ``now``, a signer that awaits.
            SigningFailed: the signer raised.
        """
        return self.prepare(app, call, now=now).signed(app.secret)

    @scrubs_frames
    def prepare(self, app: App, call: Call, *, now: datetime) -> Unsigned:
        """What is to be signed; see :class:`~iop_async.protocols.SigningGateway`.

        Raises:
            TypeError, ValueError: as :meth:`encode`.
        """
        system = self._system_params(app, now) | self._call_params(call)
        params = text_params(call.params, self.date_form)
        _forms.require_disjoint(system, params)

        def finish(sign: str) -> HttpRequest:
            query = {**system, "sign": Secret(sign)}
            return _forms.request(
                self.base_url, call, self.headers, query=query, body=params, boundary=sign
            )

        return Unsigned(self.signer, "", params | system, finish)

    def _system_params(self, app: App, now: datetime) -> dict[str, str]:
        require_aware("now", now)
        # observed: both go out signed, from the official Java SDK.
        optional = {"partner_id": self.partner_id, "target_app_key": self.target_app_key}
        return {
            "app_key": app.key,
            "timestamp": gmt8(now),
            "v": "2.0",  # DOC:101617: the only version there is
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
            # DOC:101617: the seller's token travels as `session`.
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
        """The outcome of a call as a value: the error is not raised."""
        answer = Answer(
            call,
            response,
            _codes.TOP,
            wrapper=wrapper_name(call.api),
            # DOC:101617: `simplify` drops the wrapper of a success.
            may_be_flat=asks_to_simplify(call),
        )
        # observed: a live ban came as XML; whether it does to whoever asks for JSON is assumed.
        if response.content.lstrip()[:1] == b"<":
            body = answer.read_xml(max_values=self.max_answer_values)
        else:
            body = answer.read_json(
                strict=False, decimal=self.decimal, max_values=self.max_answer_values
            )
        return body if isinstance(body, IopError) else answer.outcome(body)

    @scrubs_frames
    def encode_batch(self, app: App, calls: Sequence[Call], *, now: datetime) -> HttpRequest:
        """Several calls in one request, each for the seller of its own access token.

        What all of them share is sent once; the signature covers the query and the body.

        Raises:
            TypeError, ValueError: as :meth:`encode`; a call with files or headers, which a batch
                cannot carry; a gateway without batches.
            SigningFailed: the signer raised.
        """
        return self.prepare_batch(app, calls, now=now).signed(app.secret)

    @scrubs_frames
    def prepare_batch(self, app: App, calls: Sequence[Call], *, now: datetime) -> Unsigned:
        """What is to be signed of a batch. Raises as :meth:`encode_batch`."""
        if not self.base_url.endswith("/rest"):
            msg = f"{self.base_url} has no batch; only an address that ends in /router/rest has"
            raise ValueError(msg)
        queries = [self._query(call) for call in calls]
        # DOC:104350: the system's parameters in the query; the signature covers them and the body.
        body = _batches.join(queries)
        system = self._system_params(app, now)
        text = string_to_sign("", system) + body

        def finish(sign: str) -> HttpRequest:
            query = _forms.urlencode({**system, "sign": Secret(sign)})
            url = f"{self.base_url.removesuffix('rest')}batch?{query}"
            headers = {**self.headers, "content-type": _batches.CONTENT_TYPE}
            return HttpRequest("POST", url, headers, body.encode())

        return Unsigned(self.signer, text, {}, finish)

    def _query(self, call: Call) -> dict[str, str]:
        if call.files:
            # DOC:104350: no uploads in a batch.
            msg = f"{call.api} has files, which a batch cannot carry; call it on its own"
            raise ValueError(msg)
        if call.headers:
            msg = f"{call.api} has headers, of which a batch has one set; give them to the gateway"
            raise ValueError(msg)
        system = self._call_params(call)
        params = text_params(call.params, self.date_form)
        _forms.require_disjoint(system, params)
        return system | params

    def decode_batch(self, calls: Sequence[Call], response: HttpResponse) -> list[Reply | IopError]:
        """The outcome of each call, in the order of the calls.

        Raises:
            ApiError: the gateway refused the batch as a whole.
            ProtocolError: the answer is no batch of that size.
        """
        # DOC:104350: answers in the order of the calls; a single one to several failed as a whole.
        parts = _batches.split(response, at_most=len(calls) + 1)
        if len(parts) == len(calls):
            return [self.read(call, part) for call, part in zip(calls, parts, strict=True)]
        outcome = self.read(calls[0], response) if len(parts) == 1 else None
        if isinstance(outcome, IopError):
            raise outcome
        count = f"more than {len(calls)}" if len(parts) > len(calls) else len(parts)
        answer = Answer(calls[0], response, _codes.TOP, batch=calls)
        raise answer.unreadable(f"{count} answers to {len(calls)} calls")
