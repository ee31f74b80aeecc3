"""The servers that stores are tested against; where one is missing, its tests skip and say why."""

import os
import socket

import pytest

POSTGRESQL = "postgresql+asyncpg://postgres@127.0.0.1:5432/test"
MARIADB = "mysql+aiomysql://root@127.0.0.1:3306/test"
REDIS = "redis://127.0.0.1:6379/9"

_ADDRESSES = {
    POSTGRESQL: ("PostgreSQL", "127.0.0.1", 5432),
    MARIADB: ("MariaDB", "127.0.0.1", 3306),
    REDIS: ("Redis", "127.0.0.1", 6379),
}


def require(url):
    """Skip the test where the server does not listen; fail it where every server must be there."""
    name, host, port = _ADDRESSES[url]
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError as error:
        missing = f"{name} does not listen at {host}:{port}: {error}"
        if os.environ.get("IOP_ASYNC_SERVICES") == "required":
            pytest.fail(missing)
        pytest.skip(missing)
    return url
