"""Bad input: a clear error before anything is sent."""

import io
from datetime import datetime
from pathlib import Path

import pytest

import iop_async as iop

APP = iop.App("key", "secret")
NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001


class Unreachable:
    """A transport that must not be asked."""

    async def send(self, request):
        pytest.fail("something was sent")

    async def aclose(self):
        pass


def client(gateway=iop.gateways.TAOBAO_GLOBAL, **options):
    return iop.Client(APP, gateway, transport=Unreachable(), **options)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: iop.App("", "s"), ValueError, "App key is empty.*console"),
        (lambda: iop.App("k", " "), ValueError, "App secret is empty"),
        (lambda: iop.App("k", None), ValueError, "App secret is empty"),
        (lambda: iop.App(" 33505222\n", "s"), ValueError, "App key has a space or line end"),
        (lambda: iop.App("k", "s\r\n"), ValueError, "App secret has a space or line end"),
        (lambda: iop.App("k", "\ufeffs"), ValueError, "App secret has .* an invisible character"),
        (lambda: iop.App("k", "s\ud800"), ValueError, "App secret has .* an invisible character"),
        (lambda: iop.App("k", '"s"'), ValueError, "App secret has a quote around it"),
        (lambda: iop.App("k", "s'"), ValueError, "App secret has a quote around it"),
        (lambda: iop.App("k", b"s"), TypeError, "App secret is of type bytes; give it as text"),
        (lambda: iop.App(33505222.0, "s"), TypeError, "App key is of type float"),
        (lambda: iop.App(key=True, secret="s"), TypeError, "App key is of type bool"),
        (lambda: iop.App("k", 12345), TypeError, "App secret is of type int"),
        (lambda: iop.gateways.from_name("lazada_xx"), ValueError, "no market 'lazada_xx'.*LAZADA_"),
        (lambda: iop.gateways.Iop("http://api.lazada.sg"), ValueError, "in the clear; use https"),
        (lambda: iop.gateways.Iop("api.lazada.sg"), ValueError, "no gateway address"),
        (lambda: iop.gateways.Iop("ftp://api.lazada.sg"), ValueError, "no gateway address"),
        (lambda: iop.gateways.Iop("https://u:p@api.lazada.sg"), ValueError, "has no user"),
        (lambda: iop.gateways.Iop("https://a.b/?x=1"), ValueError, "no user, query"),
        (lambda: iop.gateways.Iop("https://a.b:0"), ValueError, "host, port or path"),
        (lambda: iop.gateways.Iop("https://a.b:70000"), ValueError, "no gateway address"),
        (lambda: iop.gateways.Iop("https://a.b:https"), ValueError, "no gateway address"),
        (lambda: iop.gateways.Iop("https://[::1"), ValueError, "no gateway address"),
        (lambda: iop.gateways.Iop("https://api lazada.sg"), ValueError, "host, port or path"),
        (lambda: iop.gateways.Iop("https://a.b/\n/rest"), ValueError, "host, port or path"),
        (lambda: iop.gateways.Iop("https://a.b/\ud800"), ValueError, "half a surrogate pair"),
        (lambda: iop.gateways.Iop(None), TypeError, "address is text, not NoneType"),
        (
            lambda: iop.gateways.Iop("https://api.lazada.sg/rest/order/get"),
            ValueError,
            "order/get' holds the path of an API; give https://api.lazada.sg here",
        ),
        (lambda: iop.gateways.Iop("https://a.b/order/get"), ValueError, "path of an API"),
        (lambda: iop.gateways.Iop("https://a.b/x/rest/a/b"), ValueError, "path of an API"),
        (
            lambda: iop.gateways.Iop("https://a.b", auth_url="https://a.b/rest/auth/token/create"),
            ValueError,
            "path of an API",
        ),
        (lambda: iop.gateways.Iop("https://a.b/router/rest"), ValueError, "TOP; give it to Top"),
        (lambda: iop.gateways.Top("https://a.b/rest"), ValueError, "no address of TOP"),
        (lambda: iop.gateways.Top("https://a.b/sync"), ValueError, "no address of TOP"),
        (lambda: iop.gateways.from_name("https://a.b"), ValueError, "is an address"),
        (lambda: iop.Call("order/get"), ValueError, "'order/get' is no API.*'/order/get'"),
        (lambda: iop.Call("orders"), ValueError, "is no API"),
        (lambda: iop.Call("/order get"), ValueError, "is no API"),
        (lambda: iop.Call("/a/../b"), ValueError, "is no API"),
        (lambda: iop.Call("/a?b=c"), ValueError, "'/a' is no API"),
        (lambda: iop.Call(""), ValueError, "'' is no API"),
        (lambda: iop.Call(" /order/get\n"), ValueError, "is no API"),
        (
            lambda: iop.Call("https://a.b/rest/order/get?sign=1"),
            ValueError,
            "is a URL; the gateway",
        ),
        (lambda: iop.Call(None), TypeError, "api is of type NoneType"),
        (lambda: iop.Call(b"/order/get"), TypeError, "api is of type bytes"),
        (lambda: iop.Call("/a", [("a", 1)]), TypeError, "params is of type list; give a mapping"),
        (lambda: iop.Call("/a", "a=1"), TypeError, "params is of type str"),
        (lambda: iop.Call("/a", files=[b""]), TypeError, "files is of type list"),
        (lambda: iop.Call("/a", access_token="t\n"), ValueError, "access token has a space"),
        (lambda: iop.Call("/a", access_token="'t'"), ValueError, "access token has a quote"),
        (lambda: iop.Call("/a", access_token=b"t"), TypeError, "access token is of type bytes"),
        (lambda: iop.File(b"", "\ud800.jpg"), ValueError, "filename of a file holds half"),
        (lambda: iop.Call("/a", http_method="PUT"), ValueError, "'PUT'"),
        (lambda: iop.Call("/a", access_token=" "), ValueError, "access token is empty"),
        (lambda: iop.File("picture.jpg"), TypeError, "wrap a path in Path"),
        (lambda: iop.File(io.StringIO("x")), TypeError, "mode 'rb'"),
        (lambda: iop.File(42), TypeError, "not int"),
        (lambda: iop.Token(access_token="a", issued_at=NAIVE), ValueError, "issued_at is a naive"),
        (lambda: iop.Token(access_token=" ", issued_at=NAIVE), ValueError, "no token"),
        (lambda: iop.Client("key", iop.gateways.ALIBABA), TypeError, "app is a str"),
        (lambda: iop.Client(APP, "https://api.lazada.sg"), TypeError, "gateway is a str"),
        (lambda: client().as_seller(None), TypeError, "not NoneType"),
        (lambda: client().as_seller(""), ValueError, "access token is empty"),
        (lambda: client().as_seller("t\n"), ValueError, "access token has a space or line end"),
        (
            lambda: iop.oauth.authorize_url(
                "key", iop.gateways.ALIBABA, redirect_uri="https://a.b"
            ),
            TypeError,
            "app is of type str",
        ),
    ],
)
def test_construction_refuses_bad_input(make, error, words):
    """The message says what was wrong and what to do."""
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"params": {"price": 9.99}}, TypeError, "'price' is a float"),
        ({"params": {"since": NAIVE}}, ValueError, "'since' is a naive datetime"),
        ({"params": {"sign": "x"}}, ValueError, "sets sign itself"),
        ({"files": {"image": "picture.jpg"}}, TypeError, "wrap a path"),
    ],
)
async def test_a_call_with_bad_input_sends_nothing(arguments, error, words):
    """The transport is not even asked."""
    with pytest.raises(error, match=words):
        await client().call("/order/get", **arguments)


async def test_a_naive_clock_sends_nothing():
    """Times are aware everywhere."""
    with pytest.raises(ValueError, match="naive"):
        await client(now=lambda: NAIVE).call("/order/get")


async def test_a_missing_file_sends_nothing():
    """The error names the path; the gateway's port was never tried."""
    nobody = iop.gateways.Iop("http://127.0.0.1:9")
    async with iop.Client(APP, nobody) as caller:
        with pytest.raises(FileNotFoundError, match="no-such-file"):
            await caller.call("/upload", files={"image": Path("no-such-file.jpg")})


@pytest.mark.parametrize("empty", ["", " ", None])
async def test_an_empty_code_or_refresh_token_sends_nothing(empty):
    """A grant that was never stored is noticed before the gateway refuses it."""
    with pytest.raises(ValueError, match="code is empty; nothing was sent"):
        await iop.auth.create_token(client(), code=empty)
    with pytest.raises(ValueError, match="refresh_token is empty"):
        await iop.auth.refresh_token(client(), refresh_token=empty)


def test_plain_http_is_for_loopback_or_on_request():
    """The sandbox needs no exception made; a public host does."""
    for host in ("127.0.0.1:8080", "localhost:1", "[::1]:1"):
        assert iop.gateways.Iop(f"http://{host}").base_url == f"http://{host}/rest"
    for host in ("shop.localhost", "127.0.0.1.nip.io", "10.0.0.7"):  # a name server answers these
        with pytest.raises(ValueError, match="in the clear; use https"):
            iop.gateways.Iop(f"http://{host}")
    assert iop.gateways.Iop("http://10.0.0.7", allow_http=True).allow_http


def test_an_app_key_is_taken_as_a_number():
    """YAML and databases make numbers of keys, which are digits."""
    assert iop.App(33505222, "s") == iop.App("33505222", "s")


def test_a_path_is_taken_with_the_rest_of_its_address():
    """The platform's pages write both; one of them is signed."""
    assert iop.Call("/rest/order/get") == iop.Call("/order/get")
    assert iop.Call("/restock/get").api == "/restock/get"
    assert iop.Call("/rest").api == "/rest"


@pytest.mark.parametrize(
    ("calls", "words"),
    [
        (iop.Call("a.b.get"), "several calls; put the Call into a list"),
        (None, "several calls; put the NoneType"),
        ("a.b.get", r"calls\[0\] of the batch is of type str"),
        ([iop.Call("a.b.get"), ("a.b.get", {})], r"calls\[1\] of the batch is of type tuple"),
        ({"a.b.get": {}}, r"calls\[0\] of the batch is of type str"),
    ],
)
async def test_a_batch_of_what_is_no_calls_sends_nothing(calls, words):
    """It says which of them is none."""
    with pytest.raises(TypeError, match=words):
        await client(iop.gateways.TAOBAO).batch(calls)


def test_a_base_url_is_taken_with_and_without_rest():
    """Official samples show both."""
    for url in ("https://a.b", "https://a.b/", "https://a.b/rest", "https://a.b/rest/"):
        assert iop.gateways.Iop(url).base_url == "https://a.b/rest"
    sync = iop.gateways.Iop("https://api-sg.aliexpress.com/sync")  # AliExpress's own demo
    assert sync == iop.gateways.ALIEXPRESS
    assert iop.gateways.Top("https://eco.taobao.com") == iop.gateways.TAOBAO
    assert iop.gateways.Iop("https://me.example/proxy/sg").base_url == (
        "https://me.example/proxy/sg/rest"
    )
    assert iop.gateways.Iop("https://a.b/rest/mock").base_url == "https://a.b/rest/mock"
    named = iop.gateways.Iop("https://rest.a.b/restore")
    assert named.base_url == "https://rest.a.b/restore/rest"
    assert named.authorize_url == "https://rest.a.b/restore/oauth/authorize"
