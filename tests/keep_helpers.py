"""``iop-async keep`` as a process, beside a gateway whose ledger is the judge."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import anyio
import httpx
from services import free_port

import iop_async as iop
from iop_async.sandbox import Sandbox, running
from iop_async.stores import from_url
from iop_async.tokens import read_grant

SECRET = "canary-app-secret"
APP = iop.App("123456", SECRET)


class Keeper:
    """A keeper that was started.

    ``lines`` are those of its log, each an object; ``broken`` those that are none.
    """

    def __init__(self, process, url):
        self.process = process
        self.url = url
        self.lines, self.broken = [], []
        self._client = httpx.Client(base_url=url, timeout=30, trust_env=False)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        with self.process.stderr as log:
            for line in log:
                try:
                    self.lines.append(json.loads(line))
                except ValueError:
                    self.broken.append(line)

    def said(self, words):
        return [line for line in self.lines if words in line.get("message", "")]

    def get(self, path):
        return self._client.get(path)

    def wait_for(self, condition, seconds=60):
        until = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, f"it ended: {self.lines[-3:]} {self.broken}"
            assert time.monotonic() < until, f"never: {self.lines[-5:]}"
            time.sleep(0.02)

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def wait(self, seconds=60):
        """The exit status, once all that it logged is read."""
        status = self.process.wait(seconds)
        self._client.close()
        self._reader.join(10)
        return status


class Setup:
    """A gateway, a store with a grant of each seller, and keepers over both."""

    def __init__(self, gateway, store_url, folder, **options):
        self.gateway = gateway
        self.store_url = store_url
        self.folder = folder
        self.sandbox = options.pop("sandbox")

    @contextmanager
    def keeper(self, *arguments, ready="keeping tokens fresh"):
        port = free_port()
        env = {
            "IOP_STORE": self.store_url,
            "IOP_APP_KEY": APP.key,
            "IOP_APP_SECRET": SECRET,
            "IOP_GATEWAY": self.gateway,
            "IOP_JOURNAL": str(self.folder / "journal.spill"),
        }
        command = [sys.executable, "-m", "iop_async.cli", "keep", "--port", str(port), *arguments]
        process = subprocess.Popen(
            command,
            env={**os.environ, **env},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        keeper = Keeper(process, f"http://127.0.0.1:{port}")
        try:
            if ready:
                keeper.wait_for(lambda: keeper.said(ready))
            yield keeper
        finally:
            process.kill()
            keeper.wait()

    def fill(self):
        """Have every seller authorize."""
        anyio.run(self._fill)

    async def _fill(self):
        store = from_url(self.store_url)
        try:
            await store.create_tables()
            async with (
                iop.Client(APP, iop.gateways.Iop(self.gateway)) as client,
                iop.TokenManager(client, store, keeper=False) as tokens,
            ):
                for seller in self.sandbox.sellers:
                    await tokens.authorize(self.sandbox.authorize(seller))
        finally:
            await store.aclose()

    def stored(self):
        """The grants in the store, by seller."""
        return anyio.run(self._stored)

    async def _stored(self):
        scope = f"{APP.key}@{self.gateway.removeprefix('http://')}"
        async with from_url(self.store_url) as store:
            grants = [read_grant(record) async for record in store.records(scope)]
        return {grant.seller_id: grant for grant in grants}

    def lost(self):
        """The sellers of whom the store does not have the pair that the gateway considers live."""
        stored = self.stored()
        return {
            seller: stored[seller]
            for seller in self.sandbox.sellers
            if stored[seller].token.refresh_token
            != self.sandbox.grants.live_pair(APP.key, seller).refresh_token
        }

    def secrets(self):
        """Of the app, and of every pair that the gateway has issued."""
        pairs = self.sandbox.grants.live()
        tokens = {text for pair in pairs for text in (pair.access_token, pair.refresh_token)}
        return {SECRET, *tokens}

    def accepted(self):
        return sum(entry.accepted for entry in self.sandbox.ledger.refreshes)


@contextmanager
def setup(folder, *, store_url=None, sellers=5, access_seconds=3600):
    """A gateway and a store, SQLite's unless another is named, with a grant of each seller."""
    from iop_async.sandbox import SandboxApp

    sandbox = Sandbox(
        apps=[SandboxApp(APP.key, SECRET)], sellers=sellers, access_seconds=access_seconds
    )
    with running(sandbox) as url:
        made = Setup(url, store_url or f"sqlite:///{folder / 'tokens.db'}", folder, sandbox=sandbox)
        made.fill()
        yield made
