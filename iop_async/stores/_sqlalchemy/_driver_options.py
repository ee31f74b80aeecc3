"""Options that the URL of a database has for its driver: as hosts write them, as drivers take them.

Hosts hand out the names of libpq and of MySQL's own clients, whatever the driver.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final

from attrs import frozen
from sqlalchemy import URL

from .._options import Read, UnusableUrl, count, require_known, seconds, text

_SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_IS_TLS: Final[Mapping[str, bool]] = {
    "disabled": False, "disable": False, "off": False, "preferred": False, "prefer": False,
    "required": True, "require": True, "verify_ca": True, "verify_identity": True,
}  # fmt: skip
"""What MySQL's ``ssl-mode`` may say: whether there must be TLS."""

_TLS_OF_MYSQL: Final = ("ssl-mode", "ssl_mode", "sslmode", "ssl_ca", "ssl_cert", "ssl_key")


@frozen
class _Driver:
    """A driver's options: those that it reads itself, and what becomes of all of them."""

    known: Mapping[str, Read]
    arguments: Callable[[dict[str, Any]], dict[str, Any]] = lambda options: options
    places: tuple[str, ...] = ()


def driver_arguments(url: URL) -> tuple[URL, dict[str, Any]]:
    """The URL without its options, and what ``connect`` of the driver takes in their place.

    A socket or several hosts, which PostgreSQL has as options, stay where SQLAlchemy reads them.

    Raises:
        UnusableUrl: one of them is not known, or says nothing that it may.
    """
    driver = _DRIVERS[url.get_driver_name()]
    require_known(url.query, {*driver.known, *driver.places})
    values: dict[str, Any] = {}
    for name, value in url.query.items():
        if name in driver.places:
            continue
        if not isinstance(value, str):
            msg = f"the option {name} is there twice"
            raise UnusableUrl(msg)
        try:
            values[name] = driver.known[name](value)
        except ValueError as error:
            problem = str(error)
        else:
            continue
        msg = f"the option {name} takes {problem}"
        raise UnusableUrl(msg)
    places = {name: value for name, value in url.query.items() if name in driver.places}
    return url.set(query=places), driver.arguments(values)


def _one_of(*choices: str) -> Read:
    def read(value: str) -> str:
        if value.lower() not in choices:
            raise ValueError(" or ".join(choices))
        return value.lower()

    return read


def _tls_mode(value: str) -> object:
    return _one_of(*_IS_TLS)(value.replace("-", "_"))


def _of_asyncpg(options: dict[str, Any]) -> dict[str, Any]:
    if options.pop("channel_binding", "disable") == "require":
        msg = (
            "asyncpg has no channel binding: leave the option channel_binding out, or install "
            "psycopg and write postgresql+psycopg://"
        )
        raise UnusableUrl(msg)
    for name in ("prepared_statement_cache_size", "statement_cache_size"):
        options.pop(name, None)  # whether statements have names is for the store to find out
    settings = {name: options.pop(name) for name in ("application_name",) if name in options}
    names = {"sslmode": "ssl", "connect_timeout": "timeout"}
    made = {names.get(name, name): value for name, value in options.items()}
    return {**made, "server_settings": settings} if settings else made


def _of_mysql(options: dict[str, Any]) -> dict[str, Any]:
    modes = {options.pop(name) for name in _TLS_OF_MYSQL[:3] if name in options}
    files = {name: options.pop(name) for name in _TLS_OF_MYSQL[3:] if name in options}
    if not files and not any(_IS_TLS[mode] for mode in modes):
        return options
    try:
        context = ssl.create_default_context(cafile=files.get("ssl_ca"))
        if "ssl_cert" in files:
            context.load_cert_chain(files["ssl_cert"], files.get("ssl_key"))
    except (OSError, ValueError):
        msg = "a file that ssl_ca, ssl_cert or ssl_key names cannot be read as a certificate or key"
        raise UnusableUrl(msg) from None
    context.check_hostname = "verify_identity" in modes
    if "ssl_ca" not in files and not modes & {"verify_ca", "verify_identity"}:
        context.verify_mode = ssl.CERT_NONE  # as MySQL's own clients take the word `required`
    return {**options, "ssl": context}


_ASYNCPG: Final = _Driver(
    {
        "application_name": text,
        "channel_binding": _one_of("disable", "prefer", "require"),
        "command_timeout": seconds,
        "connect_timeout": seconds,
        "direct_tls": lambda value: value.lower() in {"1", "true", "yes"},
        "gsslib": text,
        "krbsrvname": text,
        "passfile": text,
        "prepared_statement_cache_size": text,
        "statement_cache_size": text,
        "service": text,
        "ssl": _one_of(*_SSL_MODES, "true", "false"),
        "sslmode": _one_of(*_SSL_MODES),
        "target_session_attrs": text,
    },
    _of_asyncpg,
    ("host", "port"),
)
_PSYCOPG: Final = _Driver(
    dict.fromkeys(
        (
            "application_name", "channel_binding", "client_encoding", "connect_timeout",
            "fallback_application_name", "gssencmode", "hostaddr", "keepalives",
            "keepalives_count", "keepalives_idle", "keepalives_interval", "krbsrvname",
            "load_balance_hosts", "options", "passfile", "require_auth", "requirepeer", "service",
            "sslcert", "sslcertmode", "sslcrl", "sslkey", "sslmode", "sslnegotiation",
            "sslpassword", "sslrootcert", "sslsni", "target_session_attrs", "tcp_user_timeout",
        ),
        text,
    ),
    places=("host", "port"),
)  # fmt: skip
_MYSQL: Final = _Driver(
    {
        **dict.fromkeys(_TLS_OF_MYSQL[:3], _tls_mode),
        **dict.fromkeys(_TLS_OF_MYSQL[3:], text),
        **dict.fromkeys(
            ("charset", "init_command", "program_name", "read_default_file",
             "read_default_group", "server_public_key", "sql_mode", "unix_socket"),
            text,
        ),
        "connect_timeout": count,
    },
    _of_mysql,
)  # fmt: skip

_DRIVERS: Final[Mapping[str, _Driver]] = {
    "asyncpg": _ASYNCPG,
    "psycopg": _PSYCOPG,
    "aiomysql": _MYSQL,
    "asyncmy": _MYSQL,
    "aiosqlite": _Driver({}),
}
