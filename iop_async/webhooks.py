"""What a platform sends by itself: is it the platform's, and what does it say.

Pure functions of what came. :mod:`iop_async.contrib.starlette` has them as routes.

Example::

    message = iop.webhooks.verify_push(app, body=raw_body, authorization=authorization)
    print(message.topic, message.seller_id, message.data)
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from attrs import field, frozen

from ._exceptions import WebhookMessageError, WebhookSignatureError
from ._inputs import require_aware, require_seconds
from ._json import JsonRefused, loads
from ._models import App
from ._scrub import scrubs_frames

# DOC:120164 lists Lazada's; 120196 to 120210, 120255, 121531, 121554 have a page each.
_LAZADA: Final[Mapping[int, str]] = {
    0: "order",
    1: "product_quality",
    3: "product_created",
    4: "product_updated",
    5: "product_deleted",
    6: "stock",
    7: "video",
    8: "token_expiry",
    10: "reverse_order",
    11: "promotion",
    12: "category",
    13: "seller_status",
    14: "fulfillment",
    19: "chat",
    21: "review",
    35: "purchase_order",
}
# DOC:1478 of AliExpress (the service), observed (the types).
_ALIEXPRESS: Final[Mapping[int, str]] = {
    18: "tracking",
    51: "payment",
    53: "order",
    65: "token_expiry",
}
_TOPICS: Final = {"lazada": _LAZADA, "ae": _ALIEXPRESS}

# 120168: the console's test names a seller and an order that nobody has.
_TEST_SELLER, _TEST_ORDER = "9999", "123456"

_MAX_SECONDS: Final = 10**11
"""Beyond it a time is milliseconds, as the same field is in other messages."""

_WINDOW: Final = 7200.0  # 108069: of the timestamp of a call; assumed: of the platform's own alike


@frozen(kw_only=True)
class PushMessage:
    """A message that a platform pushed, its signature verified.

    Messages come at least once, in no order. They name no number by which to tell one from
    another: ``digest`` does, since what is sent again is the same bytes.

    Attributes:
        type: the platform's ``message_type``; ``None`` where a message has none, as Lazada's about
            promotions. One number means different things in different markets.
        topic: what the type means: ``order``, ``reverse_order``, ``payment``, ``tracking``,
            ``token_expiry``, ``product_created`` …; empty where nobody documents it.
        seller_id: whom it is about, as text; ``None`` for those about no seller.
        site: ``lazada_vn``, ``ae_global``, however it was spelled; empty where there is none.
        sent_at: when it was pushed (aware UTC); ``None`` where a message does not say.
        data: what it says, under the platform's names.
        body: the whole message as it was sent.
        digest: SHA-256 of its bytes, to know a repeated one by.

    Example::

        message = iop.webhooks.verify_push(app, body=raw_body, authorization=authorization)
        if message.topic == "order" and not message.is_test:
            print(message.data["trade_order_id"], message.sent_at)
    """

    type: int | None
    topic: str
    seller_id: str | None
    site: str
    sent_at: datetime | None
    data: Mapping[str, Any] = field(repr=False)
    body: Mapping[str, Any] = field(repr=False)
    digest: str = field(repr=False)

    @property
    def authorization_ends_at(self) -> datetime | None:
        """Of a ``token_expiry``: when the seller's authorization ends (aware UTC)."""
        # 120208: seconds, under `data`. assumed: AliExpress's alike, in its camel case.
        values = (self.data.get(name) for name in ("auth_expiry_time", "authExpiryTime"))
        return next(filter(None, map(_moment, values)), None)

    @property
    def is_test(self) -> bool:
        """Whether the console sent it, to see if the endpoint answers; it is about nothing."""
        return self.seller_id == _TEST_SELLER and _TEST_ORDER in map(str, self.data.values())


@frozen(kw_only=True)
class SignedRequest:
    """A request of a platform to a service of yours, its signature verified.

    Attributes:
        path: which service.
        params: what was signed: of the query and of a form. Nothing else of the request was.
        sent_at: when it was signed (aware UTC).

    Example::

        request = iop.webhooks.verify_http_sign(app, url=asked_url, now=datetime.now(UTC))
        print(request.path, request.params["sku"])
    """

    path: str
    params: Mapping[str, str] = field(repr=False)
    sent_at: datetime


@scrubs_frames
def verify_push(app: App, *, body: bytes, authorization: str | None) -> PushMessage:
    """The message in a push, if it is the platform's: Lazada's, AliExpress's, TaoWorld's.

    Nothing is read before the signature is found good. It covers no time, so whoever once saw a
    push can send it again: see ``digest``. Answer 200 within 500 ms, also to a test of the console.

    Args:
        app: whose messages they are; its secret is the key.
        body: as it came, before anything parsed it.
        authorization: the header of that name.

    Raises:
        WebhookSignatureError: there is no signature, or another one.
        WebhookMessageError: it is signed, and no JSON object, or one beyond all bounds.
        TypeError, ValueError: ``app`` has no secret, or ``body`` is no bytes.

    Example::

        message = iop.webhooks.verify_push(app, body=raw_body, authorization=authorization)
        if message.authorization_ends_at:
            print(message.seller_id, "should authorize by", message.authorization_ends_at)
    """
    key = _key(app)
    _require_bytes("body", body)
    # 120168: lower-case hex of HMAC-SHA256 over app key and body. A client in production takes
    # AliExpress's by the same rule, and one TaoWorld's.
    expected = hmac.digest(key, app.key.encode() + body, "sha256").hex()
    _require_same(expected, (authorization or "").strip().lower(), "the header Authorization")
    try:
        message = loads(body, strict=True)
    except JsonRefused as error:
        msg = f"a signed push is {error}"
        raise WebhookMessageError(msg) from None
    if not isinstance(message, dict):
        msg = f"a signed push is a JSON {type(message).__name__} and no object"
        raise WebhookMessageError(msg)
    return _read(message, hashlib.sha256(body).hexdigest())


def _read(message: dict[str, Any], digest: str) -> PushMessage:
    data = message.get("data")
    # 120255: those about promotions have no envelope.
    data = data if isinstance(data, dict) else {} if "message_type" in message else message
    # 120196 lazada_vn, 120197 lazada-sg and LAZADA_SG
    site = str(message.get("site") or "").strip().lower().replace("-", "_")
    type_ = _integer(message.get("message_type"))
    topic = _TOPICS.get(site.partition("_")[0], {}).get(-1 if type_ is None else type_, "")
    return PushMessage(
        type=type_,
        topic=topic or ("promotion" if "promotionId" in data else ""),
        seller_id=_seller_id(message, data),
        site=site,
        sent_at=_moment(message.get("timestamp", data.get("notifyTime"))),
        data=MappingProxyType(data),
        body=MappingProxyType(message),
        digest=digest,  # 120164: without a 200 it comes again, 12 times
    )


def _seller_id(message: Mapping[str, Any], data: Mapping[str, Any]) -> str | None:
    # 120208: the text "null" beside the id in the data. Ids are text or number.
    found = (message.get("seller_id"), data.get("seller_id"), data.get("sellerId"))
    texts = (str(one).strip() for one in found if isinstance(one, str | int))
    return next((text for text in texts if text not in ("", "null")), None)


def _integer(value: Any) -> int | None:
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdigit() and len(value) < 20 else None
    return value if type(value) is int else None


def _moment(value: Any) -> datetime | None:
    # 120196: one field is seconds in one message and milliseconds in the next.
    number = _integer(value)
    if number is None or number <= 0:
        return None
    try:
        seconds = number if number < _MAX_SECONDS else number / 1000
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None


@scrubs_frames
def verify_http_sign(
    app: App, *, url: str, form: bytes = b"", now: datetime, within: float = _WINDOW
) -> SignedRequest:
    """A request that a platform signed by ``http_sign``, as Lazada's to services of sellers.

    Args:
        app: whose services are called; its secret is the key.
        url: as the platform asked for it: before a proxy of yours took a part of the path away.
        form: the body, where it is a form. Any other body is not signed; leave it out, and
            believe nothing of it.
        now: the time (aware).
        within: seconds that the timestamp may be off; within them a request can be sent again.

    Raises:
        WebhookSignatureError: there is no signature or another one; another app's key; a parameter
            twice; or the timestamp is too far off.
        TypeError, ValueError: ``app`` has no secret, ``now`` is naive, or text has no UTF-8 form.

    Example::

        request = iop.webhooks.verify_http_sign(app, url=asked_url, now=datetime.now(UTC))
        sku = request.params["sku"]
    """
    key = _key(app)
    _require_bytes("form", form)
    require_aware("now", now)
    require_seconds("within", within)
    parts = urlsplit(url)
    path = unquote(parts.path)
    params = _params((parts.query, form.decode("utf-8", "replace")))
    claimed = params.pop("http_sign", "")
    _require_same(_http_sign(key, path, params), claimed.lower(), "the parameter http_sign")
    if params.get("app_key") != app.key or params.get("sign_method") != "sha256":
        msg = "the request is signed for another app, or by another method than sha256"
        raise WebhookSignatureError(msg)
    sent_at = _recent(params.get("timestamp"), now, within)
    return SignedRequest(path=path, params=MappingProxyType(params), sent_at=sent_at)


def _http_sign(key: bytes, path: str, params: Mapping[str, str]) -> str:
    # 121791: UPPER hex of HMAC-SHA256 over the path and the sorted parameters of URL and form.
    # 108068: blank ones are not signed.
    text = path + "".join(name + params[name] for name in sorted(params))
    return hmac.digest(key, text.encode(), "sha256").hex()


def _recent(timestamp: object, now: datetime, within: float) -> datetime:
    sent_at = _moment(timestamp)
    if sent_at is None or abs(now - sent_at) > timedelta(seconds=within):
        msg = f"the request was not signed within {within:g} s of now; is this host's clock right?"
        raise WebhookSignatureError(msg)
    return sent_at


def _params(queries: Iterable[str]) -> dict[str, str]:
    pairs = [pair for query in queries for pair in parse_qsl(query)]
    params = dict(pairs)
    if len(params) < len(pairs):  # two readers of it may each take another one
        msg = "the request has a parameter twice"
        raise WebhookSignatureError(msg)
    return params


def _key(app: object) -> bytes:
    if not isinstance(app, App):
        msg = f"app is of type {type(app).__name__}; give an iop_async App"
        raise TypeError(msg)
    if not app.secret:
        msg = "the app has no secret, by which pushes are signed; give the App its secret"
        raise ValueError(msg)
    return app.secret.encode()


def _require_bytes(name: str, value: object) -> None:
    if not isinstance(value, bytes):
        msg = f"{name} is of type {type(value).__name__}; give the bytes, before anything parses it"
        raise TypeError(msg)


def _require_same(expected: str, claimed: str, where: str) -> None:
    if not claimed:
        msg = f"not signed: {where} is missing"
        raise WebhookSignatureError(msg)
    if not hmac.compare_digest(expected.encode(), claimed.encode("utf-8", "replace")):
        msg = f"{where} is not the signature of this app's secret over what came"
        raise WebhookSignatureError(msg)
