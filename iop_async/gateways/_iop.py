"""The IOP dialect: ``https://host/rest`` + path, or a dotted name through ``https://host/sync``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from attrs import Factory, field, frozen

from .. import _codes
from .._exceptions import IopError
from .._inputs import http_headers, require_aware
from .._json import MAX_VALUES
from .._models import App, Call, Reply
from .._redact import Secret
from .._scrub import scrubs_construction, scrubs_frames
from .._unsigned import Unsigned
from .._wire import HttpRequest, HttpResponse
from ..dates import milliseconds
from ..endpoints import auth
from ..protocols import AwaitingSigner, Signer, TokenEndpoints
from ..signers import HMAC_SHA256
from . import _addresses, _forms, _paths
from ._answers import Answer, wrapper_name
from ._forms import DateForm, text_params

# DOC:120692, 108065: only these go to a market's token host, and without an access token.
_TOKEN_APIS: Final = frozenset(
    {
        "/auth/token/create",
        "/auth/token/refresh",
        "/auth/token/security/create",
        "/auth/token/security/refresh",
    }
)


@scrubs_construction
@frozen
class Iop:
    """A gateway of the IOP family.

    Args:
        base_url: ``https://host``, with or without ``/rest`` or ``/sync``. Plain http is for
            loopback hosts.
        auth_url: where ``/auth/token/*`` is called, if not there (Lazada).
        authorize_url: the page where a seller approves; ``/oauth/authorize`` of the same host by
            default.
        signer: signs every call.
        allow_http: accept plain http to any host: every token then travels in the clear.
        date_form: writes a ``datetime`` among the parameters, in the form that most of the market's
            APIs want; :mod:`iop_async.dates` has those that are known.
        decimal: read numbers with a fraction as ``Decimal``, which keeps their digits and can be
            sent again, and not as ``float``.
        max_answer_values: an answer with more commas, colons and opening brackets is a
            ``ProtocolError``: a small answer may become thirty times as large in memory.
        headers: sent with every call besides what HTTP needs: ``{"X-Protocol": "GOP"}``.

    A path of REST 2.0 is ``/2.0/orders/{orderId}``, with ``orderId`` among the parameters.

    Calls go out as POST with everything in a form body, or as GET with everything in the query
    where asked and short enough.

    Example::

        gateway = iop.gateways.Iop("https://api.taobao.global", decimal=True)
        client = iop.Client(app, gateway)
    """

    base_url: str = field(converter=_addresses.rest_url)
    auth_url: str = field(
        default=Factory(lambda self: self.base_url, takes_self=True),
        converter=_addresses.rest_url,
        kw_only=True,
    )
    authorize_url: str = field(
        default=Factory(
            lambda self: f"{_addresses.root(self.base_url)}/oauth/authorize", takes_self=True
        ),
        kw_only=True,
    )
    signer: Signer | AwaitingSigner = field(default=HMAC_SHA256, kw_only=True)
    allow_http: bool = field(default=False, kw_only=True)
    date_form: DateForm = field(default=milliseconds, repr=False, kw_only=True)
    decimal: bool = field(default=False, kw_only=True)
    max_answer_values: int = field(default=MAX_VALUES, kw_only=True)
    headers: Mapping[str, str] = field(
        factory=dict, converter=http_headers, hash=False, repr=False, kw_only=True
    )

    def __attrs_post_init__(self) -> None:
        for url in (self.base_url, self.auth_url, self.authorize_url):
            _addresses.require_safe(url, allow_http=self.allow_http)
        for url in (self.base_url, self.auth_url):
            _addresses.require_iop(url)

    @property
    def token_endpoints(self) -> TokenEndpoints:
        """``/auth/token/*``."""
        return auth

    @scrubs_frames
    def encode(self, app: App, call: Call, *, now: datetime) -> HttpRequest:
        """The signed request; see :class:`~iop_async.protocols.Gateway`.

        Raises:
            TypeError, ValueError: a value that has no agreed text, a parameter that the dialect
                sets itself, a naive ``now``, a signer that awaits.
            SigningFailed: the signer raised.
        """
        return self._prepare(app, call, now).signed(app.secret)

    @scrubs_frames
    def prepare(self, app: App, call: Call, *, now: datetime) -> Unsigned:
        """What is to be signed; see :class:`~iop_async.protocols.SigningGateway`.

        Raises:
            TypeError, ValueError: as :meth:`encode`.
        """
        return self._prepare(app, call, now)

    def _prepare(self, app: App, call: Call, now: datetime) -> Unsigned:
        require_aware("now", now)
        params = text_params(call.params, self.date_form)
        is_path = call.is_path
        system = self._system_params(app, call, now, is_path=is_path)
        _forms.require_disjoint(system, params)
        path, filled_in = _paths.fill(call.api, params)
        params |= system
        # observed: the official Java SDK sends the parameters of a path, and does not sign them.
        signed = {name: params[name] for name in params.keys() - filled_in} if filled_in else params
        prefix = _paths.signed_path(path) if is_path else ""
        # DOC:120692: business APIs stand beside /rest, not below it.
        url = self._address(call) + path if is_path else f"{_addresses.root(self.base_url)}/sync"

        def finish(sign: str) -> HttpRequest:
            body = {**params, "sign": Secret(sign)}
            return _forms.request(url, call, self.headers, query={}, body=body, boundary=sign)

        return Unsigned(self.signer, prefix, signed, finish)

    def _system_params(
        self, app: App, call: Call, now: datetime, *, is_path: bool
    ) -> dict[str, str]:
        system = {
            "app_key": app.key,
            "timestamp": milliseconds(now),  # 108069: 13 digits, within 7200 s of UTC
            "sign_method": self.signer.sign_method,
        }
        if not is_path:
            # DOC:120693: a dotted name travels in `method` and is signed without a path.
            system |= {"method": call.api, "format": "json"}
        if call.access_token is not None and call.api not in _TOKEN_APIS:
            # observed: SDKs send the token as `session` where the API is dotted, as TOP does.
            system["access_token" if is_path else "session"] = call.access_token
        if call.simplify is not None:
            # observed: the official Python SDK sends this word, lower case.
            system["simplify"] = "true" if call.simplify else "false"
        return system

    def _address(self, call: Call) -> str:
        return self.auth_url if call.api in _TOKEN_APIS else self.base_url

    def decode(self, call: Call, response: HttpResponse) -> Reply:
        """The reply; see :class:`~iop_async.protocols.Gateway`.

        Raises:
            ApiError: the gateway answered with an error code.
            ProtocolError: the answer is no envelope.
        """
        outcome = self.read(call, response)
        if isinstance(outcome, IopError):
            raise outcome
        return outcome

    def read(self, call: Call, response: HttpResponse) -> Reply | IopError:
        """The outcome of a call as a value: a frame that raises must not hold the answer."""
        is_path = call.is_path
        answer = Answer(
            call,
            response,
            _codes.IOP if is_path else _codes.TOP,
            wrapper=None if is_path else wrapper_name(call.api),
        )
        # observed: TOP, whose codes /sync shares, sends an error as XML.
        if response.content.lstrip()[:6].startswith((b"<?xml", b"<error")):
            body = answer.read_xml(max_values=self.max_answer_values)
        else:
            body = answer.read_json(
                strict=True,
                # A token is kept as JSON, which has no Decimal.
                decimal=self.decimal and call.api not in _TOKEN_APIS,
                max_values=self.max_answer_values,
            )
        return body if isinstance(body, IopError) else answer.outcome(body)
