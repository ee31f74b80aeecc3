"""A keeper under what happens to services; the gateway's ledger is the judge."""

import random
import resource
import signal
import time
from collections import Counter

import pytest
from keep_helpers import setup
from store_kinds import OwnPostgreSQL, OwnRedis
from test_keep import REFRESH, samples

pytestmark = pytest.mark.drill

SELLERS = 100


def presented_twice(made):
    """Refresh tokens that were traded, and presented again after that."""
    traded = {}
    again = []
    for entry in made.sandbox.ledger.refreshes:
        if entry.token in traded:
            again.append(entry)
        elif entry.accepted:
            traded[entry.token] = entry
    return again


def test_sigterm_again_and_again_loses_nothing(tmp_path):
    """While a hundred sellers fall due every two seconds, and the gateway takes its time."""
    with setup(tmp_path, sellers=SELLERS, access_seconds=4) as made:
        made.sandbox.fail("latency", api=REFRESH, seconds=0.3, times=None)
        refreshed = 0
        for _ in range(5):
            with made.keeper("--concurrency", "40") as keeper:
                at_least = made.accepted() + SELLERS // 2
                keeper.wait_for(lambda: made.accepted() >= at_least)  # noqa: B023
                keeper.signal(random.choice([signal.SIGTERM, signal.SIGINT]))
                assert keeper.wait() == 0
                assert keeper.broken == []
                refreshed += len(keeper.said("refreshed: seller"))
            assert made.lost() == {}
        assert refreshed == made.accepted()
        assert presented_twice(made) == []


def test_sigkill_loses_nothing_silently(tmp_path):
    """What a killed process had the only answer to is told of, and nothing else is lost."""
    kept = Counter()
    with setup(tmp_path, sellers=SELLERS, access_seconds=6) as made:
        made.sandbox.fail("latency", api=REFRESH, seconds=0.02, times=None)
        for _ in range(5):
            with made.keeper("--concurrency", "5") as keeper:
                at_least = made.accepted() + SELLERS // 2
                keeper.wait_for(lambda: made.accepted() >= at_least)  # noqa: B023
                keeper.signal(signal.SIGKILL)
                assert keeper.wait() == -signal.SIGKILL
            kept += refreshed(keeper)
            time.sleep(0.5)  # what was sent is still answered
        with made.keeper() as keeper:
            keeper.wait_for(
                lambda: all(grant.state != "live" for grant in made.lost().values()), seconds=180
            )
            keeper.signal()
            assert keeper.wait() == 0
        kept += refreshed(keeper)
        lost = made.lost()
        assert {grant.state for grant in lost.values()} <= {"reauthorize", "ambiguous"}
        assert all("a process died" in grant.reason for grant in lost.values())
        traded = Counter(entry.seller for entry in made.sandbox.ledger.refreshes if entry.accepted)
        assert all(traded[seller] > kept[seller] for seller in lost)  # no pair that it told of
        # Five are presented at a time, and about as many wait to be written behind them: the gate
        # holds those that are presented, and commits are shared.
        assert len(lost) <= 5 * (5 + 5)


def refreshed(keeper):
    """How often each seller was told of as refreshed."""
    return Counter(each["seller_id"] for each in keeper.lines if each.get("event") == "refreshed")


def limit_files(keeper, size):
    """A full disk, for one process alone; -1 takes that back."""
    _, hard = resource.prlimit(keeper.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(keeper.process.pid, resource.RLIMIT_FSIZE, (size, hard))


@pytest.mark.parametrize("has_room", [True, False], ids=["journal has room", "nothing has"])
def test_a_full_disk_loses_nothing(tmp_path, has_room):
    """It is told of, with what not to do; once there is room the store has all of it."""
    sellers = 10
    with setup(tmp_path, sellers=sellers, access_seconds=16) as made:
        made.sandbox.fail("latency", api=REFRESH, seconds=6, times=sellers)
        with made.keeper() as keeper:
            keeper.wait_for(lambda: made.accepted() == sellers)  # and the answers are on their way
            # a journal of so few has that room; the store's log of writes is longer already
            limit_files(keeper, 20_000 if has_room else 1)
            keeper.wait_for(lambda: keeper.get("/healthz").json()["unpersisted"] == sellers)
            answer = keeper.get("/healthz")
            facts = answer.json()
            assert answer.status_code == 503
            assert facts["in_memory_only"] == (0 if has_room else sellers)
            assert has_room or any("do not restart" in each for each in facts["problems"])
            found = samples(keeper.get("/metrics").text)
            assert found["iop_async_unpersisted",] == sellers
            limit_files(keeper, -1)
            keeper.wait_for(lambda: keeper.get("/healthz").json()["unpersisted"] == 0)
            assert made.lost() == {}
            keeper.wait_for(lambda: made.accepted() >= 2 * sellers)
            keeper.signal()
            assert keeper.wait() == 0
        assert made.lost() == {}
        assert presented_twice(made) == []


def test_an_end_on_a_full_disk_names_what_is_lost(tmp_path):
    """A supervisor sees the status, and a person who must authorize again."""
    with setup(tmp_path, sellers=3, access_seconds=12) as made:
        made.sandbox.fail("latency", api=REFRESH, seconds=4, times=3)
        with made.keeper() as keeper:
            keeper.wait_for(lambda: made.accepted() == 3)  # and the answers are on their way
            limit_files(keeper, 1)
            keeper.wait_for(lambda: keeper.get("/healthz").json()["in_memory_only"] == 3)
            keeper.signal()
            assert keeper.wait() == 1
        assert keeper.broken == []
        last = keeper.lines[-1]["error"]
        assert last["exit_status"] == 1
        assert "1001, 1002, 1003" in last["message"]
        assert set(made.lost()) == {"1001", "1002", "1003"}


@pytest.mark.parametrize("killed", [False, True], ids=["stopped", "killed"])
@pytest.mark.parametrize("server", [OwnPostgreSQL, OwnRedis])
def test_a_store_that_restarts_loses_nothing(tmp_path, server, killed):
    """The keeper says that it is away, and goes on when it is back."""
    with (
        server() as store,
        setup(tmp_path, store_url=store.url, sellers=SELLERS, access_seconds=8) as made,
    ):
        made.sandbox.fail("latency", api=REFRESH, seconds=0.2, times=None)
        with made.keeper() as keeper:
            for _ in range(3):
                at_least = made.accepted() + SELLERS // 2
                keeper.wait_for(lambda: made.accepted() >= at_least)  # noqa: B023
                if killed:
                    store.kill()
                else:
                    store.stop()
                keeper.wait_for(lambda: keeper.get("/healthz").status_code == 503)
                assert keeper.get("/healthz").json()["problems"]
                assert samples(keeper.get("/metrics").text)["iop_async_store_up",] == 0
                store.start()
                keeper.wait_for(lambda: keeper.get("/healthz").status_code == 200, seconds=120)
            keeper.signal()
            assert keeper.wait() == 0
        assert made.lost() == {}
        assert presented_twice(made) == []
        assert keeper.broken == []
