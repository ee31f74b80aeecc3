"""From a call to a request: what is signed is what is sent."""

import io
import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iop_async import App, Call, File, HttpResponse, ProtocolError, dates, gateways, signers

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


LOCAL = datetime(2026, 2, 10, 9, 30, 15, 999_999, timezone(timedelta(hours=8)))
OLD_ZONE = datetime(1900, 1, 1, 8, 5, 43, 0, timezone(timedelta(hours=8, minutes=5, seconds=43)))


@pytest.mark.parametrize(
    ("gateway", "text"),
    [
        (gateways.LAZADA_SG, "2026-02-10T09:30:15+08:00"),
        (gateways.LAZADA_VN, "2026-02-10T09:30:15+08:00"),
        (gateways.DARAZ_PK, "2026-02-10T09:30:15+08:00"),
        (gateways.MIRAVIA, "2026-02-10T09:30:15+08:00"),
        (gateways.ALIEXPRESS, "1770687015999"),
        (gateways.TAOBAO_GLOBAL, "1770687015999"),
        (gateways.ALIBABA, "1770687015999"),
        (gateways.TAOBAO, "2026-02-10 09:30:15"),
        (attrs.evolve(gateways.LAZADA_SG, date_form=dates.utc), "2026-02-10T01:30:15Z"),
    ],
)
def test_a_time_is_sent_in_the_form_of_its_market(gateway, text):
    """Also within JSON, where milliseconds are a number; the timestamp has a form of its own."""
    params = {"created_after": LOCAL, "range": {"from": LOCAL}}
    request = encode("a.b" if gateway is gateways.TAOBAO else "/a", params, gateway=gateway)
    fields = form(request)
    assert fields["created_after"] == text
    assert fields["range"] == f'{{"from":{text if text.isdecimal() else json.dumps(text)}}}'


@pytest.mark.parametrize(
    ("write", "when", "text"),
    [
        (dates.milliseconds, LOCAL, "1770687015999"),
        (dates.milliseconds, datetime(1969, 12, 31, tzinfo=UTC), "-86400000"),
        (dates.iso8601, LOCAL, "2026-02-10T09:30:15+08:00"),
        (dates.iso8601, LOCAL.astimezone(UTC), "2026-02-10T01:30:15+00:00"),
        (dates.iso8601, OLD_ZONE, "1900-01-01T00:00:00+00:00"),
        (dates.utc, LOCAL, "2026-02-10T01:30:15Z"),
        (dates.gmt8, LOCAL.astimezone(UTC), "2026-02-10 09:30:15"),
    ],
)
def test_the_other_forms_of_a_time_have_names(write, when, text):
    """Within one market the form differs by API; all of them refuse a time without a zone."""
    assert write(when) == text
    assert sent({"p": write(when)}) == {"p": text}
    with pytest.raises(ValueError, match="naive datetime"):
        write(when.replace(tzinfo=None))


@pytest.mark.parametrize("gateway", [gateways.LAZADA_SG, gateways.TAOBAO])
def test_what_was_read_with_decimal_can_be_sent_back(gateway):
    """Every digit of it; a float would be another number."""
    text = '{"price":1234567890123456.78,"id":652874751412123456789,"weight":0.50,"tiny":0.000001}'
    exact = attrs.evolve(gateway, decimal=True)
    api = "/a" if gateway is gateways.LAZADA_SG else "a.b"
    call = Call(api, simplify=True)
    answer = HttpResponse(200, {}, f'{{"code":"0","request_id":"r","data":{text}}}'.encode())
    data = exact.decode(call, answer).data
    assert data["price"] == Decimal("1234567890123456.78")
    assert form(encode(api, {"payload": data}, gateway=exact))["payload"] == text
    assert isinstance(gateway.decode(call, answer).data["price"], float)


@pytest.mark.parametrize("number", ["1e99999999999999999999", "-1E-99999999999999999999", "1e400"])
def test_no_number_breaks_the_reader_of_decimals(number):
    """An exponent beyond all bounds makes an answer unreadable, and nothing worse."""
    exact = attrs.evolve(gateways.LAZADA_SG, decimal=True)
    answer = HttpResponse(200, {}, f'{{"code":"0","data":{number}}}'.encode())
    if number == "1e400":
        assert exact.decode(Call("/a"), answer).data == Decimal("1e400")
    else:
        with pytest.raises(ProtocolError, match="unreadable JSON"):
            exact.decode(Call("/a"), answer)


def test_a_token_is_read_without_decimal_whatever_was_asked():
    """It is kept as JSON, in which there is none."""
    exact = attrs.evolve(gateways.LAZADA_SG, decimal=True)
    answer = HttpResponse(200, {}, b'{"code":"0","expires_in":1.5}')
    assert exact.decode(Call("/auth/token/refresh"), answer).data == {"expires_in": 1.5}


@pytest.mark.parametrize("nothing", [None, "", " ", "\t\n"])
def test_what_says_nothing_is_not_sent(nothing):
    """Whether a gateway signs a blank value is unknown, so none is sent."""
    assert sent({"p": nothing, "q": "1"}) == {"q": "1"}


@pytest.mark.parametrize(
    ("params", "error", "words"),
    [
        ({"price": 1.5}, TypeError, "'price' is a float.*Decimal"),
        ({"items": [{"price": 1.5}]}, TypeError, r"'items\[0\].price' is a float.*decimal=True"),
        (
            {"payload": {"Skus": ({"a": 1}, {"package_weight": 0.5})}},
            TypeError,
            r"'payload.Skus\[1\].package_weight' is a float",
        ),
        ({"p": [[None, b"x"]]}, TypeError, r"'p\[0\]\[1\]' is bytes"),
        ({"p": {"a b": Decimal("-Infinity")}}, ValueError, r"\['a b'\].* is -Infinity"),
        ({"p": {"at": [datetime(2026, 1, 1)]}}, ValueError, r"'p.at\[0\]' is a naive"),  # noqa: DTZ001
        ({"p": [{"a": {1: 2}}]}, TypeError, r"'p\[0\].a' has the key 1"),
        ({"p": {"a": {"b": {2}}}}, TypeError, "'p.a.b' is of type set"),
        ({"p": [1, "\ud83d"]}, ValueError, r"'p\[1\]' holds half a surrogate pair"),
        ({"p": [{"\udc00": 1}]}, ValueError, r"'p\[0\]\[.*\]' holds half a surrogate pair"),
        ({"\ud800": 1}, ValueError, "name '.ud800' holds half a surrogate pair"),
        ({"when": date(2026, 1, 1)}, TypeError, "'when' is a date.*its text"),
        (
            {"n": Decimal("1e999999")},
            ValueError,
            "'n' is 1E.999999, which has more than 1000 zeros",
        ),
        ({"n": [Decimal("1e-9999")]}, ValueError, r"'n\[0\]' is 1E-9999, which has more"),
        ({"n": 10**5000}, ValueError, "'n' has more digits"),
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
    max_leaves=8,
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


@pytest.mark.parametrize("name", ['a"b', "a\r\nb", "a\\b", "a%0db", "a%22b"])
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


def test_a_path_of_rest_2_is_filled_in():
    """Signed is the path behind ``/2.0``, without its parameters, which are sent all the same."""
    params = {"order_id": 1234, "orderId": 1234}
    request = encode("/rest/2.0/orders/{orderId}", params, access_token="test")
    assert request.url == "https://api.taobao.global/rest/2.0/orders/1234"
    # The document's example (120693) prints another one, which belongs to another path.
    signed = "65C5F90759C5FBC85311798FAD124309FEE13D7ED419005A7FA17CAF363A7AF4"
    assert form(request)["sign"] == signed
    assert form(request)["orderId"] == "1234"
    plain = form(encode("/2.0/orders/1234", {"order_id": 1234}, access_token="test"))
    assert plain["sign"] == signed


@pytest.mark.parametrize(
    ("api", "params", "words"),
    [
        ("/2.0/orders/{orderId}/{line}", {"orderId": 1}, "needs line; give a value in params"),
        ("/2.0/orders/{orderId}", {"orderId": None}, "needs orderId"),
        ("/2.0/orders/{orderId}", {"orderId": "1/2"}, "orderId stands in the path"),
        ("/2.0/orders/{orderId}", {"orderId": "../x"}, "orderId stands in the path"),
        ("/2.0/orders/{orderId}", {"orderId": "%2e"}, "orderId stands in the path"),
        ("/orders/{orderId}", {"orderId": 1}, r"REST 2.0 have: call '/2.0/orders/\{orderId\}'"),
        ("/2.0/orders/{order-id}", {}, "is no API"),
        ("/2.0/orders/x{orderId}", {}, "is no API"),
    ],
)
def test_a_path_that_cannot_be_filled_in_is_refused(api, params, words):
    """Nor is a value sent as one step that a server would read as another."""
    with pytest.raises(ValueError, match=words):
        encode(api, params)


def test_headers_of_the_gateway_and_of_the_call_go_along_unsigned():
    """The call's count more; those of HTTP stay what they are."""
    gateway = attrs.evolve(GATEWAY, headers={"X-Protocol": "GOP", "X-A": "gateway"})
    plain = encode("/a", {"b": 1})
    for options in ({}, {"http_method": "GET"}, {"files": {"f": b"x"}}):
        request = encode("/a", {"b": 1}, gateway=gateway, headers={"x-a": "call"}, **options)
        assert {**request.headers, "content-type": ""} == {
            "x-protocol": "GOP",
            "x-a": "call",
            "content-type": "",
        }
    assert form(encode("/a", {"b": 1}, gateway=gateway)) == form(plain)
    assert hash(gateway) == hash(GATEWAY)


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        *(
            ({name: "x"}, f"the header {name} is set by the gateway or the transport")
            for name in "Host content-type Content-Length cookie Authorization Connection TE "
            "Transfer-Encoding User-Agent Proxy-Authorization top-api-separator".split()
        ),
        ({"x-a": True}, "of type bool; names and values are text"),
        ({b"x-a": "b"}, "names and values are text"),
        ({"x-a": "b\r\nhost: evil"}, "HTTP cannot carry"),
        ({"x a": "b"}, "HTTP cannot carry"),
        ({"x-a": ""}, "HTTP cannot carry"),
        ({"x-a": "é"}, "HTTP cannot carry"),
        ("x-a: b", "headers is of type str"),
    ],
)
@pytest.mark.parametrize(
    "take",
    [
        lambda headers: Call("/a", headers=headers),
        lambda headers: gateways.Iop("https://a.b", headers=headers),
        lambda headers: gateways.Top("https://a.b", headers=headers),
    ],
)
def test_a_header_that_is_not_the_callers_to_set_is_refused(take, headers, words):
    """Where it is given, by name, its value unshown."""
    with pytest.raises((TypeError, ValueError), match=words):
        take(headers)
