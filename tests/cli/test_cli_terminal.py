"""The command line on a pseudo-terminal, and without one: tables, bars, questions, colours."""

import os
import pty
import re
import select
import signal
import subprocess
import termios
import time

import httpx
import pytest
from cli_helpers import COMMAND, SECRET

MOVES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A process whose input and output are a terminal."""

    def __init__(self, shop, *arguments, columns=100, **env):
        ours, theirs = pty.openpty()
        size = {"TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": "30"}
        # A shell that starts something in the background has it ignore Ctrl-C, and all below it.
        ignored = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            stdin=theirs, stdout=theirs, stderr=theirs,
            env={**os.environ, **shop.env, **size, **env},
            start_new_session=True,
        )  # fmt: skip
        signal.signal(signal.SIGINT, ignored)
        os.close(theirs)
        self.terminal, self.text = ours, ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.terminal)

    def read_until(self, words, seconds=60):
        """Read until the words come, or the process ends."""
        ends = time.monotonic() + seconds
        while words is None or words not in self.text:
            if not select.select([self.terminal], [], [], max(0, ends - time.monotonic()))[0]:
                pytest.fail(f"nothing came: {self.text!r}")
            try:
                piece = os.read(self.terminal, 65536)
            except OSError:  # how Linux says that the other side is gone
                break
            if not piece:
                break
            self.text += piece.decode(errors="replace")
        return self.text

    def wait_for_silence(self):
        """Until what is typed is no longer echoed."""
        while termios.tcgetattr(self.terminal)[3] & termios.ECHO:
            time.sleep(0.01)

    def type(self, text):
        os.write(self.terminal, text.encode())

    def end(self):
        """What it wrote, and its status."""
        self.read_until(None)
        return MOVES.sub("", self.text).replace("\r\n", "\n"), self.process.wait(30)


@pytest.fixture
def kept(shop):
    shop.approve("1001", "1002", "1003")
    return shop


def test_a_table_is_drawn_on_a_terminal_and_separated_by_tabs_elsewhere(kept):
    """No line is cut, no colour goes into a pipe."""
    with Terminal(kept, "tokens", "list") as terminal:
        text, status = terminal.end()
    assert status == 0
    assert "\t" not in text
    assert "───" in text
    assert [line.split()[:2] for line in text.splitlines()[2:5]] == [
        ["1001", "fresh"], ["1002", "fresh"], ["1003", "fresh"]]  # fmt: skip
    piped = kept.run("tokens", "list")
    assert "\x1b" not in piped.out + piped.err
    assert piped.out.count("\t") == 4 * 5
    with Terminal(kept, "tokens", "list", columns=40) as narrow:
        text, _ = narrow.end()
    assert "…" not in text
    assert max(map(len, text.splitlines()[:-1])) <= 40


def test_json_on_a_terminal_is_json(kept):
    """Without a colour or a bar."""
    with Terminal(kept, "tokens", "refresh", "--all", "--json") as terminal:
        terminal.end()
    assert "\x1b" not in terminal.text
    assert '"refreshed": [' in terminal.text


def test_long_work_shows_a_bar_on_a_terminal_alone(kept):
    """On standard error, and gone in the end."""
    with Terminal(kept, "tokens", "refresh", "--all") as terminal:
        text, status = terminal.end()
    assert status == 0
    assert "refreshing" in terminal.text
    assert "3/3" in terminal.text
    assert "\x1b[2K" in terminal.text
    assert text.rstrip().endswith("1003: refreshed")
    done = kept.run("tokens", "refresh", "--all")
    assert "refreshing" not in done.out + done.err


def test_a_question_is_asked_on_a_terminal(kept):
    """No is no, and nothing is shown of what nobody asked for."""
    with Terminal(kept, "tokens", "forget", "1001") as terminal:
        terminal.read_until("[y/N]")
        terminal.type("n\n")
        text, status = terminal.end()
    assert status == 1
    assert "Traceback" not in text
    assert kept.invoke("tokens", "show", "1001").status == 0
    with Terminal(kept, "tokens", "forget", "1001") as terminal:
        terminal.read_until("[y/N]")
        terminal.type("y\n")
        text, status = terminal.end()
    assert (status, "1001: forgotten" in text) == (0, True)


def test_a_secret_is_asked_for_and_not_echoed(kept):
    """Where a hyphen is given for it."""
    given = ["call", "/sandbox/echo", "-p", "order_id=42", "--app-secret", "-"]
    with Terminal(kept, *given, IOP_APP_SECRET="") as terminal:
        terminal.read_until("app secret")
        terminal.wait_for_silence()
        terminal.type(f"{SECRET}\n")
        text, status = terminal.end()
    assert status == 0, text
    assert '"order_id": "42"' in text
    assert SECRET not in text


def test_a_callback_is_pasted_on_a_terminal_and_ctrl_c_ends_the_wait(shop):
    """At once, with the status of an interrupt and without a traceback."""
    given = {"IOP_REDIRECT_URI": "https://shop.example/callback"}
    with Terminal(shop, "login", "--no-browser", columns=400, **given) as terminal:
        text = terminal.read_until("paste the URL")
        page = re.search(r"http\S+", text)[0]
        terminal.type(httpx.get(f"{page}&auto_approve=1001").headers["location"] + "\n")
        text, status = terminal.end()
    assert (status, "1001: approved" in text) == (0, True), text
    with Terminal(shop, "login", "--no-browser", **given) as terminal:
        terminal.read_until("paste the URL")
        terminal.process.send_signal(signal.SIGINT)
        text, status = terminal.end()
    assert (status, "ended by SIGINT" in text, "Traceback" in text) == (130, True, False), text


def test_standard_input_that_is_a_terminal_is_not_waited_for(kept):
    """Nobody would know that he is to type JSON."""
    for given in (["call", "/a", "--params", "-"], ["tokens", "import", "-"]):
        with Terminal(kept, *given) as terminal:
            text, status = terminal.end()
        assert (status, "standard input is a terminal" in text) == (2, True)


def test_a_pipe_that_is_closed_early_is_no_traceback(kept):
    """As by head."""
    command = " ".join([*COMMAND, "tokens", "export", "--reveal"])
    done = subprocess.run(
        ["sh", "-c", f"{command} | true"],
        env={**os.environ, **kept.env}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_a_shell(shell, shop):
    """Of which bash, which is here, can read it; markets and profiles are completed too."""
    done = shop.run("completion", shell)
    assert done.status == 0
    assert "_IOP_ASYNC_COMPLETE" in done.out
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=done.out, text=True, check=True)
        for words, word, expected in (
            ("iop-async tok", 1, "tokens"),
            ("iop-async tokens sh", 2, "show"),
            ("iop-async call --gateway laz", 3, "lazada_sg"),
            ("iop-async call --dry", 2, "--dry-run"),
        ):
            env = {"COMP_WORDS": words, "COMP_CWORD": str(word)}
            completed = shop.run(**env, _IOP_ASYNC_COMPLETE="bash_complete").out
            assert expected in completed, words
