"""A process that stood still loses no answer that came meanwhile; others end in time."""

import asyncio
import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import anyio
import pytest
from loopback import Server, answer
from transport_helpers import until

from iop_async._http import deadlines as deadlines_module
from iop_async._http.deadlines import (
    LAST_LOOK,
    MAX_CATCH_UP,
    Deadline,
    Deadlines,
    TaskScope,
)

DRIVER = Path(__file__).with_name("standstill_driver.py")
WAYS = {"asyncio": 6, "trio": 4}
"""Over how many the driver asks: the fast door is for asyncio alone."""

SIZE = 300_000
"""Bytes of an answer that is read in several pieces."""


def is_stopped(process):
    status = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8")
    return status.rpartition(")")[2].split()[0] == "T"


def stand_still(*, timeout, seconds, backend, count=1):
    """What a process gets that is stopped right after it has sent its requests."""
    stopped = threading.Event()

    async def respond(received, writer):
        while not stopped.is_set():
            await asyncio.sleep(0.001)
        return answer(bytes(SIZE))

    with Server(respond) as server:
        arguments = [server.base, str(timeout), str(count), backend]
        process = subprocess.Popen([sys.executable, DRIVER, *arguments], stdout=subprocess.PIPE)
        anyio.run(until, lambda: len(server.requests) == WAYS[backend] * count)
        process.send_signal(signal.SIGSTOP)
        anyio.run(until, lambda: is_stopped(process))
        stopped.set()
        time.sleep(seconds)
        process.send_signal(signal.SIGCONT)
        shown, _ = process.communicate(timeout=60)
    return json.loads(shown)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_answer_that_came_while_the_process_stood_still_is_not_lost(backend):
    """It may be the only copy of a token pair; on both routes, under both timeouts."""
    outcomes = stand_still(timeout=1.5, seconds=1.7, backend=backend)
    assert len(outcomes) == WAYS[backend]
    assert set(outcomes.values()) == {f"{SIZE} bytes"}, outcomes


@pytest.mark.drill
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(("timeout", "seconds"), [(30, 31), (2, 20)])
def test_twenty_answers_that_came_during_a_long_standstill_are_not_lost(backend, timeout, seconds):
    outcomes = stand_still(timeout=timeout, seconds=seconds, backend=backend, count=20)
    assert len(outcomes) == 20 * WAYS[backend]
    assert set(outcomes.values()) == {f"{SIZE} bytes"}, outcomes


class HandClock:
    """Timers that are moved by hand."""

    cancel_scope = anyio.CancelScope

    def __init__(self):
        self.now = 100.0
        self.set = {}

    def time(self):
        return self.now

    def call_at(self, moment, callback):
        key = object()
        self.set[key] = (moment, callback)
        return lambda: self.set.pop(key, None)

    def pass_to(self, moment):
        """Let the process run at ``moment`` and not before: what is due then rings late."""
        self.now = moment
        for key, (due, callback) in list(self.set.items()):
            if due <= moment:
                del self.set[key]
                callback()


@pytest.fixture
def hand_clock():
    return HandClock()


async def test_time_is_up_after_one_more_look(hand_clock):
    with Deadline(Deadlines(hand_clock), 10) as deadline:
        hand_clock.pass_to(110.0)
        assert deadline.passed is None
        hand_clock.pass_to(110.0 + LAST_LOOK)
        assert deadline.passed == "total"
        await asyncio.sleep(1)
    assert not hand_clock.set


async def test_deadlines_share_one_timer(hand_clock):
    """Which is set for the earliest, and goes on for the others when that is over."""
    deadlines = Deadlines(hand_clock)
    with Deadline(deadlines, 30) as late:
        assert [moment for moment, _ in hand_clock.set.values()] == [130.0]
        with Deadline(deadlines, 10):
            assert [moment for moment, _ in hand_clock.set.values()] == [110.0]
        hand_clock.pass_to(110.0)
        assert [moment for moment, _ in hand_clock.set.values()] == [130.0]
        hand_clock.pass_to(130.0)
        hand_clock.pass_to(130.0 + LAST_LOOK)
        assert late.passed == "total"
        await asyncio.sleep(1)
    assert not hand_clock.set
    assert not deadlines.running


async def test_no_timer_is_left_where_they_are_closed(hand_clock):
    deadlines = Deadlines(hand_clock)
    with Deadline(deadlines, 10):
        pass
    deadlines.close()
    assert not hand_clock.set


async def test_a_task_scope_breaks_off_what_is_waited_for():
    with TaskScope() as scope:
        asyncio.get_running_loop().call_soon(scope.cancel)
        await asyncio.sleep(10)
        pytest.fail("goes on")
    assert not asyncio.current_task().cancelling()


async def test_a_task_scope_keeps_an_answer_that_is_there():
    """Broken off in the same round of the event loop the answer came in, before it is read."""
    answered = asyncio.get_running_loop().create_future()

    def both():
        answered.set_result("a token")
        scope.cancel()

    with TaskScope() as scope:
        asyncio.get_running_loop().call_soon(both)
        answer = await answered
    assert answer == "a token"
    assert not asyncio.current_task().cancelling()
    await asyncio.sleep(0.01)  # nothing is broken off behind it


async def test_a_task_scope_leaves_the_cancellation_of_others_to_them():
    reached = []

    async def work():
        with TaskScope() as scope:
            reached.append(scope)
            await asyncio.sleep(10)
        reached.append("goes on")

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    reached[0].cancel()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(reached) == 1


@pytest.mark.parametrize(("late", "more"), [(0.5, 0.5), (600.0, MAX_CATCH_UP)])
async def test_who_stood_still_gets_time_to_catch_up(hand_clock, late, more):
    """As long as it stood still, within reason: much may have come meanwhile."""
    with Deadline(Deadlines(hand_clock), 10) as deadline:
        hand_clock.pass_to(110.0 + late)
        look = LAST_LOOK + more
        hand_clock.pass_to(110.0 + late + look - 0.01)
        assert deadline.passed is None
        hand_clock.pass_to(110.0 + late + look)
        assert deadline.passed == "total"


async def test_silence_counts_from_the_last_piece(hand_clock):
    with Deadline(Deadlines(hand_clock), 100) as deadline:
        for moment in (101.0, 104.0, 108.0):
            hand_clock.pass_to(moment)
            deadline.expect(5)
        assert len(hand_clock.set) == 1
        hand_clock.pass_to(113.0)
        deadline.expect(5)  # it lay in the socket
        hand_clock.pass_to(113.0 + LAST_LOOK)
        assert deadline.passed is None
        hand_clock.pass_to(118.0)
        hand_clock.pass_to(118.0 + LAST_LOOK)
        assert deadline.passed == "read"


async def test_silence_without_a_limit_ends_with_the_whole(hand_clock):
    with Deadline(Deadlines(hand_clock), 50) as deadline:
        deadline.expect(5)
        deadline.expect(None)
        hand_clock.pass_to(120.0)
        assert deadline.passed is None
        hand_clock.pass_to(150.0)
        hand_clock.pass_to(150.0 + LAST_LOOK)
        assert deadline.passed == "total"


async def test_no_limit_needs_no_timer(hand_clock):
    with Deadline(Deadlines(hand_clock), None) as deadline:
        deadline.expect(None)
        assert not hand_clock.set
        deadline.cancel()
        await asyncio.sleep(1)
    assert deadline.passed is None


def test_a_timer_rings_once_and_not_when_it_was_stopped(run):
    async def scenario():
        rang = []
        timers = deadlines_module.timers_here()
        stop = timers.call_at(timers.time(), lambda: rang.append("stopped"))
        stop()
        timers.call_at(timers.time() + 0.001, lambda: rang.append("rang"))
        await until(lambda: rang)
        assert rang == ["rang"]

    run(scenario)
