"""The parameters of statements.

None may be named as the column that a statement sets, so each of them has a prefix.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, BindParameter, bindparam

from ._tables import SENT


def number(name: str) -> BindParameter[int]:
    return bindparam(name, type_=BigInteger)


def binary(name: str) -> BindParameter[bytes]:
    return bindparam(name, type_=SENT.text)


KEY: Final = binary("a_key")
SCOPE_KEY: Final = binary("a_scope_key")
HOLDER: Final = bindparam("a_holder", type_=SENT.text_or_null)
MICROS: Final = number("a_number")
DUE_BY: Final = number("a_due_by")
DUE_MINUTE: Final = number("a_due_minute")
UNTIL: Final = number("an_until")
LIMIT: Final = number("a_limit")
SORTED: Final = number("a_sort_limit")
ID: Final = number("an_id")
KEYS: Final = bindparam("some_keys", type_=SENT.digest, expanding=True)
IDS: Final = bindparam("some_ids", type_=BigInteger, expanding=True)
