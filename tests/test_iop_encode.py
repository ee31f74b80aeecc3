"""From a call to a request: what is signed is what is sent."""

import io
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iop_async import App, Call, File, gateways, signers

APP = App("123456", "helloworld")
GATEWAY = gateways.TAOBAO_GLOBAL
NOW = datetime(2018, 2, 5, 8, 46, 32, tzinfo=UTC)


def encode(api, params=None, *, gateway=GATEWAY, app=APP, now=NOW, **options):
    return gateway.encode(app, Call(api, params, **options), now=now)


def form(request):
    return dict(parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True))


def sent(params):
    """What becomes of business parameters on the wire."""
    system = {"app_key", "timestamp", "sign_method", "sign"}
    return {k: v for k, v in form(encode("/a", params)).items() if k not in system}


def test_the_published_example_as_a_whole_request():
    """Vector V1, end to end: path, form, time and token."""
    request = encode("/order/get", {"order_id": 1234}, access_token="test", now=NOW)
    assert request.method == "POST"
    assert request.url == "https://api.taobao.global/rest/order/get"
    assert form(request) == {
        "access_token": "test",
        "app_key": "123456",
        "order_id": "1234",
        "sign": "4190D32361CFB9581350222F345CB77F3B19F0E31D162316848A2C1FFD5FAB4A",
        "sign_method": "sha256",
        "timestamp": "1517820392000",
    }


def test_get_puts_everything_into_the_query():
    """The same parameters and signature, in the URL, and no body."""
    post = encode("/order/get", {"order_id": 1, "note": "a b+c"})
    get = encode("/order/get", {"order_id": 1, "note": "a b+c"}, http_method="GET")
    assert (get.method, get.body) == ("GET", b"")
    assert dict(parse_qsl(urlsplit(get.url).query)) == form(post)


def test_a_long_request_never_goes_into_a_url():
    """A gateway answers 414 to a long URL."""
    request = encode("/a", {"payload": "x" * 3000}, http_method="GET")
    assert request.method == "POST"
    assert "?" not in request.url


def test_a_dotted_name_goes_through_sync_without_a_path_in_the_signature():
    """The name travels as ``method``, the token as ``session``."""
    request = encode("aliexpress.solution.order.get", access_token="t", simplify=True)
    fields = form(request)
    sign = fields.pop("sign")
    assert request.url == "https://api.taobao.global/sync"
    assert fields["method"] == "aliexpress.solution.order.get"
    assert (fields["session"], fields["simplify"]) == ("t", "true")
    assert sign == signers.HMAC_SHA256.sign(APP.secret, "", fields)


def test_token_calls_go_to_the_token_host_without_an_access_token():
    """Lazada signs in elsewhere; a token call made for a seller must not carry the seller's."""
    request = encode(
        "/auth/token/refresh",
        {"refresh_token": "r"},
        gateway=gateways.LAZADA_MY,
        access_token="t",
    )
    assert request.url == "https://auth.lazada.com/rest/auth/token/refresh"
    assert "access_token" not in form(request)
    assert encode("/a", gateway=gateways.LAZADA_MY).url == "https://api.lazada.com.my/rest/a"


class Color(str, Enum):
    RED = "red"


class Size(IntEnum):
    LARGE = 3


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (2**80, str(2**80)),
        (Size.LARGE, "3"),
        (Color.RED, "red"),
        (Decimal("12.300"), "12.300"),
        (Decimal("1E+3"), "1000"),
        (NOW, "1517820392000"),
        (NOW.astimezone(timezone(timedelta(hours=8))), "1517820392000"),
        (NOW + timedelta(microseconds=1999), "1517820392001"),
        ([1, 2], "[1,2]"),
        ((1, "é"), '[1,"é"]'),
        ([], "[]"),
        ({}, "{}"),
        ({"a": None, "b": True, "c": Decimal("1.10")}, '{"a":null,"b":true,"c":1.10}'),
        ({"when": NOW, "color": Color.RED}, '{"when":1517820392000,"color":"red"}'),
        ("  padded ", "  padded "),
        ("a\u00a0\U0001f600&=+%", "a\u00a0\U0001f600&=+%"),
    ],
)
def test_a_value_has_one_text(value, text):
    """Exact digits, compact JSON, milliseconds; and the form decodes to that text."""
    assert sent({"p": value}) == {"p": text}


@pytest.mark.parametrize("nothing", [None, "", " ", "\t\n"])
def test_what_says_nothing_is_not_sent(nothing):
    """Whether a gateway signs a blank value is unknown, so none is sent."""
    assert sent({"p": nothing, "q": "1"}) == {"q": "1"}


@pytest.mark.parametrize(
    ("params", "error", "words"),
    [
        ({"price": 1.5}, TypeError, "'price' is a float.*Decimal"),
        ({"items": [{"price": 1.5}]}, TypeError, "'items' is a float"),
        ({"when": datetime(2026, 1, 1)}, ValueError, "'when' is a naive datetime"),  # noqa: DTZ001
        ({"n": Decimal("NaN")}, ValueError, "'n' is NaN"),
        ({"image": b"\x89PNG"}, TypeError, "'image' is bytes.*files="),
        ({"o": object()}, TypeError, "'o' is of type object"),
        ({"s": {1, 2}}, TypeError, "'s' is of type set"),
        ({"d": {1: "a"}}, TypeError, "'d' has the key 1"),
        ({"s": "\ud800"}, ValueError, "'s' holds half a surrogate pair"),
        ({"": "x"}, TypeError, "parameter name ''"),
        ({7: "x"}, TypeError, "parameter name 7"),
        ({"sign": "x"}, ValueError, "sets sign itself"),
        ({"app_key": "x", "timestamp": "1"}, ValueError, "sets app_key, timestamp itself"),
    ],
)
def test_input_without_one_text_is_refused(params, error, words):
    """The message names the parameter and says what to give instead."""
    with pytest.raises(error, match=words):
        encode("/a", params)


def test_nesting_without_end_is_refused():
    """A list that holds itself is no crash."""
    endless = []
    endless.append(endless)
    with pytest.raises(ValueError, match="'p' is nested too deeply"):
        encode("/a", {"p": endless})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
)


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1), JSON))
def test_what_is_signed_is_what_is_sent(params):
    """The form decodes to parameters whose signature is the one beside them."""
    params = {f"p{name}": value for name, value in params.items()}
    fields = form(encode("/a", params))
    assert fields.pop("sign") == signers.HMAC_SHA256.sign(APP.secret, "/a", fields)


def test_files_make_a_multipart_post_and_are_not_signed():
    """The fields are signed; the files follow unread."""
    picture = io.BytesIO(b"123")
    request = encode(
        "/upload",
        {"title": "été"},
        files={"a": b"raw", "b": picture, "c": Path("x/y.jpg"), "d": File(b"", 'a"b\r\n.txt')},
        http_method="GET",
    )
    text = b"".join(piece for piece in request.body if isinstance(piece, bytes)).decode()
    boundary = request.headers["content-type"].partition("boundary=")[2]
    assert request.method == "POST"
    assert picture in request.body
    assert Path("x/y.jpg") in request.body
    assert text.endswith(f"\r\n--{boundary}--\r\n")
    assert 'name="title"\r\n\r\nété\r\n' in text
    assert 'name="a"; filename="file"\r\nContent-Type: application/octet-stream' in text
    assert 'name="c"; filename="y.jpg"' in text
    assert 'filename="a%22b%0D%0A.txt"' in text


@pytest.mark.parametrize("name", ['a"b', "a\r\nb", "a%0db", "a%22b"])
def test_a_name_that_an_upload_cannot_hold_is_refused(name):
    """A reader would take it for another, and the signature would not fit."""
    with pytest.raises(ValueError, match="cannot name a part of an upload"):
        encode("/upload", {name: "1"}, files={"f": b""})
    with pytest.raises(ValueError, match="cannot name a part of an upload"):
        encode("/upload", files={name: b""})
    assert sent({name: "1"}) == {name: "1"}


def test_any_signer_of_the_right_shape_replaces_ours():
    """A key that lives in a vault, say."""

    class Vault:
        sign_method = "vault"

        def sign(self, secret, path, params):
            return f"signed:{path}:{len(params)}"

    fields = form(encode("/a", {"x": 1}, gateway=attrs.evolve(GATEWAY, signer=Vault())))
    assert (fields["sign_method"], fields["sign"]) == ("vault", "signed:/a:4")
