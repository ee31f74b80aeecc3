"""What an answer may become is bounded, and nothing that was read is too deep to be handled."""

import copy
import json
import pickle
import tracemalloc
from datetime import UTC, datetime

import attrs
import pytest

import iop_async as iop

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ORDERS = iop.Call("/orders/get")
TRADES = iop.Call("taobao.trades.sold.get")


def answer(content, status=200):
    return iop.HttpResponse(status, {}, content)


def json_of(item, count):
    return b'{"code":"0","data":[' + item * count + b"0]}"


def xml_of(item, count):
    return b"<trades_sold_get_response>" + item * count + b"</trades_sold_get_response>"


@pytest.mark.parametrize(
    ("gateway", "call", "content"),
    [
        *(
            (iop.gateways.TAOBAO_GLOBAL, ORDERS, json_of(item, 600_000))
            for item in (b"{},", b"[],", b'{"":0},', b"[[0]],", b"1234,", '"é",'.encode())
        ),
        (iop.gateways.TAOBAO, TRADES, json_of(b"{},", 600_000)),
        (iop.gateways.TAOBAO, TRADES, xml_of(b"<a/>", 600_000)),
        (iop.gateways.TAOBAO, TRADES, xml_of(b"<a><b/></a>", 200_000)),
        (iop.gateways.TAOBAO, TRADES, xml_of(b"<a " + b'b="" ' * 600_000 + b"/>", 1)),
    ],
    ids=repr,
)
def test_a_small_answer_never_becomes_a_large_heap(gateway, call, content):
    """It is refused before it is parsed, by a name that can be looked up, and is still there."""
    tracemalloc.start()
    with pytest.raises(iop.ProtocolError, match=r"more than 500000 values.*max_answer_values") as e:
        gateway.decode(call, answer(content))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * len(content)
    assert e.value.content == content


def test_who_expects_more_says_so():
    """The limit is the gateway's, as other habits of an API are."""
    content = json_of(b"{},", 300_000)
    with pytest.raises(iop.ProtocolError):
        iop.gateways.LAZADA_SG.decode(ORDERS, answer(content))
    patient = attrs.evolve(iop.gateways.LAZADA_SG, max_answer_values=1_000_000)
    assert len(patient.decode(ORDERS, answer(content)).data) == 300_001


def test_a_long_answer_of_few_values_is_read():
    """Only what becomes objects counts: a catalogue's descriptions are one value each."""
    content = json.dumps({"code": "0", "data": ["x" * 4_000_000]}).encode()
    assert len(iop.gateways.LAZADA_SG.decode(ORDERS, answer(content)).data[0]) == 4_000_000


async def test_a_token_within_a_text_is_bounded_like_the_answer():
    """TOP puts a JSON text into its JSON; the inner one is no way around the limit."""
    inner = '{"access_token":"a","x":[' + "{}," * 600_000 + "{}]}"

    class Caller:
        async def call(self, api, params=None, **options):
            return iop.Reply({"token_result": inner}, sent_at=NOW)

    with pytest.raises(iop.ProtocolError, match="no access token"):
        await iop.top.create_token(Caller(), code="0_123456_abc")


def test_a_batch_of_separators_is_not_cut_into_them():
    """Two calls have two answers; that there are more is known at the third."""
    content = b"{}" + b"\r\n-S-\r\n{}" * 500_000
    tracemalloc.start()
    with pytest.raises(iop.ProtocolError, match="more than 2 answers to 2 calls"):
        iop.gateways.TAOBAO.decode_batch([TRADES, TRADES], answer(content))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * len(content)


def nested(depth, opening, closing):
    return b'{"code":"0","data":' + opening * depth + b"1" + closing * depth + b"}"


@pytest.mark.parametrize(
    ("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")]
)
@pytest.mark.parametrize("gateway", [iop.gateways.LAZADA_SG, iop.gateways.TAOBAO])
def test_no_depth_of_an_answer_is_too_much_for_anybody(gateway, opening, closing):
    """What is read can be shown, copied, pickled, sent again; the rest is a ``ProtocolError``."""
    call = ORDERS if gateway is iop.gateways.LAZADA_SG else iop.Call("trades.get", simplify=True)
    read = []
    for depth in (*range(1, 130), *range(130, 1100, 7), 5_000, 200_000):
        try:
            reply = gateway.decode(call, answer(nested(depth, opening, closing)))
        except iop.ProtocolError as error:
            assert "nested more than 100 deep" in str(error) or depth == 200_000
            continue
        read.append(depth)
        assert repr(reply)
        assert repr(reply.data)
        assert attrs.evolve(reply, sent_at=NOW).data == reply.data
        assert copy.deepcopy(reply).data == reply.data
        assert pickle.loads(pickle.dumps(reply)).data == reply.data
        gateway.encode(iop.App("k", "s"), attrs.evolve(call, params={"p": reply.data}), now=NOW)
    assert read == list(range(1, len(read) + 1))
    assert len(read) > 45


def test_wide_is_not_deep():
    """A thousand lists beside each other are three levels."""
    content = json_of(b"[[]],", 1_000)
    assert len(iop.gateways.LAZADA_SG.decode(ORDERS, answer(content)).data) == 1_001
