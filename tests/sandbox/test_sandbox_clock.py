"""The clock is moved, never waited for."""

from datetime import UTC, datetime, timedelta

import pytest

from iop_async.sandbox import Clock


class Source:
    """A time that passes when it is told to."""

    def __init__(self):
        self.moment = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self):
        return self.moment

    def tick(self, seconds):
        self.moment += timedelta(seconds=seconds)


@pytest.fixture
def source():
    return Source()


@pytest.fixture
def clock(source):
    return Clock(source)


def passed(clock, since):
    return (clock.now() - since).total_seconds()


def test_it_runs_with_its_source(source, clock):
    source.tick(5)
    assert clock.now() == clock.wall() == source.moment


def test_it_advances_at_once(source, clock):
    start = clock.now()
    clock.advance(3600)
    source.tick(5)
    assert passed(clock, start) == 3605


def test_it_runs_faster_from_the_moment_it_is_told(source, clock):
    start = clock.now()
    source.tick(5)
    clock.speed = 100
    source.tick(2)
    assert passed(clock, start) == 205
    clock.speed = 1
    source.tick(1)
    assert passed(clock, start) == 206


def test_it_can_stand_still(source, clock):
    clock.speed = 0
    start = clock.now()
    source.tick(5)
    assert passed(clock, start) == 0


def test_it_never_runs_backwards_by_itself(clock):
    for speed in (-1, float("nan")):
        with pytest.raises(ValueError, match="time runs forward"):
            clock.speed = speed


def test_skew_puts_the_date_wrong_and_ages_nothing(clock):
    start = clock.now()
    clock.skew = 10_000
    assert passed(clock, start) == 0
    assert clock.wall() - clock.now() == timedelta(seconds=10_000)


def test_it_is_set_to_what_it_then_shows(clock):
    clock.skew = 60
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    clock.set(moment)
    assert clock.wall() == moment
    with pytest.raises(ValueError, match="aware"):
        clock.set(datetime(2030, 1, 1))  # noqa: DTZ001 - the point
