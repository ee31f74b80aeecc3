"""A shop for every test that wants one."""

import pytest
from cli_helpers import KEY, SECRET, Shop

from iop_async.sandbox import Sandbox, SandboxApp, running


@pytest.fixture
def shop(tmp_path):
    sandbox = Sandbox(apps=[SandboxApp(KEY, SECRET)], sellers=4)
    with running(sandbox) as url:
        yield Shop(sandbox, url, tmp_path)
