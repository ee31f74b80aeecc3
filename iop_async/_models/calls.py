"""An app, a call, and what came of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import datetime
from functools import lru_cache, partial
from typing import Any, Final, Self

from attrs import evolve, field, frozen

from .._exceptions import BusinessFailure
from .._inputs import (
    api_name,
    http_headers,
    mapping,
    require_access_token,
    require_credential,
    require_seconds,
)
from .._redact import NotPickled, Secret, is_secret, redact_tree, secrets_in
from .._scrub import scrubs_construction
from .._wire import File, FileContent, HttpMethod, HttpResponse, Lane

# 108260: /auth/token/create and its kin; 101617: taobao.top.auth.token.create
_TOKEN_API = re.compile(r"[./]auth[./]token[./]")


def secret_text(value: str | None) -> str | None:
    """Text that is a secret, as one that shows itself to nobody; for fields of values."""
    return Secret(value) if isinstance(value, str) and type(value) is not Secret else value


def _app_key(value: str | int) -> str:
    # Keys are digits, and arrive as numbers from YAML, JSON and databases.
    return str(value) if type(value) is int else value  # type: ignore[return-value] # checked below


NO_SECRET: Final = Secret("")


@scrubs_construction
@frozen
class App(NotPickled):
    """An application registered on an open platform.

    Args:
        key: the app key, public; an ``int`` is taken for its digits.
        secret: the app secret that signs every call; in no ``repr`` and in no pickle. Left out
            where a signer of the gateway has it elsewhere.

    Example::

        app = iop.App(key="12345678", secret=os.environ["IOP_APP_SECRET"])
    """

    key: str = field(converter=_app_key)
    secret: str = field(default=NO_SECRET, converter=secret_text, repr=False)

    def __attrs_post_init__(self) -> None:
        hint = "copy it from the app's page in the platform's console"
        require_credential("App key", self.key, hint)
        if self.secret is not NO_SECRET:
            require_credential("App secret", self.secret, hint)


def _files(files: Mapping[str, File | FileContent] | None) -> dict[str, File]:
    if files is None:
        return {}
    return {
        name: content if isinstance(content, File) else File(content)
        for name, content in mapping("files", files).items()
    }


def _params(params: Mapping[str, object] | None) -> Mapping[str, object]:
    return mapping("params", params)


@lru_cache(maxsize=1_024)
def _lane(api: str) -> Lane:
    return "tokens" if _TOKEN_API.search(api) else "calls"


@scrubs_construction
@frozen(slots=False)
class Call:
    """One call of one API, before any dialect has put it into a request.

    A pickle is clear text, so it leaves out the access token, the headers and every parameter that
    is a secret by its name.

    Args:
        api: a path (``/order/get``; a ``/rest`` before it belongs to the address and is dropped) or
            a dotted name (``aliexpress.solution.order.get``).
        params: business parameters; see the gateways for how values become text.
        http_method: ``GET`` becomes ``POST`` where there are files or the URL would grow long.
        files: name to :class:`File`, ``bytes``, path or open binary file.
        access_token: the seller's token, for calls that need one.
        idempotent: whether repeating the call is harmless; ``None`` where nobody said.
        simplify: ask for the answer without its wrapper; ``None`` leaves it to the gateway.
        timeout: seconds for all of it; the transport's own limits hold as well.
        headers: sent besides what HTTP needs, and not signed.

    Example::

        call = iop.Call("/order/get", {"order_id": 42}, access_token=token.access_token)
        request = gateway.encode(app, call, now=datetime.now(UTC))
    """

    api: str = field(converter=api_name)
    params: Mapping[str, object] = field(
        default=None,
        converter=_params,
        repr=lambda params: repr(sorted(params)),
    )
    http_method: HttpMethod = field(default="POST", kw_only=True)
    files: Mapping[str, File] = field(default=None, converter=_files, kw_only=True)
    access_token: str | None = field(default=None, converter=secret_text, kw_only=True, repr=False)
    idempotent: bool | None = field(default=None, kw_only=True)
    simplify: bool | None = field(default=None, kw_only=True)
    timeout: float | None = field(default=None, kw_only=True)
    headers: Mapping[str, str] = field(
        default=None, converter=http_headers, kw_only=True, repr=False
    )

    def __reduce__(self) -> tuple[Callable[..., Call], tuple[object, ...]]:
        params = {
            name: redact_tree(value)
            for name, value in self.params.items()
            if not is_secret(self.api, name)
        }
        options: dict[str, Any] = {
            "http_method": self.http_method,
            "files": self.files,
            "idempotent": self.idempotent,
            "simplify": self.simplify,
            "timeout": self.timeout,
        }
        return partial(type(self), **options), (self.api, params)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return evolve(self, params=deepcopy(self.params, memo))

    @property
    def secrets(self) -> frozenset[str]:
        """Its secret values, to be masked wherever somebody repeats them."""
        secrets = secrets_in(self.api, self.params)
        return secrets if self.access_token is None else secrets | {self.access_token}

    @property
    def lane(self) -> Lane:
        """Whose connections it may take; see :class:`HttpRequest`."""
        return _lane(self.api)

    @property
    def is_path(self) -> bool:
        """True for an API named by a path, which is part of the signed text."""
        # observed: the official Python SDK signs the path where there is a slash in the name.
        return self.api.startswith("/")

    def __attrs_post_init__(self) -> None:
        if self.http_method not in ("GET", "POST"):
            msg = f"http_method is {self.http_method!r}; the gateways take 'GET' or 'POST'"
            raise ValueError(msg)
        if self.timeout is not None:
            require_seconds("timeout", self.timeout)
        if self.access_token is not None:
            require_access_token(self.access_token)


@frozen
class Failure:
    """A business failure inside an answer that the gateway itself calls a success.

    Attributes:
        code: the business's own code; empty where it gives none.
        message: its words, the secrets of the call masked.
        retryable: it is known to pass by itself.

    Example::

        reply = await seller.call("/orders/get", {"limit": 1})
        if reply.failure is not None:
            print(reply.failure.code, reply.failure.message)
    """

    code: str
    message: str
    retryable: bool = False


@frozen(slots=False)
class Reply:
    """A successful answer.

    A pickle is clear text, so secrets in ``data`` and ``body`` are masked in it, and it leaves out
    headers and content of the ``response``.

    Attributes:
        data: the payload: what stands under ``data``, else under ``result``, else every field
            that is not the envelope's own.
        body: the whole decoded answer, as the gateway sent it.
        request_id: what the platform's support asks for.
        failure: the failure that the business behind the gateway reports of the whole call, if
            it does: the gateway answers ``code: "0"`` all the same. Verdicts on single items
            (``item_err_code`` in a list, say) are the caller's to read.
        sent_at: when the request was sent (aware UTC); lifetimes in the answer count from it.
        response: the HTTP answer itself.

    Example::

        reply = await seller.call("/orders/get", {"limit": 1})
        print(reply.data["orders"][0]["order_id"], reply.request_id)
    """

    data: Any = field(repr=False)
    body: Any = field(default=None, repr=False)
    request_id: str | None = None
    failure: Failure | None = None
    sent_at: datetime | None = None
    response: HttpResponse | None = None

    def __reduce__(self) -> tuple[type[Self], tuple[object, ...]]:
        data, body = redact_tree((self.data, self.body))
        response = self.response and HttpResponse(self.response.status, {}, b"")
        values = (data, body, self.request_id, self.failure, self.sent_at, response)
        return type(self), values

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        data, body = deepcopy((self.data, self.body), memo)
        return evolve(self, data=data, body=body)

    @property
    def failed(self) -> bool:
        """True where the business behind the gateway reports a failure; see ``failure``."""
        return self.failure is not None

    def raise_for_failure(self) -> Reply:
        """The reply itself, where the business did what it was asked.

        Raises:
            BusinessFailure: it reports a failure.
        """
        if self.failure is not None:
            raise BusinessFailure(self.failure, self)
        return self
