"""A local gateway for every test that wants one."""

import logging
import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable, Generator, Iterator
from functools import partial
from typing import Any, TypeAlias

import anyio
import pytest
import shown_locals
from hypothesis import HealthCheck, settings
from loopback import Server

import iop_async as iop
from iop_async.sandbox import Sandbox, SandboxApp, running

SECRETS = re.compile(r"helloworld|5000(?:0601|1600)\w{20}")
"""The app's secret, and the tokens that the sandbox hands out."""

bad_input_shows_no_secret = shown_locals.bad_input_shows_no_secret

APP = iop.App("123456", "helloworld")

# Seconds say how busy the machine is, and nothing of a promise.
settings.register_profile(
    "unhurried", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("unhurried")


@pytest.hookimpl(optionalhook=True)  # where xdist is not
def pytest_xdist_auto_num_workers() -> int:
    """Of ``-n auto``: half of what a test does is waiting, for servers, leases and processes."""
    return (os.cpu_count() or 1) * 3 // 2


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Coverage looks at asyncio alone: counting lines, a test takes nearly twice as long."""
    coverage = sys.modules.get("coverage")  # not loaded where nothing is measured
    measured = coverage and coverage.Coverage.current()
    if not measured or "trio" not in item.name.partition("[")[2]:
        return (yield)
    measured.stop()
    try:
        return (yield)
    finally:
        measured.start()


@pytest.fixture(autouse=True, scope="session")
def no_profile_of_ones_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whoever runs the tests may have settings for the command line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        for name in [name for name in os.environ if name.startswith("IOP_")]:
            if name in ("IOP_PROFILE", "IOP_CONFIG", "IOP_STORE", "IOP_GATEWAY"):
                patch.delenv(name)
        yield


@pytest.fixture(autouse=True, scope="session")
def hangups_end_programs() -> None:
    """Whoever runs the tests may have told them, and so their children, to outlive the terminal."""
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def show(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Show what a drill counted, at the end of all: what workers of xdist print is lost."""
    return partial(record_property, "shown")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What was shown, under the tests that did."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        lines = [str(value) for name, value in report.user_properties if name == "shown"]
        if lines and report.when == "call":
            terminalreporter.write_line("\n".join([f"{report.nodeid}:", *lines]))


Run: TypeAlias = Callable[[Callable[[], Awaitable[Any]]], Any]


@pytest.fixture(params=["asyncio", "trio"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine function to its end under either event loop."""

    def run(scenario: Callable[[], Awaitable[Any]]) -> Any:
        async def within() -> Any:
            with anyio.fail_after(60):
                return await scenario()

        return anyio.run(within, backend=request.param)

    return run


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of raw bytes on loopback."""
    with Server() as server:
        yield server


@pytest.fixture(autouse=True)
def no_secret_is_logged(
    request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> Iterator[None]:
    """Not by this library, and not by those it uses."""
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.DEBUG, logger="iop_async")
    yield
    called_by_tests = "httpx" if request.path.parent.name == "sandbox" else ""
    for record in caplog.get_records("call"):
        assert record.name == called_by_tests or not SECRETS.search(record.getMessage()), (
            record.name
        )


@pytest.fixture
def app() -> iop.App:
    """An app that the sandbox knows."""
    return APP


@pytest.fixture
def sandbox() -> Sandbox:
    """The gateway's state: its clock, its faults, its grants."""
    return Sandbox(apps=[SandboxApp(APP.key, APP.secret)], sellers=3)


@pytest.fixture
def url(sandbox: Sandbox) -> Iterator[str]:
    """The URL of the sandbox."""
    with running(sandbox) as listening:
        yield listening


@pytest.fixture
def gateway(url: str) -> iop.gateways.Iop:
    """The sandbox as a gateway."""
    return iop.gateways.Iop(url)
