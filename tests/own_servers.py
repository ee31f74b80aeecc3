"""Servers of a test's own, which it may stop and kill: nobody else's are disturbed."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from services import free_port


class OwnServer:
    """A server on a free port, with its data in a directory that its user can reach."""

    user = None  # who runs it where the test is root, whom most servers refuse
    scheme = login = database = ""
    polite = signal.SIGTERM

    def __init__(self):
        self.port = free_port()
        self.url = f"{self.scheme}://{self.login}127.0.0.1:{self.port}/{self.database}"
        self._as = {"user": self.user, "extra_groups": []} if self._is_root() else {}
        self._process = None

    def _is_root(self):
        return self.user is not None and os.geteuid() == 0

    def __enter__(self):
        # not below the directory of the test, which other users may not enter
        self.directory = Path(tempfile.mkdtemp(prefix="iop-", dir="/tmp"))
        if self._is_root():
            shutil.chown(self.directory, self.user)
        try:
            self.prepare()
            self.start()
            self.provision()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self._process is not None:
            self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def prepare(self):
        """Before the first start."""

    def provision(self):
        """After the first start."""

    def start(self):
        """Return once it listens; children of a killed one may hold on to its data for a while."""
        until = time.monotonic() + 120
        self._process = self._spawn()
        while not self._listens():
            assert time.monotonic() < until, f"it does not come up: {self.log()}"
            time.sleep(0.05)
            if self._process.poll() is not None:
                self._process = self._spawn()

    def log(self):
        """The end of what it wrote."""
        return (self.directory / "log").read_text(errors="replace")[-3000:]

    def _spawn(self):
        with (self.directory / "log").open("ab") as log:
            return subprocess.Popen(
                self.command(), stdout=log, stderr=log, cwd=self.directory, **self._as
            )

    def _run(self, *command):
        subprocess.run(
            command, check=True, capture_output=True, cwd=self.directory, timeout=120, **self._as
        )

    def _listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def stop(self):
        """As an operator would."""
        self._process.send_signal(self.polite)
        self._process.wait(60)

    def kill(self):
        """As a power cut would."""
        self._process.kill()
        self._process.wait(60)


def restart(server, *, killed):
    """Stop or kill a server, and start it again with the data it had."""
    if killed:
        server.kill()
    else:
        server.stop()
    server.start()
