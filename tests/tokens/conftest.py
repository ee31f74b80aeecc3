"""A world for every promise about tokens."""

from collections.abc import Iterator

import pytest
from tokens_world import World

from iop_async.sandbox import running


@pytest.fixture
def world(tmp_path) -> Iterator[World]:
    made = World(tmp_path / "tokens.db")
    with running(made.sandbox) as url:
        made.url = url
        yield made
