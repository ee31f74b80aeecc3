"""``timeout=`` of a call: seconds for all of it, on either route."""

import pickle

import pytest
from loopback import Server
from transport_helpers import silence, slots_of

import iop_async as iop
from iop_async import Timeouts, TransportTimeout

APP = iop.App("k", "s")


@pytest.mark.parametrize("caller", ["client", "seller"])
def test_a_call_that_gets_no_answer_ends_in_its_time(run, make_transport, caller):
    async def scenario():
        async with make_transport() as transport:
            client = iop.Client(APP, iop.gateways.Iop(server.base), transport=transport)
            asking = client if caller == "client" else client.as_seller("token")
            with pytest.raises(
                TransportTimeout, match=r"no complete answer within 0\.1 s"
            ) as caught:
                await asking.call("/order/get", timeout=0.1)
            assert caught.value.may_have_been_applied

    with Server(silence) as server:
        run(scenario)


def test_waiting_for_a_connection_counts(run, make_transport, server):
    async def scenario():
        async with make_transport(max_connections=1) as transport:
            client = iop.Client(APP, iop.gateways.Iop(server.base), transport=transport)
            slot = await slots_of(transport).acquire("calls")
            with pytest.raises(TransportTimeout, match=r"within 0\.05 s") as caught:
                await client.call("/order/get", timeout=0.05)
            assert not caught.value.may_have_been_applied
            slots_of(transport).release(slot)

    run(scenario)
    assert server.requests == []


def test_limits_of_the_transport_hold_as_well(run, make_transport):
    async def scenario():
        async with make_transport(timeouts=Timeouts(total=0.1)) as transport:
            client = iop.Client(APP, iop.gateways.Iop(server.base), transport=transport)
            with pytest.raises(TransportTimeout, match=r"within 0\.1 s"):
                await client.call("/order/get", timeout=600)

    with Server(silence) as server:
        run(scenario)


@pytest.mark.parametrize(
    ("timeout", "error"),
    [
        (0, ValueError),
        (-1, ValueError),
        (float("nan"), ValueError),
        ("5", TypeError),
        (True, TypeError),
    ],
)
async def test_what_is_no_time_is_refused_before_anything_is_sent(timeout, error):
    client = iop.Client(APP, iop.gateways.Iop("https://a.invalid"))
    with pytest.raises(error, match=r"timeout is .*; give "):
        await client.call("/order/get", timeout=timeout)
    with pytest.raises(error, match=r"timeout is .*; give "):
        iop.Call("/order/get", timeout=timeout)


async def test_a_batch_ends_in_the_shortest_time_of_its_calls():
    seen = []

    class Noting:
        async def send(self, request):
            seen.append(request.timeout)
            raise iop.TransportError("not sent", may_have_been_applied=False)

        async def aclose(self):
            pass

    client = iop.Client(APP, iop.gateways.TAOBAO, transport=Noting(), retry=iop.Retry(attempts=2))
    calls = [iop.Call("taobao.time.get", timeout=timeout) for timeout in (None, 9, 4)]
    for batch in (calls, calls[:1]):
        with pytest.raises(iop.TransportError):
            await client.batch(batch)
    first, second, *unlimited = seen
    assert first == 4
    assert 0 < second < 4  # what is left of it
    assert unlimited == [None, None]


def test_a_pickle_of_a_call_keeps_its_time():
    assert pickle.loads(pickle.dumps(iop.Call("/order/get", timeout=5))).timeout == 5
