"""The suite for stores of others: it runs in their suites, and finds what is wrong."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec

import pytest

import iop_async.testing
from iop_async.testing import StoreConformance

THEIRS = """
import pytest
from iop_async.stores import MemoryStore
from iop_async.testing import StoreConformance

class TestTheirStore(StoreConformance):
    is_shared = is_durable = False
    many = 20
    lease_seconds = 0.1

    @pytest.fixture
    def make_store(self):
        return MemoryStore
"""

WITH_COROUTINES = """
class TestMadeByACoroutine(TestTheirStore):
    backends = ("asyncio",)

    @pytest.fixture
    async def prepared(self):
        return {}

    @pytest.fixture
    def make_store(self, prepared):
        async def make():
            return MemoryStore()
        return make
"""


PYTEST_ASYNCIO = "asyncio_default_fixture_loop_scope = function\nasyncio_mode = "


def their_suite(directory, content, *options, ini=""):
    (directory / "pytest.ini").write_text(f"[pytest]\n{ini}\nfilterwarnings = error\n")
    (directory / "test_theirs.py").write_text(content)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-rf", "-p", "no:cacheprovider", *options],
        cwd=directory, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
    )  # fmt: skip


def outcome(done, word):
    found = re.search(rf"(\d+) {word}", done.stdout.splitlines()[-1])
    return int(found[1]) if found else 0


@pytest.mark.parametrize(
    ("ini", "options"),
    [
        (PYTEST_ASYNCIO + "strict", ()),
        pytest.param("", ("-p", "no:asyncio"), marks=pytest.mark.drill),
        pytest.param("", ("-p", "no:asyncio", "-p", "no:anyio"), marks=pytest.mark.drill),
    ],
    ids=["pytest-asyncio strict", "anyio", "neither"],
)
def test_it_runs_whatever_runs_their_coroutines(tmp_path, ini, options):
    """Nothing more than the one fixture is needed."""
    done = their_suite(tmp_path, THEIRS, *options, "-k", "lease or update", ini=ini)
    assert done.returncode == 0, done.stdout
    backends = 2 if find_spec("trio") else 1
    assert outcome(done, "passed") == 8 * backends
    assert outcome(done, "skipped") == 2 * backends


def test_stores_may_be_made_by_coroutines(tmp_path):
    """And with the help of their own asynchronous fixtures; a class without any is told so."""
    content = THEIRS + WITH_COROUTINES + "class TestIt(StoreConformance): pass"
    done = their_suite(
        tmp_path,
        content,
        "-k",
        "Coroutine and lease or TestIt and closing_twice",
        ini=PYTEST_ASYNCIO + "auto",
    )
    assert outcome(done, "passed") == 7
    assert outcome(done, "failed") + outcome(done, "error") == len(StoreConformance.backends)
    assert "TestIt needs a fixture make_store that returns a callable" in done.stdout


FAULTY = """
import anyio
import pytest
from attrs import evolve
from datetime import datetime, timedelta, UTC
from iop_async import StaleRecord
from iop_async.stores import MemoryStore
from iop_async.testing import StoreConformance

class Base(StoreConformance):
    is_shared = is_durable = False
    backends = ("asyncio",)
    many = 100
    lease_seconds = 0.1

    @pytest.fixture
    def make_store(self):
        return self.Store

class TestIgnoresRevisions(Base):
    class Store(MemoryStore):
        async def put(self, record, *, release=None):
            kept = await self.get(record.scope, record.seller_id)
            return await super().put(
                evolve(record, revision=kept.revision if kept else 0), release=release)

class TestForgetsIdempotence(Base):
    class Store(MemoryStore):
        async def put(self, record, *, release=None):
            kept = await self.get(record.scope, record.seller_id)
            if kept and kept.seller_id == record.seller_id and kept.revision != record.revision:
                raise StaleRecord
            return await super().put(record, release=release)

class TestStartsAgainAtOne(Base):
    class Store(MemoryStore):
        async def remove(self, scope, seller):
            removed = await super().remove(scope, seller)
            self._scopes[scope].revision_floor = 0
            return removed

class TestFoldsCase(Base):
    class Store(MemoryStore):
        async def get(self, scope, seller):
            return await super().get(scope, seller) or await super().get(scope, seller.swapcase())

class TestCutsNames(Base):
    class Store(MemoryStore):
        async def remove(self, scope, seller):
            for other in [one async for one in self.records(scope)]:
                if other.seller_id.startswith(seller[:2]):
                    await super().remove(scope, other.seller_id)
            return await super().remove(scope, seller)

class TestMixesScopes(Base):
    class Store(MemoryStore):
        async def next_due(self, scope):
            found = [await MemoryStore.next_due(self, other) for other in list(self._scopes)]
            return min((one for one in found if one), default=None)

class TestForgetsLeases(Base):
    class Store(MemoryStore):
        async def next_due(self, scope):
            moments = [r.due_at async for r in self.records(scope) if r.due_at]
            return min(moments, default=None)

class TestLeasesToAll(Base):
    class Store(MemoryStore):
        async def lease(self, scope, seller, *, holder, seconds):
            return await self.get(scope, seller)

class TestClaimsInOrderOfDueTimes(Base):
    class Store(MemoryStore):
        async def claim(self, scope, *, due_by, limit, holder, seconds):
            due = [r async for r in self.records(scope) if r.due_at and r.due_at <= due_by]
            due.sort(key=lambda r: r.due_at)
            leased = [await self.lease(scope, r.seller_id, holder=holder, seconds=seconds)
                      for r in due[:limit]]
            return [one for one in leased if one]

class TestNeverEndsLeases(Base):
    class Store(MemoryStore):
        async def put(self, record, *, release=None):
            return await super().put(record)

class TestKeepsOldNames(Base):
    class Store(MemoryStore):
        async def remove(self, scope, seller):
            return self._scope(scope).found.pop(seller, None) is not None

class TestReadsHalfWrites(Base):
    class Store(MemoryStore):
        async def put(self, record, *, release=None):
            written = await super().put(record, release=release)
            row = self._scope(record.scope).found[record.seller_id]
            row.record = evolve(row.record, body=row.record.body[:40])
            await anyio.sleep(0)
            row.record = evolve(row.record, body=written.body)
            return written

class TestLosesMicroseconds(Base):
    class Store(MemoryStore):
        async def put(self, record, *, release=None):
            if record.due_at: record = evolve(record, due_at=record.due_at.replace(microsecond=0))
            return await super().put(record, release=release)

class TestStopsAtAPage(Base):
    class Store(MemoryStore):
        async def records(self, scope):
            n = 0
            async for one in super().records(scope):
                n += 1
                if n <= 25:
                    yield one
"""

FOUND_BY = {
    "IgnoresRevisions": "a_stale_write_is_refused",
    "ForgetsIdempotence": "repeating_a_write_is_no_error_and_does_not_count",
    "StartsAgainAtOne": "who_held_a_removed_record_cannot_overwrite_its_successor",
    "FoldsCase": "odd_seller_ids_are_distinct",
    "CutsNames": "odd_seller_ids_are_distinct",
    "MixesScopes": "scopes_are_never_mixed",
    "ForgetsLeases": "next_due_considers_leases",
    "LeasesToAll": "a_holder_lengthens_its_lease",
    "ClaimsInOrderOfDueTimes": "the_earliest_expiry_goes_first",
    "NeverEndsLeases": "a_write_ends_the_lease_of_the_holder_that_it_names",
    "KeepsOldNames": "removing_by_any_name_removes_all_names",
    "ReadsHalfWrites": "a_reader_never_sees_part_of_a_write",
    "LosesMicroseconds": "what_is_put_comes_back_as_it_was",
    "StopsAtAPage": "records_gives_all_of_them",
}


def test_it_finds_what_is_wrong_with_a_store(tmp_path):
    """Each fault by the test that is named after the promise it breaks."""
    tests = [f"test_theirs.py::Test{name}::test_{test}" for name, test in FOUND_BY.items()]
    done = their_suite(tmp_path, FAULTY, "-p", "no:asyncio", "--tb=no", *tests)
    failed = re.findall(r"^FAILED \S+::Test(\w+)::test_(\w+)", done.stdout, re.MULTILINE)
    assert set(failed) == set(FOUND_BY.items())


def test_without_pytest_it_says_what_to_install():
    """An import error deeper down would leave one guessing."""
    script = (
        "import sys; sys.modules['pytest'] = None; from iop_async import testing; "
        "testing.FakeCaller({}), testing.MovableClock(); print('so far'); testing.StoreConformance"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout == "so far\n"  # a fake is for suites of any kind
    assert "StoreConformance needs pytest: pip install pytest" in done.stderr


def test_what_the_package_offers():
    """No more than it says."""
    for name in iop_async.testing.__all__:
        assert getattr(iop_async.testing, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = iop_async.testing.nothing
