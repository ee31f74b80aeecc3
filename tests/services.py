"""The servers that tests are run against; where one is missing, its tests skip and say why."""

import os
import random
import shutil
import socket
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

POSTGRESQL = "postgresql+asyncpg://postgres@127.0.0.1:5432/test"
MARIADB = "mysql+aiomysql://root@127.0.0.1:3306/test"
REDIS = "redis://127.0.0.1:6379/9"


def require(url: str) -> str:
    """Skip the test where the server does not listen; fail it where every server must be there."""
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname, parts.port), timeout=2).close()
    except OSError as error:
        _miss(f"no {parts.scheme} server listens at {parts.hostname}:{parts.port}: {error}")
    return url


def binary(name: str, elsewhere: str = "usr/sbin") -> str:
    """Where a program is, to start a server of the test's own; else in folders of a pattern."""
    others = Path("/").glob(f"{elsewhere}/{name}")
    found = shutil.which(name) or max(map(str, others), default=None)
    if found is None:
        _miss(f"{name} is not installed, and the test needs a server of its own")
    return found


def free_port():
    """A port that nobody listens at, and that no client is given while its server is down.

    Those that the system gives to clients begin at 32768 (Linux) or 49152: whoever dials such a
    port of loopback again and again is connected to himself some day, and holds it.
    """
    while True:
        port = random.randrange(15_000, 32_000)
        with socket.socket() as one, suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port


def _miss(what):
    if os.environ.get("IOP_ASYNC_SERVICES") == "required":
        pytest.fail(what)
    pytest.skip(what)
