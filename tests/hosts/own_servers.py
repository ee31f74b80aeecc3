"""Servers of a test's own, which it may stop and kill: nobody else's are disturbed."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from services import binary, free_port


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
            self.furnish()
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

    def furnish(self):
        """After the first start."""

    def start(self):
        """Until it listens. One that was killed may have children that hold on to its data."""
        until = time.monotonic() + 60
        self._process = self._spawn()
        while not self._listens():
            assert time.monotonic() < until, f"{self.scheme}: the server does not come up"
            time.sleep(0.05)
            if self._process.poll() is not None:
                self._process = self._spawn()

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


class OwnRedis(OwnServer):
    """One that has written to its file what it acknowledges."""

    scheme, database = "redis", "0"

    def command(self):
        return [
            binary("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1",
            "--dir", str(self.directory), "--save", "",
            "--appendonly", "yes", "--appendfsync", "always",
        ]  # fmt: skip


class OwnPostgreSQL(OwnServer):
    """Trusts everybody who connects from this machine."""

    user, scheme, login, database = "postgres", "postgresql+asyncpg", "postgres@", "postgres"
    polite = signal.SIGINT  # ends the sessions of clients that are connected

    def _program(self, name):
        return binary(name, "usr/lib/postgresql/*/bin")

    def prepare(self):
        self._run(
            self._program("initdb"), "-D", str(self.directory / "data"), "-U", "postgres",
            "-A", "trust", "--no-sync", "--no-locale", "-E", "UTF8",
        )  # fmt: skip

    def command(self):
        return [
            self._program("postgres"), "-D", str(self.directory / "data"), "-p", str(self.port),
            "-k", str(self.directory), "-c", "listen_addresses=127.0.0.1",
            "-c", "max_connections=300", "-c", "shared_buffers=32MB",
        ]  # fmt: skip

    def furnish(self):
        until = time.monotonic() + 60
        ask = [self._program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(ask, check=False).returncode:  # it listens before it serves
            assert time.monotonic() < until, "the server does not serve"
            time.sleep(0.05)


class OwnMariaDB(OwnServer):
    """Lets everybody in who connects from this machine."""

    user, scheme, login, database = "mysql", "mysql+aiomysql", "root@", "test"

    def prepare(self):
        self._run(
            binary("mariadb-install-db"), "--no-defaults", f"--datadir={self.directory}/data",
            "--auth-root-authentication-method=normal", "--skip-test-db",
        )  # fmt: skip

    def command(self):
        return [
            binary("mariadbd"), "--no-defaults",
            f"--datadir={self.directory}/data", f"--port={self.port}", "--skip-grant-tables",
            f"--socket={self.directory}/socket", f"--pid-file={self.directory}/pid",
            "--bind-address=127.0.0.1", "--innodb-buffer-pool-size=64M", "--max-connections=300",
        ]  # fmt: skip

    def furnish(self):
        import pymysql

        with pymysql.connect(host="127.0.0.1", port=self.port, user="root") as db:
            db.cursor().execute("CREATE DATABASE test")


def restart(server, *, killed):
    """Stop or kill a server, and start it again with the data it had."""
    if killed:
        server.kill()
    else:
        server.stop()
    server.start()
