"""The public surface: names, the error tree, and values that keep secrets."""

import copy
import inspect
import pickle
import re
import traceback
from datetime import UTC, datetime
from importlib import metadata

import pytest

import iop_async as iop
from iop_async import _exceptions

CANARY = "50000601c30canary3mSoB7701"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_public_names_are_sorted_and_there():
    """One list says what is public."""
    assert iop.__all__ == sorted(iop.__all__)
    for name in iop.__all__:
        assert getattr(iop, name) is not None
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", iop.__version__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = iop.nothing


def test_no_httpcore_is_allowed_that_allows_an_h11_before_0_16():
    """Those read chunks that they should refuse (CVE-2025-43859)."""
    floors = [re.fullmatch(r"h11>=0\.(\d+)", one) for one in metadata.requires("httpcore") or ()]
    assert [int(one[1]) >= 16 for one in floors if one] == [True]


def test_every_public_name_says_what_it_is_for():
    """Classes, functions and their public methods have docstrings."""
    for name in iop.__all__:
        value = getattr(iop, name)
        if inspect.isclass(value) and value.__module__.startswith("iop_async"):
            members = [m for n, m in vars(value).items() if not n.startswith("_") and callable(m)]
            bare = [m for m in (value, *members) if not inspect.getdoc(m)]
            assert not bare, name


def test_the_error_tree_is_the_one_that_is_drawn():
    """Each class stands in the drawing below its base, and all are public."""
    drawn = re.findall(r"^    ([ │├└─]*)(\w+)", _exceptions.__doc__, re.MULTILINE)
    bases = {0: Exception}
    for indent, name in drawn:
        cls = getattr(iop, name)
        depth = len(indent) // 4
        assert cls.__base__ is bases[depth], name
        bases[depth + 1] = cls
    classes = {
        name
        for name, value in vars(_exceptions).items()
        if inspect.isclass(value) and issubclass(value, Exception)
    }
    assert classes == {name for _, name in drawn}


TOKEN = iop.Token(access_token=CANARY, refresh_token=CANARY, issued_at=NOW, extra={"a": CANARY})
SECRETIVE = [
    iop.App("key", CANARY),
    TOKEN,
    iop.Call("/a", {"refresh_token": CANARY}, access_token=CANARY),
    iop.Reply({"access_token": CANARY}, {"access_token": CANARY}),
    iop.HttpRequest("GET", f"https://a.b/rest?access_token={CANARY}", body=CANARY.encode()),
    iop.HttpResponse(200, {"set-cookie": CANARY}, CANARY.encode()),
    iop.Client(iop.App("key", CANARY), iop.gateways.ALIBABA),
    iop.Client(iop.App("key", "s"), iop.gateways.ALIBABA).as_seller(TOKEN),
    iop.oauth.Callback(CANARY),
    iop.AuthError("c", "m", body={"access_token": CANARY}),
    iop.ProtocolError("m", content=CANARY.encode()),
]


@pytest.mark.parametrize("value", SECRETIVE, ids=lambda value: type(value).__name__)
def test_no_repr_shows_a_secret(value):
    """Nor does a container that holds the value."""
    assert CANARY not in f"{value!r}{[value]}{value!s}"


def test_a_secret_in_a_plain_container_is_masked_too():
    """``repr`` of a dict calls that of its values; formatting the value itself gives it."""
    assert CANARY not in repr({"access_token": TOKEN.access_token})
    assert f"{TOKEN.access_token}" == CANARY


@pytest.mark.parametrize("value", [iop.App("key", CANARY), TOKEN], ids=["App", "Token"])
@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.copy, copy.deepcopy])
def test_values_with_secrets_are_not_pickled_or_copied(value, duplicate):
    """They are frozen, so there is no need to; and a pickle is clear text."""
    with pytest.raises(TypeError, match="holds secrets"):
        duplicate(value)


class FailsWhileSigning:
    sign_method = "vault"

    def sign(self, secret, path, params):
        raise RuntimeError("the vault is sealed")


class Refuses:
    """A transport whose gateway refuses every token."""

    async def send(self, request):
        return iop.HttpResponse(200, {}, b'{"code":"IllegalAccessToken","message":"expired"}')

    async def aclose(self):
        pass


@pytest.mark.parametrize(
    "gateway", [iop.gateways.ALIBABA, iop.gateways.Iop("https://a.b", signer=FailsWhileSigning())]
)
@pytest.mark.parametrize("endpoint", [iop.auth.create_token, iop.auth.refresh_token])
async def test_a_traceback_with_locals_shows_no_secret(gateway, endpoint):
    """Error trackers record the local variables of every frame; only the user's own has them."""
    client = iop.Client(iop.App("key", CANARY), gateway, transport=Refuses())
    argument = "code" if endpoint is iop.auth.create_token else "refresh_token"
    with pytest.raises(Exception, match=r"expired|sealed") as caught:
        await endpoint(client.as_seller(TOKEN), **{argument: CANARY})
    shown = "".join(
        traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
    )
    ours = shown.partition("iop_async")[2]
    assert "iop_async/_scrub.py" in shown  # the first of ours, and the only one of a coroutine
    assert CANARY not in ours


async def test_a_client_is_entered_once_and_leaves_a_given_transport_open():
    """The owner closes what it made, and nothing else."""
    closed = []

    class Mine(Refuses):
        async def aclose(self):
            closed.append(self)

    client = iop.Client(iop.App("k", "s"), iop.gateways.ALIBABA, transport=Mine())
    async with client:
        with pytest.raises(RuntimeError, match="entered already"):
            await client.__aenter__()
    assert closed == []


async def test_a_reply_knows_when_its_request_was_sent():
    """Not when the answer came: lifetimes count from the sending."""
    times = iter([NOW, datetime(2027, 1, 1, tzinfo=UTC)])

    class Answers(Refuses):
        async def send(self, request):
            next(times)
            return iop.HttpResponse(200, {"date": "x"}, b'{"code":"0","a":1}')

    clock = iter([NOW, datetime(2027, 1, 1, tzinfo=UTC)])
    client = iop.Client(
        iop.App("k", "s"), iop.gateways.ALIBABA, transport=Answers(), now=lambda: next(clock)
    )
    reply = await client.call("/a")
    assert (reply.sent_at, reply.data, reply.response.status) == (NOW, {"a": 1}, 200)


def test_presets_cover_every_market():
    """By attribute and, for settings, by name."""
    names = (
        "TAOBAO_GLOBAL ALIEXPRESS MIRAVIA ALIBABA AIDGE LAZADA_SG LAZADA_MY LAZADA_VN LAZADA_TH "
        "LAZADA_PH LAZADA_ID DARAZ_PK DARAZ_BD DARAZ_LK DARAZ_NP DARAZ_MM"
    ).split()
    for name in names:
        assert iop.gateways.from_name(name.lower().replace("_", "-")) is getattr(iop.gateways, name)
