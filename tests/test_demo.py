"""The demonstration: it holds, it says so in plain words, and it fails where a grant is lost."""

import io
import os
import re
import signal
import subprocess
import sys
from contextlib import asynccontextmanager

import anyio
import pytest
from click.testing import CliRunner
from rich.console import Console

import iop_async as iop
from iop_async.cli import _commands
from iop_async.cli._demo.aftermath import Left, compare_both
from iop_async.cli._demo.audit import Kept, compare, read
from iop_async.cli._demo.board import Board
from iop_async.cli._demo.gateway import APP, SCOPE, local_gateway
from iop_async.cli._demo.looks import LOOKS, cells
from iop_async.cli._demo.news import News, Stuck
from iop_async.cli._demo.process import running_app
from iop_async.cli._demo.stage import Stage
from iop_async.cli._demo.troubles import locked
from iop_async.stores import SQLiteStore

DEMO = [sys.executable, "-m", "iop_async.cli", "demo"]


def board_into(text, **options):
    return Board(Console(file=text, width=80, height=24, **options))


@pytest.fixture
def shown():
    return io.StringIO()


@pytest.fixture
def stage_of(shown, tmp_path):
    """A stage with a gateway of so many sellers, in a process of its own."""

    @asynccontextmanager
    async def make(sellers):
        with board_into(shown) as board:
            async with local_gateway(sellers) as gateway:
                clock = await gateway.set_speed(1)
                yield Stage(board, gateway, clock, tmp_path / "tokens.db")

    return make


async def authorize_all(stage, app):
    for seller in stage.gateway.sellers:
        await app.authorize(seller, await stage.gateway.approve(seller))
    await stage.news.until("authorized", lambda: len(stage.news.authorized), stage.all)


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

    async def fail(*_):
        return False

    monkeypatch.setattr(_commands, "demonstrate", fail)
    assert CliRunner().invoke(_commands.commands, ["demo"]).exit_code == 1


class TestAudit:
    def test_every_seller_is_in_one_place(self):
        """What the store says of itself decides whether a loss is silent."""
        live = {"held": "a", "open": "a", "given up": "a", "stale": "a", "missing": "a"}
        kept = {
            "held": Kept("a"),
            "open": Kept("b", is_open=True),
            "given up": Kept("b", is_given_up=True),
            "stale": Kept("b"),
            "unknown to the gateway": Kept("c"),
        }
        audit = compare(live, kept)
        assert audit.held == {"held"}
        assert audit.reported == {"open", "given up"}
        assert audit.silent == {"stale", "missing", "unknown to the gateway"}

    def test_a_refresh_without_an_answer_is_held_while_the_gateway_takes_its_token(self):
        """It never got there."""
        assert compare({"1": "a"}, {"1": Kept("a", is_open=True)}).held == {"1"}

    async def test_a_grant_that_is_really_lost_fails_the_demonstration(self, stage_of, shown):
        """Somebody else spends a refresh token, and the store does not know."""
        async with stage_of(3) as stage:
            async with running_app(stage.gateway, stage.path, stage.news.hear) as app:
                await authorize_all(stage, app)
                assert await app.stop() == 0
            nobody = Left(frozenset(), frozenset())
            await compare_both(stage, nobody)
            assert stage.board.held
            await spend(stage, "1002")
            await compare_both(stage, nobody)
            assert not stage.board.held
        assert "FAIL nothing lost: 2 of 3 tokens" in shown.getvalue()
        assert "       1  lost silently" in shown.getvalue()

    async def test_a_pair_in_the_journal_is_held(self, stage_of):
        """The store is locked when the app has a pair to keep."""
        async with stage_of(1) as stage:
            app = running_app(stage.gateway, stage.path, stage.news.hear)
            async with app as process:
                await authorize_all(stage, process)
                with locked(stage.path):
                    await authorize_all_again(stage, process)
                    await process.kill()
            kept = await read(stage.path)
            assert compare(await stage.gateway.live(), kept).held == {"1001"}
            assert (stage.path.parent / "tokens.db.spill").stat().st_size > 0


async def spend(stage, seller):
    store = SQLiteStore(stage.path)
    record = await store.get(SCOPE, seller)
    await store.aclose()
    refresh_token = re.search(rb'"refresh_token":"([^"]+)"', record.body)[1].decode()
    async with iop.Client(APP, stage.gateway.dialect) as client:
        await iop.auth.refresh_token(client, refresh_token=refresh_token)


async def authorize_all_again(stage, app):
    stage.news.authorized.clear()
    await authorize_all(stage, app)


class TestProcess:
    async def test_a_killed_app_is_not_waited_for(self, stage_of, shown):
        """What was waited for is a failed check."""
        async with stage_of(1) as stage:
            async with running_app(stage.gateway, stage.path, stage.news.hear) as app:
                await authorize_all(stage, app)
                await app.kill()
                with pytest.raises(Stuck):
                    await stage.news.until("refreshed", lambda: len(stage.news.refreshed), 1)
                await app.authorize("1001", "nobody listens")
            assert not stage.board.held
        assert "FAIL refreshed: 0 of 1 when the app's process ended" in shown.getvalue()

    async def test_a_refused_code_is_told_without_the_code(self, stage_of):
        """By the seller who approved."""
        told = []
        async with (
            stage_of(1) as stage,
            running_app(stage.gateway, stage.path, told.append) as app,
        ):
            await app.authorize("1001", "0_not-a-code")
            while not any("refused" in line for line in told):
                await anyio.sleep(0.01)
            await app.stop()
        assert "not-a-code" not in str(told)


class TestPicture:
    def test_each_seller_has_a_cell(self):
        """As long as there is room."""
        assert cells(["fresh"] * 200, width=80, rows=7).plain.count(LOOKS["fresh"].sign) == 200

    def test_a_cell_of_several_sellers_shows_the_one_in_trouble(self):
        """Nothing that asks for attention disappears."""
        states = ["fresh"] * 5000
        states[4321] = "reauthorize"
        text = cells(states, width=80, rows=7).plain
        assert text.count("x") == 1
        assert len(text.splitlines()) <= 7

    def test_it_fits_into_a_terminal_of_80_by_24(self, shown):
        """All states at once, and more kinds of happenings than are shown."""
        board = board_into(shown, force_terminal=True)
        news = News(board)
        states = {str(1001 + n): [*LOOKS][n % 8] for n in range(500)}
        news.hear({"states": states, "answered": 12_345})
        for number, kind in enumerate(("ambiguous", "reauthorize", "unpersisted", "error")):
            news.hear({"event": kind, "seller": str(1001 + number), "reason": "word " * 40})
        news.hear({"failed": "1009", "lacks_token": True, "reason": "none"})
        news.hear({"failed": "1009", "lacks_token": False, "reason": "503"})
        board.step("waiting", 3, 10)
        lines = board._console.render_lines(board)
        assert len(lines) <= 20
        assert all(len("".join(part.text for part in line)) <= 80 for line in lines)

    def test_what_happens_to_many_sellers_is_one_line(self, shown):
        """The last one's name, and how many there were before."""
        board = board_into(shown)
        for seller in ("1001", "1002", "1003"):
            board.happenings.add("00:01", "must authorize again", seller, "why")
        (line,) = board.happenings.lines()
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
    assert process.returncode == 1
    assert "simulated time" in text
    assert LOOKS["fresh"].sign in text
    assert text.rstrip().endswith("Aborted!")
    assert "Traceback" not in text


def read_terminal(terminal):
    with os.fdopen(terminal, "rb", buffering=0) as file:
        try:
            while piece := file.read(65536):
                yield piece.decode(errors="replace")
        except OSError:
            return  # how Linux says that the other side is gone
