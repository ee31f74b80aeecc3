"""A scenario, and the stores, for every promise about tokens."""

from collections.abc import Iterator

import pytest
from store_kinds import provisioning
from tokens_scenario import Scenario

from iop_async.sandbox import running


@pytest.fixture
def scenario(request, tmp_path) -> Iterator[Scenario]:
    """By a clock that is moved and goes on; a test's parameter is another speed of it."""
    made = Scenario(tmp_path / "tokens.db", speed=getattr(request, "param", 1.0))
    with running(made.sandbox) as url:
        made.url = url
        yield made


@pytest.fixture(scope="session")
def provision():
    """Gives a location of a store, for this run of the tests, and empty."""
    with provisioning() as at:
        yield at


@pytest.fixture
def shared(request, scenario, provision, tmp_path) -> Scenario:
    """A scenario whose store is of the kind that the test's parameter names, and nobody else's."""
    scenario.store = provision(request.param, tmp_path).store
    return scenario
