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


class OwnSentinel(OwnServer):
    """A Sentinel that watches a master for a service named ``mine``."""

    def __init__(self, directory, master, quorum):
        super().__init__(directory)
        config = directory / "sentinel.conf"
        config.write_text(f"""
sentinel monitor mine 127.0.0.1 {master.port} {quorum}
sentinel down-after-milliseconds mine 1500
sentinel failover-timeout mine 5000
""")
        self._command = [
            self._command[0], str(config), "--sentinel", "--port", str(self.port),
            "--bind", "127.0.0.1", "--dir", str(directory),
        ]  # fmt: skip


class Guarded:
    """A master, its replicas, and three Sentinels that agree on them."""

    def __init__(self, servers, sentinels):
        self.servers, self.sentinels = servers, sentinels
        hosts = ",".join(f"127.0.0.1:{one.port}" for one in sentinels)
        self.url = f"redis+sentinel://{hosts}/mine/0"

    def master(self):
        """The server that all Sentinels take for the master."""
        ports = set()
        for one in self.sentinels:
            with one.client() as client:
                address = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mine")
                ports.add(int(address[1]))
        (server,) = [one for one in self.servers if ports == {one.port}] or [None]
        return server

    def fail_over(self):
        """As an operator would have it, for maintenance say."""
        with self.sentinels[0].client() as client:
            client.execute_command("SENTINEL", "FAILOVER", "mine")

    def wait_until_ready(self):
        until = time.monotonic() + 60
        while not all(map(self._is_ready, self.sentinels)):
            assert time.monotonic() < until, "the Sentinels do not find each other"
            time.sleep(0.1)

    def _is_ready(self, sentinel):
        with sentinel.client() as client:
            state = client.sentinel_master("mine")
            replicas = client.sentinel_slaves("mine")
        found = state["num-other-sentinels"] == len(self.sentinels) - 1
        linked = [one for one in replicas if one["master-link-status"] == "ok"]
        return found and len(linked) == len(self.servers) - 1


@contextmanager
def own_guarded(directory, *options, replicas=1):
    """Servers behind Sentinels; ``options`` are those of master and replicas."""
    names = [f"{n}" for n in range(replicas + 1)]
    with ExitStack() as stack:
        for name in (*names, "s0", "s1", "s2"):
            (directory / name).mkdir()
        kept = ("--appendonly", "yes", "--repl-diskless-sync-delay", "0", *options)
        master = stack.enter_context(own_server(directory / "0", *kept))
        follow = ("--replicaof", "127.0.0.1", str(master.port))
        others = [
            stack.enter_context(own_server(directory / name, *kept, *follow)) for name in names[1:]
        ]
        sentinels = []
        for n in range(3):
            sentinel = OwnSentinel(directory / f"s{n}", master, 2)
            stack.callback(sentinel.kill)
            sentinel.start()
            sentinels.append(sentinel)
        guarded = Guarded([master, *others], sentinels)
        guarded.wait_until_ready()
        yield guarded


@contextmanager
def own_prefix():
    """A prefix that no other test has, on the server that all of them share."""
    mine = f"test-{os.urandom(8).hex()}"
    client = redis.Redis.from_url(require(REDIS))
    yield mine
    with client:
        for key in client.scan_iter(match=f"{{{mine}:*", count=1_000):
            client.unlink(key)
