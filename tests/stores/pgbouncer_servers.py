"""PgBouncer in front of the PostgreSQL that tests share."""

from own_servers import OwnServer
from services import POSTGRESQL, binary, require
from sqlalchemy import make_url


class OwnPgBouncer(OwnServer):
    """A pooler of few connections, so that clients keep meeting each other's.

    Args:
        mode: ``transaction`` or ``session``.
        size: connections to the server.
    """

    user, scheme = "postgres", "postgresql"

    def __init__(self, mode="transaction", size=3):
        super().__init__()
        self._behind = make_url(require(POSTGRESQL))
        self._mode, self._size = mode, size
        self.url = self._behind.set(port=self.port).render_as_string()

    def prepare(self):
        there = self._behind
        (self.directory / "pgbouncer.ini").write_text(f"""
[databases]
* = host={there.host} port={there.port} user={there.username}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = any
pool_mode = {self._mode}
default_pool_size = {self._size}
max_client_conn = 500
""")

    def command(self):
        return [binary("pgbouncer"), str(self.directory / "pgbouncer.ini")]
