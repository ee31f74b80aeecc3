"""Processes of hosts that share a store: started, killed, paused, and replaced."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import notes

PROGRAM = Path(__file__).with_name("host.py")


class HostProcesses:
    """Host processes by name; one that is started under another's name takes over its journal.

    Args:
        directory: for journals and notes.
        gateway: URL of the gateway.
        store: URL of the store.
        manager: options of every token manager.
    """

    def __init__(self, directory, gateway, store, **manager):
        self.directory = Path(directory)
        self._settings = {"gateway": gateway, "store": store}
        self._manager = manager
        self.pids = {}
        self.killed = {}  # pid -> when
        self.pauses = []  # pid, begin, end
        self._paused = {}

    def __enter__(self):
        with (self.directory / "hosts.log").open("ab") as log:
            self._driver = subprocess.Popen(
                [sys.executable, str(PROGRAM)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                bufsize=1,
            )
        return self

    def __exit__(self, *_):
        self._driver.stdin.close()
        self._driver.wait(60)
        self._driver.stdout.close()

    def _ask(self, what):
        self._driver.stdin.write(json.dumps(what) + "\n")
        return int(self._driver.stdout.readline())

    def start(self, *names, asks=(), store=None, **manager):
        """Start hosts, all at once; they ask for the tokens of the sellers ``asks``.

        Args:
            store: URL of theirs, where they reach it another way.
        """
        for name in names:
            self.pids[name] = self._ask(
                {
                    **self._settings,
                    **({"store": store} if store else {}),
                    "journal": str(self.journal(name)),
                    "notes": str(self.directory / f"{name}.notes"),
                    "manager": self._manager | manager,
                    "asks": list(asks),
                }
            )
        for name in names:
            os.kill(self.pids[name], signal.SIGCONT)

    def journal(self, name):
        return self.directory / f"{name}.spill"

    def kill(self, name):
        """As a power cut would (SIGKILL)."""
        pid = self.pids.pop(name)
        self._paused.pop(pid, None)
        os.kill(pid, signal.SIGKILL)
        self.killed[pid] = time.time()
        assert self._ask(pid) == -signal.SIGKILL, f"{name} had ended by itself"

    def pause(self, name):
        """Suspend it (SIGSTOP)."""
        self._paused[self.pids[name]] = time.time()
        os.kill(self.pids[name], signal.SIGSTOP)

    def resume(self, name):
        """Let it go on."""
        pid = self.pids[name]
        self.pauses.append((pid, self._paused.pop(pid), time.time()))
        os.kill(pid, signal.SIGCONT)

    def is_paused(self, name):
        return self.pids[name] in self._paused

    def stop(self, *names):
        """As a deployment would (SIGTERM): what is under way may land."""
        for name in names:
            os.kill(self.pids[name], signal.SIGTERM)
        for name in names:
            assert self._ask(self.pids.pop(name)) == 0, f"{name} failed: see {self.directory}"

    def notes(self):
        """What all of them noted, in order."""
        return notes.read(self.directory)
