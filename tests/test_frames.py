"""Bad input: what a reporter of errors that prints local variables sends away holds no secret."""

import asyncio
import traceback
from datetime import UTC, datetime

import click
import pytest

import iop_async as iop
from iop_async import stores
from iop_async._scrub import scrubs_frames

CANARY = "canary"
APP = iop.App("12345678", "helloworld")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PARAMS = {"code": "canary", "payload": {"access_token": "canary"}}


def shown(error):
    """The locals of every frame but the user's own, and the words, of an error and its causes."""
    texts, waiting, seen = [], [error], set()
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        texts += [repr(each), str(each), repr(vars(each))]
        traceback = each.__traceback__
        while traceback is not None:
            frame = traceback.tb_frame
            if frame.f_code.co_filename != __file__:
                texts += [f"{name} = {value!r}" for name, value in frame.f_locals.items()]
            traceback = traceback.tb_next
        waiting += [each.__cause__, each.__context__]
    return "\n".join(texts)


def no_canary_in(error):
    assert CANARY not in shown(error).lower()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg2://app:canary@db/tokens",
        "oracle://app:canary@db/tokens",
        "canary",
        "sqlite://app:canary@db/tokens",
        "sqlite:///tokens.db?password=canary",
        "memory://canary",
        "redis://:canary@host:port/0",
        "redis://:canary@host:70000/0",
        "redis://:canary@[host/0",
        "redis://:canary@host/0?encrypt=canary",
        "postgresql+asyncpg://app:canary@host:port/tokens",
        "postgresql+asyncpg://app:canary@host/tokens?encrypt=env:NO_SUCH_KEYS",
        "mysql+aiomysql://app:canary@host:/x:y@z:1/tokens",
        "mysql+asyncmy://app:canary@host:x/tokens",
        "sqlite+aiosqlite://app:canary@/tokens",
    ],
)
def test_a_wrong_store_url_shows_no_password(url):
    """Settings hold passwords, and are misspelt in production first."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the words are tested elsewhere
        stores.from_url(url)
    no_canary_in(caught.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: stores.EncryptedStore(stores.MemoryStore(), "2026=canary"),
        lambda: stores.EncryptedStore(stores.MemoryStore(), "canary"),
        lambda: stores.EncryptedStore(stores.MemoryStore(), {"canary canary": b"canary"}),
        lambda: stores.EncryptedStore(stores.MemoryStore(), ["canary"]),
        lambda: stores.EncryptedStore(stores.MemoryStore(), keys="canary", accept=True),
        lambda: stores.RedisStore("redis://:canary@host:port"),
        lambda: stores.RedisStore(b"redis://:canary@host"),
        lambda: stores.RedisStore("redis://:canary@host", timeout=-1),
        lambda: stores.SQLAlchemyStore("postgresql+asyncpg://app:canary@host:port/tokens"),
        lambda: stores.SQLAlchemyStore("oracle://app:canary@host/tokens"),
        lambda: stores.SQLAlchemyStore(b"postgresql://app:canary@host/tokens"),
        lambda: stores.SQLAlchemyStore("canary"),
        lambda: stores.SQLiteStore("postgresql://app:canary@host/tokens"),
        lambda: stores.SQLAlchemyStore("postgresql://app:canary@host/tokens", timeout=0),
    ],
)
def test_a_store_that_cannot_be_made_shows_neither_key_nor_password(make):
    """Nor does what was given to it in the wrong place."""
    with pytest.raises((TypeError, ValueError)) as caught:
        make()
    no_canary_in(caught.value)


def test_a_key_from_the_environment_is_not_shown(monkeypatch):
    """The variable's name is, so that it can be corrected."""
    monkeypatch.setenv("KEYS", "2026=canary")
    with pytest.raises(ValueError, match="variable KEYS") as caught:
        stores.from_url("memory://?encrypt=env:KEYS")
    no_canary_in(caught.value)


class Unreachable:
    """A transport that must not be asked."""

    async def send(self, request):
        pytest.fail("something was sent")

    async def aclose(self):
        pass


def client(gateway=iop.gateways.TAOBAO_GLOBAL, **options):
    return iop.Client(APP, gateway, transport=Unreachable(), **options)


class Broken:
    """A caller whose failure is its own."""

    async def call(self, api, params=None, **options):
        raise RuntimeError(api)


CONSTRUCTIONS = {
    "secret": lambda: iop.App("12345678", "canary\n"),
    "secret with quotes": lambda: iop.App("12345678", "'canary'"),
    "secret of another type": lambda: iop.App("12345678", b"canary"),
    "secret and key": lambda: iop.App("", "canary"),
    "key missing": lambda: iop.App(secret="canary"),
    "too many arguments": lambda: iop.App("12345678", "canary", "canary"),
    "token": lambda: iop.Token(access_token="canary", issued_at=NOW.replace(tzinfo=None)),
    "token without access token": lambda: iop.Token(refresh_token="canary", issued_at=NOW),
    "token of another type": lambda: iop.Token(
        access_token=b"canary", refresh_token="canary", issued_at=NOW
    ),
    "api": lambda: iop.Call("order", PARAMS, access_token="canary"),
    "api with a query": lambda: iop.Call("/order/get?access_token=canary"),
    "api as a URL": lambda: iop.Call("https://a.b/rest/order/get?access_token=canary"),
    "params": lambda: iop.Call("/order/get", [("access_token", "canary")]),
    "method": lambda: iop.Call("/order/get", PARAMS, http_method="PUT"),
    "access token": lambda: iop.Call("/order/get", access_token="canary\n"),
    "access token of another type": lambda: iop.Call("/order/get", access_token=b"canary"),
    "files": lambda: iop.Call("/order/get", PARAMS, files={"f": "picture.jpg"}),
    "address": lambda: iop.gateways.Iop("redis://user:canary@host"),
    "address with a user": lambda: iop.gateways.Iop("https://user:canary@host"),
    "address with a query": lambda: iop.gateways.Iop("http://host?sign=canary"),
    "address with a port": lambda: iop.gateways.Iop("https://user:canary@host:port"),
    "address of TOP": lambda: iop.gateways.Top("https://user:canary@host"),
    "authorize url": lambda: iop.gateways.Top("https://a.b", authorize_url="ftp://u:canary@h"),
    "market": lambda: iop.gateways.from_name("https://user:canary@host"),
    "client of a secret": lambda: iop.Client("canary", iop.gateways.ALIBABA),
    "client of a URL": lambda: iop.Client(APP, "https://user:canary@host"),
    "seller": lambda: client().as_seller("canary\n"),
    "seller of another type": lambda: client().as_seller({"access_token": "canary"}),
    "manager of a URL": lambda: iop.TokenManager(client(), "canary", role=""),
    "callback": lambda: iop.oauth.parse_callback("code=canary", state="other"),
    "callback without state": lambda: iop.oauth.parse_callback("code=canary", state=None),
    "callback twice": lambda: iop.oauth.parse_callback("code=canary&code=c&state=s", state="s"),
    "callback without code": lambda: iop.oauth.parse_callback("state=canary", state="canary"),
    "callback half": lambda: iop.oauth.parse_callback("code=canary\ud800", state="canary"),
    "callback of another type": lambda: iop.oauth.parse_callback(b"code=canary", state="s"),
    "state": lambda: iop.oauth.authorize_url(
        APP, iop.gateways.ALIBABA, redirect_uri="/callback", state="canary"
    ),
    "sign": lambda: iop.signers.HMAC_SHA256.sign("canary", "/a", {"a": 1}),
    "sign for TOP": lambda: iop.signers.TOP_MD5.sign("canary", "", {"a": 1}),
    "sign with bytes": lambda: iop.signers.TOP_HMAC_SHA256.sign(b"canary", "", {"a": "1"}),
    "encode": lambda: iop.gateways.LAZADA_SG.encode(
        APP, iop.Call("/a", {**PARAMS, "price": 0.5}), now=NOW
    ),
    "encode for TOP": lambda: iop.gateways.TAOBAO.encode(
        APP, iop.Call("a.b", {**PARAMS, "price": 0.5}, access_token="canary"), now=NOW
    ),
    "encode a batch": lambda: iop.gateways.TAOBAO.encode_batch(
        APP, [iop.Call("a.b", {**PARAMS, "price": 0.5})], now=NOW
    ),
}


@pytest.mark.parametrize("make", CONSTRUCTIONS.values(), ids=CONSTRUCTIONS)
def test_what_is_made_badly_shows_no_secret(make):
    """Whatever is wrong with it, and in whichever place."""
    with pytest.raises((TypeError, ValueError, AttributeError, iop.IopError)) as caught:
        make()
    no_canary_in(caught.value)


CALLS = {
    "a float": lambda: client().call("/a", {**PARAMS, "price": 0.5}),
    "a float within": lambda: client().call("/a", {"payload": {"code": ["canary", 0.5]}}),
    "half a pair": lambda: client().call("/a", {**PARAMS, "note": "canary\ud800"}),
    "a reserved name": lambda: client().call("/a", {**PARAMS, "sign": "canary"}),
    "a list": lambda: client().call("/a", [("code", "canary")]),
    "no api": lambda: client().call("", PARAMS),
    "an argument too much": lambda: client().call("/a", PARAMS, "canary"),
    "a file": lambda: client().call("/a", PARAMS, files={"f": "picture.jpg"}),
    "a naive clock": lambda: client(now=datetime.now).call("/a", PARAMS),
    "a seller": lambda: client().as_seller("canary").call("/a", {**PARAMS, "price": 0.5}),
    "a path for TOP": lambda: client(iop.gateways.TAOBAO).call("/a", PARAMS),
    "a batch": lambda: client(iop.gateways.TAOBAO).batch(["canary"]),
    "a batch of one": lambda: client(iop.gateways.TAOBAO).batch(
        [iop.Call("a.b", {**PARAMS, "x": 0.5}, access_token="canary")]
    ),
    "a code": lambda: iop.auth.create_token(client(), code=["canary"]),
    "half a code": lambda: iop.auth.create_token(client(), code="canary\ud800"),
    "a code and more": lambda: iop.auth.create_token(client(), code="canary", state="canary"),
    "a uuid": lambda: iop.auth.create_security_token(client(), code="canary", uuid=0.5),
    "a refresh token": lambda: iop.auth.refresh_token(client(), refresh_token={"canary": 1}),
    "half a refresh token": lambda: iop.auth.refresh_security_token(
        client(), refresh_token="canary\ud800"
    ),
    "TOP's code": lambda: iop.top.create_token(client(), code=b"canary"),
    "TOP's refresh token": lambda: iop.top.refresh_token(
        client(iop.gateways.TAOBAO), refresh_token=b"canary"
    ),
    "a security token": lambda: iop.top.sec_token_get(client(), open_id="canary", oeid=0.5),
    "a foreign failure": lambda: iop.auth.create_token(Broken(), code="canary"),
    "an import": lambda: iop.TokenManager(client(), stores.MemoryStore()).import_token("canary"),
    "an approval": lambda: iop.TokenManager(client(), stores.MemoryStore()).authorize("canary"),
    "an approval of another type": lambda: iop.TokenManager(
        client(), stores.MemoryStore()
    ).authorize([b"canary"]),
}


@pytest.mark.filterwarnings("ignore:.*uuid:UserWarning")
@pytest.mark.parametrize("start", CALLS.values(), ids=CALLS)
async def test_a_call_that_is_not_made_shows_no_secret(start):
    """Nothing was sent, and nothing is sent to the reporter either."""
    with pytest.raises((TypeError, ValueError, AttributeError, RuntimeError)) as caught:
        await start()
    no_canary_in(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-api"],
        ["/a", "--gateway", "nowhere"],
        ["/a", "--gateway", "http://10.0.0.7"],
        ["/a", "-f", "f=no-such-file"],
        ["/a", "-p", "no pair"],
        ["/a", "--no-such-option"],
    ],
)
def test_the_command_line_shows_no_secret_either(arguments, monkeypatch):
    """Those of the environment; a process's arguments are seen by everybody on the machine."""
    from iop_async.cli._commands import commands

    monkeypatch.setenv("IOP_APP_KEY", "12345678")
    monkeypatch.setenv("IOP_APP_SECRET", "canary")
    monkeypatch.setenv("IOP_ACCESS_TOKEN", "canary")
    with pytest.raises(click.ClickException) as caught:
        commands.main(["call", *arguments], standalone_mode=False)
    no_canary_in(caught.value)


def test_where_an_error_was_raised_is_still_told():
    """Line numbers are no secret; who debugs a signer of his own needs them."""

    class Signer:
        sign_method = "sha256"

        def sign(self, secret, path, params):
            raise ZeroDivisionError

    gateway = iop.gateways.Iop("https://a.b", signer=Signer())
    with pytest.raises(iop.SigningFailed) as caught:
        gateway.encode(APP, iop.Call("/a", PARAMS), now=NOW)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    frames = list(traceback.walk_tb(caught.value.__cause__.__traceback__))
    assert frames[-1][0].f_code.co_name == "sign"
    assert not frames[-1][0].f_locals


async def test_a_task_that_raised_an_error_and_goes_on_is_left_alone():
    """Its frame is not at its end, and clearing it would close it."""
    told = asyncio.get_running_loop().create_future()
    done = asyncio.Event()

    async def work():
        try:
            raise ValueError  # noqa: TRY301 - the traceback is what matters
        except ValueError as error:
            told.set_exception(error)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            done.set()

    @scrubs_frames
    async def door():
        await told

    task = asyncio.create_task(work())
    with pytest.raises(ValueError):  # noqa: PT011 - there are no words
        await door()
    await task
    assert done.is_set()


def test_causes_and_groups_are_cleared_too():
    """Whatever a reporter walks through; a context that nobody shows is dropped."""

    @scrubs_frames
    def door(secret):
        def fail(secret):
            try:
                try:
                    secret.encode("ascii")
                except UnicodeEncodeError:
                    raise KeyError from None
            except KeyError as error:
                raise ExceptionGroup("all", [error, ValueError()]) from error

        fail(secret)

    with pytest.raises(ExceptionGroup) as caught:
        door("canary\u00e9")
    no_canary_in(caught.value)
    assert caught.value.exceptions[0].__context__ is None
    assert caught.value.__cause__.__traceback__.tb_frame.f_locals == {}


def test_the_watch_over_the_suite_sees_what_a_frame_shows():
    """Every error of bad input that any test expects is looked at: see ``shown_locals``."""
    frame = {"__name__": "iop_async.made_up"}
    exec("def door(token):\n    raise ValueError", frame)
    with pytest.raises(AssertionError, match="door: token"), pytest.raises(ValueError):  # noqa: PT011
        frame["door"]("canary")
