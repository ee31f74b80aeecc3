"""What counts of a call and of a refresh are compared with, and when they fail."""

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WASTE = """
_loads = loads

def loads(*args, **named):
    for _ in range(50):
        len(())
    return _loads(*args, **named)
"""


@pytest.fixture
def counts(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import counts

    return counts


@pytest.mark.parametrize(
    ("what", "before", "now", "has_grown"),
    [
        ("calls", 1000, 1000, False),
        ("calls", 1000, 400, False),
        ("calls", 1000, 1019, False),
        ("calls", 1000, 1021, True),
        ("instructions", 500_000, 514_000, False),
        ("instructions", 500_000, 516_000, True),
        ("statements", 14, 14, False),
        ("statements", 14, 14.01, True),
        ("commits", 3, 4, True),
        ("commits", 0, 1, True),
    ],
)
def test_a_count_fails_that_grew_by_more_than_it_may(counts, capsys, what, before, now, has_grown):
    rows = counts.compare({"a call": {what: before}}, {"a call": {what: now}})
    assert [row.has_grown for row in rows] == [has_grown]
    assert counts.show(rows, "bbabd2ffe866") == has_grown
    shown = capsys.readouterr().out
    assert ("FAIL" in shown, "PASS" in shown) == (has_grown, not has_grown)


def test_one_that_grew_among_many_fails_all(counts, capsys):
    before = {"a call": {"calls": 100, "commits": 0}, "a refresh": {"calls": 900, "commits": 3}}
    now = {"a call": {"calls": 50, "commits": 0}, "a refresh": {"calls": 950, "commits": 3}}
    rows = counts.compare(before, now)
    assert [(row.work, row.what) for row in rows] == [
        ("a call", "calls"),
        ("a refresh", "calls"),
        ("a refresh", "commits"),
    ]
    assert counts.show(rows, "bbabd2ffe866") == 1
    assert capsys.readouterr().out.count("FAIL") == 1


def test_what_was_not_counted_before_is_no_pass(counts):
    with pytest.raises(KeyError):
        counts.compare({"a call": {"calls": 1}}, {"a call": {"calls": 1, "instructions": 1}})


def test_a_baseline_that_is_not_there_is_named(counts):
    missing = pytest.raises(SystemExit, match="no commit 0123456789 in this clone")
    with missing, counts.package_of("0123456789"):
        pass


@pytest.mark.drill
def test_one_package_counts_alike_twice_and_a_wasteful_one_is_found(counts, tmp_path):
    shutil.copytree(ROOT / "iop_async", tmp_path / "iop_async")
    with (tmp_path / "iop_async/_json.py").open("a") as file:
        file.write(WASTE)
    with counts.gateway() as url:
        once, again, wasteful = (counts.profiled(tree, url) for tree in (ROOT, ROOT, tmp_path))
    assert not any(row.has_grown for row in counts.compare(once, again))
    grown = {(row.work, row.what) for row in counts.compare(once, wasteful) if row.has_grown}
    assert {(work, "calls") for work in once if work.startswith("call")} <= grown
    assert {what for _, what in grown} == {"calls"}
    assert once["durable refresh, SQLite"]["commits"] >= 1
