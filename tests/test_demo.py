"""The demonstration: it holds, it says so in plain words, and it fails where a grant is lost."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from click.testing import CliRunner
from rich.console import Console

import iop_async as iop
from iop_async.cli import _commands, _demo_command
from iop_async.cli._demo.audit import StoredState, compare, read_stored
from iop_async.cli._demo.board import STATE_STYLES, Board, cells
from iop_async.cli._demo.gateway import APP, SCOPE, local_gateway
from iop_async.cli._demo.monitor import AppMonitor, StepFailed
from iop_async.cli._demo.process import running_app
from iop_async.cli._demo.scenario import Scenario
from iop_async.cli._demo.steps import CrashState, audit, locked
from iop_async.stores import SQLiteStore

DEMO = [sys.executable, "-m", "iop_async.cli", "demo"]


def board_into(text, **options):
    return Board(Console(file=text, width=80, height=24, **options))


@pytest.fixture
def shown():
    return io.StringIO()


@pytest.fixture
def scenario_of(shown, tmp_path):
    """A scenario with a gateway of so many sellers, in a process of its own."""

    @asynccontextmanager
    async def make(sellers):
        with board_into(shown) as board:
            async with local_gateway(sellers) as gateway:
                clock = await gateway.set_speed(1)
                yield Scenario(board, gateway, clock, tmp_path / "tokens.db")

    return make


async def authorize_all(scenario, app):
    for seller in scenario.gateway.sellers:
        await app.authorize(seller, await scenario.gateway.approve(seller))
    await scenario.monitor.wait_until(
        "authorized", lambda: len(scenario.monitor.authorized), scenario.total
    )


def test_the_demo_holds_and_prints_plain_lines_where_there_is_no_terminal():
    """Exit status 0, every check held, and the table accounts for every seller."""
    arguments = ["--sellers", "12", "--calls", "5", "--speed", "120"]
    ran = subprocess.run([*DEMO, *arguments], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout + ran.stderr
    assert "\x1b" not in ran.stdout
    assert len(ran.stdout.splitlines()) <= 60
    assert len(re.findall(r"^ok ", ran.stdout, re.MULTILINE)) == 12
    assert "gateway signed:" in ran.stdout
    assert ran.stdout.rstrip().endswith("all of it held")
    counted = re.findall(
        r"^ +(\d+)  (the same|reported as|lost silently)", ran.stdout, re.MULTILINE
    )
    same, again, reported, silent = (int(number) for number, _ in counted)
    assert (same + again, reported, silent) == (12, 0, 0)
    spent = re.search(r"no answer, (\d+) tokens are spent", ran.stdout)
    assert spent is not None
    assert int(spent[1]) == again


def test_the_command_fails_where_something_did_not_hold(monkeypatch):
    """Exit status 1."""

    async def fail(*_, **__):
        return {"something": True, "something else": False}

    monkeypatch.setattr(_demo_command, "demonstrate", fail)
    assert CliRunner().invoke(_commands.commands, ["demo"]).exit_code == 1
    told = CliRunner().invoke(_commands.commands, ["demo", "--json"])
    assert json.loads(told.stdout) == {
        "held": False,
        "checks": [
            {"what": "something", "held": True},
            {"what": "something else", "held": False},
        ],
    }


class TestAudit:
    def test_every_seller_is_in_one_set(self):
        """What the store says of itself decides whether a loss is silent."""
        live = {"held": "a", "open": "a", "given up": "a", "stale": "a", "missing": "a"}
        kept = {
            "held": StoredState("a"),
            "open": StoredState("b", is_unanswered=True),
            "given up": StoredState("b", is_given_up=True),
            "stale": StoredState("b"),
            "unknown to the gateway": StoredState("c"),
        }
        found = compare(live, kept)
        assert found.held == {"held"}
        assert found.reported == {"open", "given up"}
        assert found.silent == {"stale", "missing", "unknown to the gateway"}

    def test_a_refresh_without_an_answer_is_held_while_the_gateway_takes_its_token(self):
        """It never got there."""
        assert compare({"1": "a"}, {"1": StoredState("a", is_unanswered=True)}).held == {"1"}

    async def test_a_grant_that_is_really_lost_fails_the_demonstration(self, scenario_of, shown):
        """Somebody else spends a refresh token, and the store does not know."""
        async with scenario_of(3) as scenario:
            async with running_app(
                scenario.gateway, scenario.path, scenario.monitor.receive
            ) as app:
                await authorize_all(scenario, app)
                assert await app.stop() == 0
            nobody = CrashState(frozenset(), frozenset())
            await audit(scenario, nobody)
            assert scenario.board.held
            await spend(scenario, "1002")
            await audit(scenario, nobody)
            assert not scenario.board.held
        assert "FAIL nothing lost: 2 of 3 tokens" in shown.getvalue()
        assert "       1  lost silently" in shown.getvalue()

    async def test_a_pair_in_the_journal_is_held(self, scenario_of):
        """The store is locked when the app has a pair to keep."""
        async with scenario_of(1) as scenario:
            app = running_app(scenario.gateway, scenario.path, scenario.monitor.receive)
            async with app as process:
                await authorize_all(scenario, process)
                with locked(scenario.path):
                    await authorize_all_again(scenario, process)
                    await process.kill()
            kept = await read_stored(scenario.path)
            assert compare(await scenario.gateway.live(), kept).held == {"1001"}
            assert (scenario.path.parent / "tokens.db.spill").stat().st_size > 0


async def spend(scenario, seller):
    store = SQLiteStore(scenario.path)
    record = await store.get(SCOPE, seller)
    await store.aclose()
    refresh_token = re.search(rb'"refresh_token":"([^"]+)"', record.body)[1].decode()
    async with iop.Client(APP, scenario.gateway.dialect) as client:
        await iop.auth.refresh_token(client, refresh_token=refresh_token)


async def authorize_all_again(scenario, app):
    scenario.monitor.authorized.clear()
    await authorize_all(scenario, app)


class TestProcess:
    async def test_a_killed_app_is_not_waited_for(self, scenario_of, shown):
        """What was waited for is a failed check."""
        async with scenario_of(1) as scenario:
            async with running_app(
                scenario.gateway, scenario.path, scenario.monitor.receive
            ) as app:
                await authorize_all(scenario, app)
                await app.kill()
                with pytest.raises(StepFailed):
                    await scenario.monitor.wait_until(
                        "refreshed", lambda: len(scenario.monitor.refreshed), 1
                    )
                await app.authorize("1001", "nobody listens")
            assert not scenario.board.held
        assert "FAIL refreshed: 0 of 1 when the app's process ended" in shown.getvalue()

    async def test_a_refused_code_is_told_without_the_code(self, scenario_of):
        """By the seller who approved."""
        told = []
        async with (
            scenario_of(1) as scenario,
            running_app(scenario.gateway, scenario.path, told.append) as app,
        ):
            await app.authorize("1001", "0_not-a-code")
            while not any("refused" in line for line in told):
                await anyio.sleep(0.01)
            await app.stop()
        assert "not-a-code" not in str(told)


class TestPicture:
    def test_each_seller_has_a_cell(self):
        """As long as there is room."""
        assert (
            cells(["fresh"] * 200, width=80, rows=7).plain.count(STATE_STYLES["fresh"].sign) == 200
        )

    def test_a_cell_of_several_sellers_shows_the_one_in_trouble(self):
        """Nothing that asks for attention disappears."""
        states = ["fresh"] * 5000
        states[4321] = "reauthorize"
        text = cells(states, width=80, rows=7).plain
        assert text.count("x") == 1
        assert len(text.splitlines()) <= 7

    def test_it_fits_into_a_terminal_of_80_by_24(self, shown):
        """All states at once, and more kinds of events than are shown."""
        board = board_into(shown, force_terminal=True)
        monitor = AppMonitor(board)
        states = {str(1001 + n): [*STATE_STYLES][n % 8] for n in range(500)}
        monitor.receive({"states": states, "answered": 12_345})
        for number, kind in enumerate(("ambiguous", "reauthorize", "unpersisted", "error")):
            monitor.receive({"event": kind, "seller": str(1001 + number), "reason": "word " * 40})
        monitor.receive({"failed": "1009", "lacks_token": True, "reason": "none"})
        monitor.receive({"failed": "1009", "lacks_token": False, "reason": "503"})
        board.progress("waiting", 3, 10)
        lines = board._console.render_lines(board)
        assert len(lines) <= 20
        assert all(len("".join(part.text for part in line)) <= 80 for line in lines)

    def test_what_happens_to_many_sellers_is_one_line(self, shown):
        """The last one's name, and how many there were before."""
        board = board_into(shown)
        for seller in ("1001", "1002", "1003"):
            board.recent.add("00:01", "must authorize again", seller, "why")
        (line,) = board.recent.lines()
        assert "1003 and 2 more: must authorize again" in line.plain


def test_on_a_terminal_there_is_a_live_picture_and_ctrl_c_ends_it():
    """While the token manager is at work in a process of its own: no traceback."""
    ours, theirs = os.openpty()
    # A shell that starts something in the background has it ignore Ctrl-C, and all below it.
    ignored = signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(
        [*DEMO, "--sellers", "20"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"},
    ) as process:
        signal.signal(signal.SIGINT, ignored)
        os.close(theirs)
        text = ""
        for piece in read_terminal(ours):
            if "authorizing" not in text and "authorizing" in text + piece:
                process.send_signal(signal.SIGINT)
            text += piece
    assert process.returncode == 130
    assert "simulated time" in text
    assert STATE_STYLES["fresh"].sign in text
    assert text.rstrip().endswith("Error: ended by SIGINT")
    assert "Traceback" not in text


def children(pid):
    """The processes that a process has started and that run."""
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_nothing_behind(tmp_path, number):
    """Neither the gateway nor the app, whose process is in the midst of its work, nor the folder.

    A closed terminal is a signal as well, and so is Ctrl-C, which a shell gives to none of them.
    """
    with subprocess.Popen(
        [*DEMO, "--sellers", "4", "--calls", "1"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + 60
        while len(children(process.pid)) < 2 or not list(tmp_path.glob("*/tokens.db")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        started = children(process.pid)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "Traceback" not in err
    assert f"ended by {number.name}" in err
    assert not [pid for pid in started if Path(f"/proc/{pid}/exe").exists()]
    assert list(tmp_path.iterdir()) == []


async def test_no_module_of_the_current_directory_is_run(tmp_path, monkeypatch):
    """Whatever stands there by the name of one that the processes of the demonstration import."""
    here = tmp_path / "somewhere"
    here.mkdir()
    for name in ("anyio", "click", "httpx", "starlette", "uvicorn", "iop_async", "json"):
        (here / f"{name}.py").write_text("raise SystemExit('run from the current directory')")
    monkeypatch.chdir(here)
    messages = []
    async with (
        local_gateway(1) as gateway,
        running_app(gateway, tmp_path / "tokens.db", messages.append) as app,
    ):
        await app.authorize("1001", await gateway.approve("1001"))
        assert await app.stop() == 0
    assert {"authorized": "1001"} in messages


def read_terminal(terminal):
    with os.fdopen(terminal, "rb", buffering=0) as file:
        try:
            while piece := file.read(65536):
                yield piece.decode(errors="replace")
        except OSError:
            return  # how Linux says that the other side is gone
