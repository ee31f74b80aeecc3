"""What a database promises: whether it keeps what it acknowledged, for whom, and since when."""

from __future__ import annotations

from collections.abc import Mapping
from time import time
from typing import Any, Final

from sqlalchemy import TextClause, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ...protocols import StoreReport
from .._networks import CLEAR_TEXT, is_public
from ._databases import database_of
from ._poolers import is_pooled

_ASK: Final[Mapping[str, TextClause]] = {
    "PostgreSQL": text(
        "SELECT current_setting('fsync') AS fsync,"
        " current_setting('synchronous_commit') AS synchronous_commit"
    ),
    "MySQL": text("SELECT @@innodb_flush_log_at_trx_commit AS flush_log"),
    "MariaDB": text("SELECT @@innodb_flush_log_at_trx_commit AS flush_log"),
}
_ASK_CIPHER: Final = text("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
_ASK_TLS: Final[Mapping[str, TextClause]] = {
    "PostgreSQL": text("SELECT 'TLS', version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"),
    "MySQL": _ASK_CIPHER,
    "MariaDB": _ASK_CIPHER,
}
"""Answered by a name and a value, which is blank or missing in clear text."""

_ASK_CLUSTER_SIZE: Final = text("SHOW GLOBAL STATUS LIKE 'wsrep_cluster_size'")


async def survey(db: AsyncConnection, where: str) -> StoreReport:
    """What the server that ``db`` leads to promises."""
    database = database_of(db.dialect)  # by now it is known whether MySQL is MariaDB
    settings: dict[str, Any] = {}
    if database.name in _ASK:
        settings = dict((await db.execute(_ASK[database.name])).mappings().one())
    if "flush_log" in settings:
        cluster = (await db.execute(_ASK_CLUSTER_SIZE)).first()
        settings["nodes"] = int(cluster[1] or 0) if cluster else 0
    warnings = weaknesses(settings)
    if await _is_in_clear_text(db, database.name) and await is_public(db.engine.url.host):
        warnings.append(CLEAR_TEXT.format(how="sslmode=require, or ssl-mode=REQUIRED"))
    micros = (await db.execute(select(database.clock))).scalar_one()
    version = ".".join(map(str, getattr(db.dialect, "server_version_info", None) or ()))
    return StoreReport(
        store=where,
        server=f"{database.name} {version}".strip(),
        clock_offset=int(micros) / 1e6 - time(),
        pooler=is_pooled(db),
        warnings=tuple(warnings),
    )


async def _is_in_clear_text(db: AsyncConnection, name: str) -> bool:
    # behind a pooler the server tells of the pooler's connection, and not of ours
    if name not in _ASK_TLS or is_pooled(db):
        return False
    told = (await db.execute(_ASK_TLS[name])).first()
    return not (told and told[1])


def weaknesses(settings: Mapping[str, Any]) -> list[str]:
    """Settings of a database that lose grants, in words."""
    found = []
    if settings.get("fsync") == "off":
        found.append(
            "fsync is off, so that a crash of the machine may lose all grants: set fsync = on"
        )
    if settings.get("synchronous_commit") == "off":
        found.append(
            "synchronous_commit is off, so that a crash loses the grants of the last moments: set "
            "synchronous_commit = on, for this user at least"
        )
    if "flush_log" in settings and int(settings["flush_log"]) != 1:
        found.append(
            f"innodb_flush_log_at_trx_commit is {settings['flush_log']}, so that a crash loses the "
            "grants of the last second: set it to 1"
        )
    if int(settings.get("nodes", 0)) > 1:
        found.append(
            f"it is a Galera cluster of {settings['nodes']} nodes, whose locks hold on one node "
            "only: let all hosts write to the same node"
        )
    return found
