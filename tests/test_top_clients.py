"""Clients of TOP and of AliExpress that nobody here wrote, against the sandbox; and signatures.

Each is installed into a folder of its own, because what they need does not go together, and runs
in a process of its own.
"""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from urllib.parse import parse_qsl, urlsplit

import pytest

import iop_async as iop
from iop_async.sandbox import Sandbox, SandboxApp

pytestmark = pytest.mark.drill

CONTENT = "茶壶\r\n" * 5000


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """Gives the folder of a package, which is installed when it is first asked for."""

    @cache
    def install(requirement):
        folder = tmp_path_factory.mktemp("client")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--retries=1"]
        command += ["--disable-pip-version-check", "--no-warn-conflicts"]
        command += ["--target", str(folder), requirement]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        return folder, done.stderr if done.returncode else None

    def folder_of(requirement):
        folder, trouble = install(requirement)
        if trouble is not None:
            reason = f"pip: {trouble.strip().splitlines()[-1]}"
            if os.environ.get("CI"):
                pytest.fail(reason)
            pytest.skip(reason)
        return folder

    return folder_of


@pytest.fixture
def run(installed, tmp_path):
    """Runs a script with a package: JSON in, and JSON out, on the last line that it prints."""

    def run_script(requirement, script, given):
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={
                "HOME": str(tmp_path),
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(installed(requirement)),
                "TZ": "Asia/Shanghai",  # some write the time of the machine where TOP's is meant
            },
            cwd=tmp_path,
            input=json.dumps(given),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run_script


@pytest.fixture
def sandbox(app) -> Sandbox:
    return Sandbox(profile="taobao", apps=[SandboxApp(app.key, app.secret)])


TAOBAOPYX = "taobaopyx==0.1.1"
TAOBAOPY = "taobaopy==6.0.1"
TOPSDK = "topsdk==20.4.21.40"
AFFILIATE = "py-aliexpress-affiliate==0.2.2"
ALIEXPRESS = "python-aliexpress-api==3.1.0"

TAOBAOPYX_CALLS = """
import asyncio, io, json, sys
from taobaopyx import taobao

given = json.load(sys.stdin)
client = taobao.AsyncTaobaoAPIClient("123456", "helloworld", given["url"])
top = taobao.APINode(client, "taobao")

async def ask(node, **params):
    try:
        return await node(**params)
    except taobao.TaobaoAPIError as error:
        return {"code": error.code, "sub_code": error.sub_code}

async def main():
    session = given["session"]
    file = io.BytesIO(given["content"].encode())
    file.name = "a.png"
    answers = {
        "plain": await ask(top.sandbox.echo, title="red \\u978b & co", ok=True, n=7),
        "user": await ask(top.user.seller.get, session=session, fields="nick"),
        "missing": await ask(top.user.seller.get, fields="nick"),
        "upload": await ask(
            top.picture.upload,
            session=session, picture_category_id=0, image_input_title="\\u8336", img=file,
        ),
    }
    send = taobao.APIRequest.open
    taobao.APIRequest.open = lambda self, data, files: send(self, {**data, "n": "8"}, files)
    answers["tampered"] = await ask(top.sandbox.echo, n=7)
    await client.aclose()
    return answers

print(json.dumps(asyncio.run(main())))
"""

TAOBAOPY_CALLS = """
import io, json, sys
from taobaopy import taobao

given = json.load(sys.stdin)
client = taobao.TaoBaoAPIClient("123456", "helloworld", given["url"])

def ask(method, **params):
    try:
        return method(**params)
    except taobao.TaoBaoAPIError as error:
        return {"code": error.code, "sub_code": error.sub_code}

answers = {
    "plain": ask(client.sandbox_echo, title="red \\u978b & co", ok=True, n=7),
    "missing": ask(client.user_seller_get, fields="nick"),
}
client.set_access_token(given["session"])
answers["user"] = ask(client.user_seller_get, fields="nick")
file = io.BytesIO(given["content"].encode())
answers["upload"] = ask(
    client.picture_upload, picture_category_id=0, image_input_title="\\u8336", img=file
)

class Tampering(taobao.DefaultAPIRequest):
    def open(self, data, files):
        return super().open({**data, "n": "8"}, files)

client.set_fetcher_class(Tampering)
answers["tampered"] = ask(client.sandbox_echo, n=7)
print(json.dumps(answers))
"""

TOPSDK_CALLS = """
import io, json, sys
from urllib.parse import urlsplit
import top.api
from top.api import base

given = json.load(sys.stdin)
where = urlsplit(given["url"])

def ask(kind, session=None, **params):
    request = kind(where.hostname, where.port)
    request.set_app_info(top.appinfo("123456", "helloworld"))
    for name, value in params.items():
        setattr(request, name, value)
    try:
        return request.getResponse(session)
    except base.TopException as error:
        return {"code": error.errorcode, "sub_code": error.subcode}

class Upload(base.RestApi):
    img = None

    def getapiname(self):
        return "taobao.picture.upload"

    def getMultipartParas(self):
        return ["img"]

def token(answer):
    (wrapped,) = answer.values()
    return json.loads(wrapped["token_result"])

answers = {"plain": ask(top.api.TimeGetRequest)}
created = token(ask(top.api.TopAuthTokenCreateRequest, code=given["code"]))
trade = {"refresh_token": created["refresh_token"]}
refreshed = token(ask(top.api.TopAuthTokenRefreshRequest, **trade))
answers |= {"created": created, "refreshed": refreshed}
answers["again"] = ask(top.api.TopAuthTokenRefreshRequest, **trade)
answers["old"] = ask(top.api.AppipGetRequest, created["access_token"])
answers["session"] = ask(top.api.AppipGetRequest, refreshed["access_token"])
answers["upload"] = ask(
    Upload,
    refreshed["access_token"],
    picture_category_id=0,
    image_input_title="tea",
    img=base.FileItem("a.png", io.StringIO("any bytes\\r\\n" * 1000)),
)
sign = base.sign
base.sign = lambda secret, params: sign(secret, {**params, "code": "another"})
answers["tampered"] = ask(top.api.TopAuthTokenCreateRequest, code=given["code"])
print(json.dumps(answers))
"""


without_cgi = pytest.mark.skipif(
    sys.version_info >= (3, 13), reason="its httpx imports cgi, which this Python has not"
)


@pytest.mark.parametrize(
    ("requirement", "script"),
    [
        pytest.param(TAOBAOPYX, TAOBAOPYX_CALLS, marks=without_cgi, id="taobaopyx"),
        pytest.param(TAOBAOPY, TAOBAOPY_CALLS, id="taobaopy"),
    ],
)
def test_their_calls_are_served_and_a_tampered_one_is_not(run, url, sandbox, requirement, script):
    """Plain, for a seller, an upload; and one whose parameter was changed after signing."""
    session = sandbox.grant("1001")["access_token"]
    answers = run(requirement, script, {"url": url, "session": session, "content": CONTENT})
    echoed = answers["plain"]["sandbox_echo_response"]["params"]
    assert echoed == {"title": "red 鞋 & co", "ok": "true", "n": "7"}
    user = answers["user"]["user_seller_get_response"]["user"]
    assert user == {"nick": sandbox.sellers["1001"].account}
    assert answers["missing"] == {"code": 26, "sub_code": ""}
    picture = answers["upload"]["picture_upload_response"]["picture"]
    assert (picture["title"], picture["sizes"]) == ("茶", len(CONTENT.encode()))
    assert answers["tampered"] == {"code": 25, "sub_code": ""}


def test_topsdk_trades_tokens_calls_and_uploads(run, url, sandbox):
    """With its own request classes; a second trade of a refresh token is refused."""
    answers = run(TOPSDK, TOPSDK_CALLS, {"url": url, "code": sandbox.authorize("1001")})
    assert "time" in answers["plain"]["time_get_response"]
    created, refreshed = answers["created"], answers["refreshed"]
    assert created["taobao_user_id"] == refreshed["taobao_user_id"] == "1001"
    assert created["refresh_token"] != refreshed["refresh_token"]
    assert 0 <= created["re_expires_in"] - refreshed["re_expires_in"] <= 60
    assert answers["again"]["code"] == 27
    assert answers["old"] == {"code": 27, "sub_code": "session-not-exist"}
    assert answers["session"]["appip_get_response"]["ip"] == "127.0.0.1"
    picture = answers["upload"]["picture_upload_response"]["picture"]
    assert (picture["title"], picture["sizes"]) == ("tea", 11_000)
    assert answers["tampered"]["code"] == 25
    assert [entry.accepted for entry in sandbox.ledger.refreshes] == [True, False]


AFFILIATE_SEARCH = """
import json, sys
from aliexpress_affiliate import AliExpressClient, AliExpressError

given = json.load(sys.stdin)

def search(secret):
    client = AliExpressClient("123456", secret, base_url=given["url"], session=given["session"])
    try:
        found = client.query_products(keywords="tea 茶", page_size=2)
    except AliExpressError as error:
        return type(error).__name__
    return [[each.product_id, each.product_title, str(each.target_sale_price_decimal),
             each.product_small_image_urls] for each in found.items]

print(json.dumps([search("helloworld"), search("another secret")]))
"""

ALIEXPRESS_SEARCH = """
import json, sys
from urllib.parse import urlsplit
from aliexpress_api import AliexpressApi, models
from aliexpress_api.errors import ApiRequestException
from aliexpress_api.skd.api import base

given = json.load(sys.stdin)
make = base.RestApi.__init__
where = urlsplit(given["url"])
base.RestApi.__init__ = lambda self, domain, port: make(self, where.hostname, where.port)

def search(secret):
    client = AliexpressApi("123456", secret, models.Language.EN, models.Currency.USD, "mine")
    try:
        found = client.get_products(keywords="tea 茶", page_size=2)
    except ApiRequestException as error:
        return type(error).__name__
    assert found.current_record_count == 2
    return [[each.product_id, each.product_title, each.target_sale_price,
             each.product_small_image_urls] for each in found.products]

print(json.dumps([search("helloworld"), search("another secret")]))
"""


@pytest.mark.parametrize(
    ("requirement", "script", "refused"),
    [
        pytest.param(AFFILIATE, AFFILIATE_SEARCH, "SignatureError", id="py-aliexpress-affiliate"),
        pytest.param(
            ALIEXPRESS, ALIEXPRESS_SEARCH, "ApiRequestException", id="python-aliexpress-api"
        ),
    ],
)
def test_clients_of_the_affiliate_search_find_products(
    run, url, sandbox, requirement, script, refused
):
    """At /sync, signed with md5; and with another secret they are refused."""
    session = sandbox.grant("1001")["access_token"]
    found, wrong = run(requirement, script, {"url": url, "session": session})
    assert [product_id for product_id, *_ in found] == [10**15 + 1, 10**15 + 2]
    for _, title, price, pictures in found:
        assert title
        assert float(price) > 0
        assert all(picture.startswith("https://") for picture in pictures)
    assert wrong == refused


NOW = datetime(2024, 8, 22, 10, 40, 3, tzinfo=UTC)
INPUTS = [
    ({}, None),
    ({"oeid": "123", "ieid": "123", "open_id": "123"}, None),
    ({"title": "é 鞋 & co=+%\r\n", "list": [1, "茶"], "ok": True, "n": 10**20}, "6201415"),
    ({"Zone": "upper first", "_a": "1", "a": "2", "aa": "3", "A": "4"}, "6201415"),
]

TAOBAOPY_SIGNS = """
import json, sys
from datetime import datetime
from {module} import taobao

class Clock:
    @staticmethod
    def now():
        return datetime.fromisoformat("2024-08-22 18:40:03")

taobao.datetime = Clock
SET_BY_ITSELF = ("app_key", "sign_method", "format", "v", "timestamp")
signed = []
for params in json.load(sys.stdin):
    values = {{name: value for name, value in params.items() if name not in SET_BY_ITSELF}}
    signed.append({made}.sign()[0])
print(json.dumps(signed))
"""

MADE = {
    TAOBAOPYX: (
        "taobaopyx",
        'taobao.APIRequest("", taobao.AsyncTaobaoAPIClient("12129701", "helloworld"), values)',
    ),
    TAOBAOPY: (
        "taobaopy",
        'taobao.BaseAPIRequest("", taobao.TaoBaoAPIClient("12129701", "helloworld"), values)',
    ),
}

TOPSDK_SIGNS = """
import json, sys
import top

given = json.load(sys.stdin)
print(json.dumps([{**params, "sign": top.sign("helloworld", params)} for params in given]))
"""


def sent(signer, params, session):
    """Everything that our client sends for one call, and the signature among it."""
    app = iop.App("12129701", "helloworld")
    call = iop.Call("taobao.top.sec.token.get", params, access_token=session)
    gateway = iop.gateways.Top("https://eco.taobao.com/router/rest", signer=signer)
    request = gateway.encode(app, call, now=NOW)
    everything = f"{urlsplit(request.url).query}&{request.body.decode()}"
    return dict(parse_qsl(everything, strict_parsing=bool(params), keep_blank_values=True))


@pytest.mark.parametrize(
    ("requirement", "signer"),
    [
        pytest.param(TAOBAOPYX, iop.signers.HMAC_MD5, marks=without_cgi, id="taobaopyx"),
        pytest.param(TAOBAOPY, iop.signers.HMAC_MD5, id="taobaopy"),
        pytest.param(TOPSDK, iop.signers.TOP_MD5, id="topsdk"),
    ],
)
def test_our_signature_is_theirs(run, requirement, signer):
    """For what our client sends, their own code signs the same."""
    ours = [sent(signer, params, session) for params, session in INPUTS]
    script = TOPSDK_SIGNS
    if requirement in MADE:
        module, made = MADE[requirement]
        script = TAOBAOPY_SIGNS.format(module=module, made=made)
    unsigned = [{k: v for k, v in params.items() if k != "sign"} for params in ours]
    assert run(requirement, script, unsigned) == ours
