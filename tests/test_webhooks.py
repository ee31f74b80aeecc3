"""What a platform sends by itself: verified over raw bytes first, and read after that."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import iop_async as iop

VECTORS = Path(__file__).parent / "vectors" / "webhooks"
PUSHES = json.loads((VECTORS / "push.json").read_text())
REQUESTS = json.loads((VECTORS / "http_sign.json").read_text())
APP = iop.App("123456", "helloworld")
NOW = datetime(2025, 11, 28, 7, tzinfo=UTC)


def by_id(vector):
    return vector["id"]


def of(vector):
    return iop.App(vector["app_key"], vector["secret"])


def signed(body, app=APP):
    import hashlib
    import hmac

    return hmac.new(app.secret.encode(), app.key.encode() + body, hashlib.sha256).hexdigest()


@pytest.mark.parametrize("vector", PUSHES, ids=by_id)
def test_a_push_of_the_platform_s_pages_is_read(vector):
    """Every spelling of site, seconds and milliseconds, ids as text and number, no envelope."""
    body = vector["body"].encode()
    message = iop.webhooks.verify_push(of(vector), body=body, authorization=vector["authorization"])
    expected = {"authorization_ends_at": None, "is_test": False, **vector["message"]}
    for name in ("sent_at", "authorization_ends_at"):
        expected[name] = expected[name] and datetime.fromisoformat(expected[name])
    assert {name: getattr(message, name) for name in expected} == expected
    assert dict(message.body) == json.loads(body)


@pytest.mark.parametrize("vector", PUSHES, ids=by_id)
def test_any_other_byte_key_or_secret_is_refused(vector):
    """Also bytes that are the same JSON: it is the bytes that are signed."""
    body, header = vector["body"].encode(), vector["authorization"]
    same_json = json.dumps(json.loads(body), indent=1).encode()
    for forged in (body + b" ", body[:-1], b"", same_json):
        with pytest.raises(iop.WebhookSignatureError):
            iop.webhooks.verify_push(of(vector), body=forged, authorization=header)
    for app in (iop.App("123457", "helloworld"), iop.App("123456", "goodbye")):
        with pytest.raises(iop.WebhookSignatureError):
            iop.webhooks.verify_push(app, body=body, authorization=header)


@pytest.mark.parametrize("header", [None, "", "  ", "Bearer x", "0" * 64, "é" * 64, "\udc80"])
def test_no_header_and_any_other_is_refused(header):
    """Also those that are no ASCII, of which ``compare_digest`` would raise a ``TypeError``."""
    with pytest.raises(iop.WebhookSignatureError) as caught:
        iop.webhooks.verify_push(APP, body=b"{}", authorization=header)
    assert not header or not header.strip() or header not in str(caught.value)


def test_the_signature_is_compared_in_constant_time(monkeypatch):
    """By the one function that promises it."""
    compared = []
    monkeypatch.setattr(
        "iop_async.webhooks.hmac.compare_digest", lambda a, b: compared.append((a, b)) or a == b
    )
    iop.webhooks.verify_push(APP, body=b"{}", authorization=signed(b"{}"))
    assert compared == [(signed(b"{}").encode(),) * 2]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b'"x"', b"{", b'{"a":1}x', b"\xff", b"[" * 50_000, b"NaN"]
)
def test_what_is_signed_and_no_message_has_its_own_error(body):
    """The platform would send it again for hours; nothing of it is repeated in words."""
    with pytest.raises(iop.WebhookMessageError):
        iop.webhooks.verify_push(APP, body=body, authorization=signed(body))


@given(
    st.dictionaries(
        st.sampled_from(
            ["seller_id", "message_type", "data", "timestamp", "site", "sellerId", "notifyTime"]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["seller_id", "auth_expiry_time", "promotionId", "x"]), inner
                )
            ),
        ),
    )
)
def test_any_signed_object_is_a_message(fields):
    """Of whatever types its fields are: a wrong guess must not make the platform send it again."""
    body = json.dumps(fields).encode()
    message = iop.webhooks.verify_push(APP, body=body, authorization=signed(body))
    assert message.sent_at is None or message.sent_at.tzinfo is UTC
    assert message.authorization_ends_at is None or message.authorization_ends_at.tzinfo is UTC
    assert message.type is None or type(message.type) is int
    assert isinstance(message.is_test, bool)


@pytest.mark.parametrize("digits", [12, 20, 400])
def test_a_time_beyond_all_calendars_is_none(digits):
    """However many digits it has: no float holds some."""
    body = b'{"timestamp": %b}' % (b"9" * digits)
    message = iop.webhooks.verify_push(APP, body=body, authorization=signed(body))
    assert (message.sent_at is None) == (digits > 12)


def test_equal_bytes_have_one_digest_and_others_another():
    """What is sent again is told by it."""
    one, other = (
        iop.webhooks.verify_push(APP, body=body, authorization=signed(body)).digest
        for body in (b'{"a":1}', b'{"a": 1}')
    )
    assert len(one) == 64
    assert one != other


def test_a_message_is_frozen_and_shows_little():
    """Its data is a buyer's or a seller's."""
    body = b'{"data":{"phone":"0151"},"message_type":0,"site":"lazada_vn"}'
    message = iop.webhooks.verify_push(APP, body=body, authorization=signed(body))
    assert "0151" not in repr(message)
    with pytest.raises(TypeError):
        message.data["phone"] = "x"


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ({"app": "123456"}, TypeError, "app is of type str"),
        ({"app": iop.App("123456")}, ValueError, "no secret"),
        ({"body": "{}"}, TypeError, "body is of type str; give the bytes"),
        ({"body": {}}, TypeError, "body is of type dict"),
    ],
)
def test_bad_arguments_say_what_to_give(arguments, kind, words):
    """A parsed body is the mistake that everybody makes once."""
    given = {"app": APP, "body": b"{}", "authorization": None, **arguments}
    with pytest.raises(kind, match=words):
        iop.webhooks.verify_push(
            given["app"], body=given["body"], authorization=given["authorization"]
        )


@pytest.mark.parametrize("vector", REQUESTS, ids=by_id)
def test_a_signed_request_is_read(vector):
    """Over path, query and form; what was not signed is not given."""
    request = iop.webhooks.verify_http_sign(
        of(vector), url=vector["url"], form=vector["form"].encode(), now=NOW
    )
    assert dict(request.params) == vector["params"]
    assert request.sent_at == datetime.fromisoformat(vector["sent_at"])
    assert request.path == vector["string_to_sign"].partition("app_key")[0].partition("Zone")[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda url: url.replace("http_sign=", "sign="), "http_sign is missing"),
        (lambda url: url.replace("/spi/", "/spy/"), "not the signature"),
        (lambda url: url + "&more=1", "not the signature"),
        (lambda url: url + "&sku=x", "parameter twice"),
        (lambda url: url + "&http_sign=" + "0" * 64, "parameter twice"),
        (lambda url: url[:-1], "not the signature"),
    ],
)
def test_a_changed_request_is_refused(change, words):
    """Whatever part of it was changed."""
    with pytest.raises(iop.WebhookSignatureError, match=words):
        iop.webhooks.verify_http_sign(APP, url=change(REQUESTS[0]["url"]), now=NOW)


@pytest.mark.parametrize("off", [timedelta(seconds=7201), timedelta(seconds=-7201)])
def test_a_request_of_another_time_is_refused(off):
    """Else whoever saw one could send it for ever."""
    url = REQUESTS[0]["url"]
    assert iop.webhooks.verify_http_sign(APP, url=url, now=NOW + off * 0.999)
    with pytest.raises(iop.WebhookSignatureError, match="within 7200 s"):
        iop.webhooks.verify_http_sign(APP, url=url, now=NOW + off)
    with pytest.raises(iop.WebhookSignatureError, match="within 60 s"):
        iop.webhooks.verify_http_sign(APP, url=url, now=NOW + off / 10, within=60)


def test_a_request_signed_for_another_app_or_by_another_method_is_refused():
    """Although the secret is the same: the platform says whom it means."""
    from urllib.parse import urlencode

    for name, value in (("app_key", "999"), ("sign_method", "hmac"), ("timestamp", "soon")):
        params = {"app_key": "123456", "sign_method": "sha256", "timestamp": "1764313200000"}
        params[name] = value
        text = "/spi" + "".join(key + params[key] for key in sorted(params))
        sign = iop.signers.HMAC_SHA256.sign("helloworld", text, {})
        url = f"https://me.example/spi?{urlencode(params)}&http_sign={sign}"
        with pytest.raises(iop.WebhookSignatureError):
            iop.webhooks.verify_http_sign(APP, url=url, now=NOW)
    with pytest.raises(ValueError, match="naive"):
        iop.webhooks.verify_http_sign(APP, url="/", now=datetime(2025, 1, 1))  # noqa: DTZ001
