"""The command line, as a process and within this one; and a shop to use it on."""

import contextlib
import io
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from iop_async.cli._commands import commands

COMMAND = [sys.executable, "-m", "iop_async.cli"]
KEY, SECRET = "123456", "helloworld"


def invoke(*arguments, env=()):
    """Run a command within this process: its status, and what it wrote."""
    out, err = io.TextIOWrapper(io.BytesIO()), io.TextIOWrapper(io.BytesIO())
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        for name, value in dict(env).items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as end:
            commands(list(map(str, arguments)), prog_name="iop-async")
    written = [stream.buffer.getvalue().decode() for stream in (out, err) if not stream.flush()]
    return Done(end.value.code, *written)


class Done(SimpleNamespace):
    """What a command did."""

    def __init__(self, status, out, err):
        super().__init__(status=status, out=out, err=err)

    @property
    def document(self):
        """Of standard output."""
        return json.loads(self.out)

    @property
    def error(self):
        """Of the last line of standard error."""
        return json.loads(self.err.splitlines()[-1])["error"]


def run(*arguments, env=(), given=None, timeout=60):
    """Run a command as a process."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        env={**os.environ, **dict(env)},
        input=given,
        stdin=subprocess.DEVNULL if given is None else None,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


class Shop:
    """A sandbox, and the settings by which the command line finds it."""

    def __init__(self, sandbox, url, folder):
        self.sandbox = sandbox
        self.url = url
        self.folder = folder
        self.store = folder / "tokens.db"
        self.env = {
            "IOP_APP_KEY": KEY,
            "IOP_APP_SECRET": SECRET,
            "IOP_GATEWAY": url,
            "IOP_STORE": f"sqlite:///{self.store}",
        }

    def invoke(self, *arguments, **env):
        """Run a command within this process, on this shop."""
        return invoke(*arguments, env={**self.env, **env})

    def run(self, *arguments, given=None, **env):
        """Run a command as a process, on this shop."""
        return run(*arguments, env={**self.env, **env}, given=given)

    def approve(self, *seller_ids):
        """Put the tokens of sellers into the store, as an import brings them."""
        now = self.sandbox.clock.now().isoformat()
        rows = [{**self.sandbox.grant(each), "issued_at": now} for each in seller_ids]
        path = self.folder / "given.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        path.chmod(0o600)
        done = self.invoke("tokens", "import", path, "--json")
        assert done.document["imported"] == len(seller_ids), done.err
