"""Two nodes of a Galera cluster, which a test may kill."""

import time
from contextlib import contextmanager

import pymysql
from services import binary, free_port
from store_kinds import OwnMariaDB


class GaleraNode(OwnMariaDB):
    """A node; the first begins the cluster, and outvotes the other where they lose each other."""

    def __init__(self, others=()):
        super().__init__()
        self.address, self._transfer, self._copy = (f"127.0.0.1:{free_port()}" for _ in range(3))
        self._others = others

    def command(self):
        options = {
            "gmcast.listen_addr": f"tcp://{self.address}",
            "ist.recv_addr": self._transfer,
            "pc.weight": 1 if self._others else 2,
            "evs.keepalive_period": "PT0.5S", "evs.suspect_timeout": "PT3S",
            "gcache.size": "32M",
        }  # fmt: skip
        cluster = ",".join(one.address for one in (*self._others, self))
        begin = [] if self._others else ["--wsrep-new-cluster"]
        return [
            *super().command(), *begin, "--wsrep-on=ON",
            f"--wsrep-provider={binary('libgalera_smm.so', 'usr/lib*/galera*')}",
            f"--wsrep-cluster-address=gcomm://{cluster}", f"--wsrep-node-address={self.address}",
            "--wsrep-provider-options=" + ";".join(f"{k}={v}" for k, v in options.items()),
            "--binlog-format=ROW", "--innodb-autoinc-lock-mode=2", "--wsrep-sst-method=rsync",
            f"--wsrep-sst-receive-address={self._copy}",
            "--innodb-flush-log-at-trx-commit=1",
        ]  # fmt: skip

    def provision(self):
        self.wait_until_ready()
        if not self._others:
            super().provision()

    def wait_until_ready(self):
        """Until it takes statements, after it was started."""
        until = time.monotonic() + 120
        while self.status("wsrep_ready") != "ON":
            assert time.monotonic() < until, self.log()
            time.sleep(0.1)

    def status(self, name):
        """One of its status variables; ``None`` where it does not answer."""
        try:
            with pymysql.connect(host="127.0.0.1", port=self.port, user="root") as db:
                cursor = db.cursor()
                cursor.execute("SHOW GLOBAL STATUS LIKE %s", (name,))
                return dict(cursor.fetchall()).get(name)
        except pymysql.Error:
            return None


@contextmanager
def own_galera():
    """Both nodes, joined."""
    with GaleraNode() as first, GaleraNode([first]) as second:
        yield first, second
