"""Crowds in an outage, in virtual time: who is late is so by the machine, and by no wait of ours.

Each caller pauses for 1.5 seconds at most between two calls, so nobody can do better than that; nor
better than what a request of each of them costs.
"""

import anyio
import pytest
from crowd import APP, Crowd, Machine, in_virtual_time, live_through

import iop_async as iop

CALLERS = 250
PAUSE = 1.5
REFUSALS = {
    "503": iop.HttpResponse(503, {}, b""),
    "ServiceTimeout": iop.HttpResponse(200, {}, b'{"code":"ServiceTimeout","message":"x"}'),
    "no connection": iop.TransportError("no connection", may_have_been_applied=False),
}


def crowd(refusal, *, seconds, **options) -> Crowd:
    """Of callers whose requests take so many seconds of a CPU, all together."""
    return live_through(
        CALLERS, lambda: Machine(REFUSALS[refusal], 5.0, seconds / CALLERS), seed=1, **options
    )


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("seconds", [0.0, 1.2, 3.4], ids="{:g} s of CPU".format)
def test_nobody_recovers_later_than_the_machine_forces(refusal, seconds):
    """1.2 s is what a request of two thousand callers costs on a calm machine."""
    recovered = crowd(refusal, seconds=seconds).recovered
    assert len(recovered) == CALLERS
    assert recovered[-1] <= max(PAUSE, seconds) + 0.1


@pytest.mark.parametrize("status", [429, 200], ids=["429", "ApiCallLimit"])
@pytest.mark.parametrize("seed", range(5))
def test_the_end_of_a_ban_that_nobody_announced_is_soon_noticed(status, seed):
    """Nearly nobody asks in it; and when it is over all have their answers within two seconds."""
    refusal = iop.HttpResponse(status, {}, b'{"code":"ApiCallLimit","message":"slow down"}')
    banned = live_through(CALLERS, lambda: Machine(refusal, 5.0, 1.2 / CALLERS), seed=seed)
    assert banned.refused <= 50
    assert banned.recovered[-1] <= 2.0


@pytest.mark.parametrize("refusal", REFUSALS)
def test_retries_add_a_fifth_of_the_requests_at_most(refusal):
    """To what the same callers make by themselves."""
    alone = crowd(refusal, seconds=1.2, retry=None)
    assert alone.refused > CALLERS
    assert crowd(refusal, seconds=1.2).refused <= 1.2 * alone.refused


def test_an_outage_is_not_amplified():
    """Of a thousand reads that all fail a hundred are tried again, and at most a tenth more."""
    machine = Machine(REFUSALS["ServiceTimeout"], 1e9, 0.0001)

    async def read(client):
        with pytest.raises(iop.ServiceError):
            await client.call("/order/get")

    async def scenario():
        client = iop.Client(APP, iop.gateways.TAOBAO_GLOBAL, transport=machine)
        async with anyio.create_task_group() as tasks:
            for _ in range(1000):
                tasks.start_soon(read, client)

    in_virtual_time(scenario)
    assert 1100 <= machine.refused <= 1210
