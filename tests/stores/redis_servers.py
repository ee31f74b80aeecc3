"""Redis servers that tests start, stop, stall and kill."""

import os
import signal
import subprocess
import time
from contextlib import ExitStack, contextmanager

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from services import REDIS, binary, free_port, require


class OwnServer:
    """A server on a free port, whose data lie in a directory of the test."""

    def __init__(self, directory, *options):
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._command = [
            binary("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1",
            "--dir", str(directory), "--save", "", *options,
        ]  # fmt: skip
        self._process = None

    def start(self):
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        until = time.monotonic() + 30
        while not self._answers():
            assert self._process.poll() is None, "the server does not like its options"
            assert time.monotonic() < until, "the server does not come up"
            time.sleep(0.02)

    def _answers(self):
        try:
            with self.client() as client:
                return client.ping()
        except redis.exceptions.AuthenticationError:
            return True
        except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError):
            return False

    def client(self, **options):
        """A client that waits, to look behind the back of a store."""
        retry = Retry(NoBackoff(), 0)
        return redis.Redis(port=self.port, socket_timeout=5, retry=retry, **options)

    def pause(self):
        self._process.send_signal(signal.SIGSTOP)

    def resume(self):
        self._process.send_signal(signal.SIGCONT)

    def kill(self):
        self._process.kill()
        self._process.wait()

    def stop(self):
        """As an operator would."""
        self._process.terminate()
        self._process.wait()


@contextmanager
def own_server(directory, *options):
    server = OwnServer(directory, *options)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@contextmanager
def own_cluster(directory, masters=3):
    """A cluster of masters; the port of one of them."""
    with ExitStack() as stack:
        servers = []
        for n in range(masters):
            (directory / f"{n}").mkdir()
            # its bus is ten thousand above a port that was free, and such a port may not exist
            options = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
            servers.append(stack.enter_context(own_server(directory / f"{n}", *options)))
        _join(servers)
        yield servers


def _join(servers):
    first = servers[0].client()
    bus = [one.client().config_get("cluster-port")["cluster-port"] for one in servers]
    for n, one in enumerate(servers):
        begin, end = 16384 * n // len(servers), 16384 * (n + 1) // len(servers) - 1
        one.client().execute_command("CLUSTER ADDSLOTSRANGE", begin, end)
        first.execute_command("CLUSTER MEET", "127.0.0.1", one.port, bus[n])
    until = time.monotonic() + 30
    while not all(_is_joined(one.client(), len(servers)) for one in servers):
        assert time.monotonic() < until, "the cluster does not come up"
        time.sleep(0.05)


def _is_joined(client, size):
    info = client.execute_command("CLUSTER INFO")
    return info["cluster_state"] == "ok" and int(info["cluster_known_nodes"]) == size


@contextmanager
def own_prefix():
    """A prefix that no other test has, on the server that all of them share."""
    mine = f"test-{os.urandom(8).hex()}"
    client = redis.Redis.from_url(require(REDIS))
    yield mine
    with client:
        for key in client.scan_iter(match=f"{{{mine}:*", count=1_000):
            client.unlink(key)
