"""Columns of bytes."""

from __future__ import annotations

from typing import Any, Final

from attrs import frozen
from sqlalchemy import BindParameter, ColumnElement, Dialect, LargeBinary, func
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine


class _Blob(mysql.LONGBLOB):
    def bind_processor(self, dialect: Dialect) -> Any:  # noqa: ARG002
        return _hex

    def bind_expression(self, bindvalue: BindParameter[bytes]) -> ColumnElement[bytes]:
        return func.unhex(bindvalue, type_=self)


class _Binary(mysql.BINARY):
    def bind_processor(self, dialect: Dialect) -> Any:  # noqa: ARG002
        return _hex

    def bind_expression(self, bindvalue: BindParameter[bytes]) -> ColumnElement[bytes]:
        return func.unhex(bindvalue, type_=self)


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


@frozen
class Types:
    """The types of columns of bytes: as long as they like, and of a digest."""

    text: TypeEngine[bytes]
    digest: TypeEngine[bytes]


def _types(text: TypeEngine[bytes], digest: TypeEngine[bytes]) -> Types:
    mysql_and = ("mysql", "mariadb")
    return Types(
        LargeBinary().with_variant(text, *mysql_and),
        LargeBinary(32).with_variant(digest, *mysql_and),
    )


PLAIN: Final = _types(mysql.LONGBLOB(), mysql.BINARY(32))
"""For definitions, which migrations repeat."""

SENT: Final = _types(_Blob(), _Binary(32))
"""For statements. MySQL is sent digits: what its drivers make of bytes depends on their releases
and on modes of the server, and aiomysql cannot send any with PyMySQL 1.2."""
