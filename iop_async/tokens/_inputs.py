"""Checks of what a manager is given, before anything is asked of the store or presented."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Final, Literal

from attrs import frozen

from .._client import Client
from .._clock import Clock
from .._inputs import require_seller_id
from .._models import Seller, Token
from .._refresh import RefreshPolicy
from ..protocols import MAX_LEASE_SECONDS
from ._grant import ids_in, seller_ids_of

_LARGEST: Final = 1e9
"""Of what counts seconds, or things in a second."""

_STORE_METHODS: Final = ("get", "put", "remove", "claim", "lease", "next_due", "records", "aclose")

_WORDS: Final = {"role": ("peer", "follower"), "on_store_failure": ("wait", "journal")}


def seller_ids_in(value: object) -> list[str]:
    """The ids that are named, each once.

    Raises:
        TypeError, ValueError: it is no iterable of ids, or one of them is none.
    """
    if isinstance(value, str | bytes | bytearray) or not isinstance(value, Iterable):
        msg = f"seller_ids is of type {type(value).__name__}; give a list of seller ids"
        raise TypeError(msg)
    listed: list[Any] = list(value)
    for place, seller_id in enumerate(listed):
        require_seller_id(seller_id, f"seller_ids[{place}]")
    return list(dict.fromkeys(listed))


def require_token(token: object) -> None:
    """Raises ``TypeError`` or ``ValueError`` for what is no token, or names no sellers by text."""
    if not isinstance(token, Token):
        msg = f"token is of type {type(token).__name__}; give an iop_async.Token"
        raise TypeError(msg)
    sellers: Iterable[object] = token.sellers
    for place, seller in enumerate(sellers):
        if not isinstance(seller, Seller):
            msg = f"token.sellers[{place}] is of type {type(seller).__name__}; give a Seller"
            raise TypeError(msg)
    for seller_id in ids_in(token) or seller_ids_of(token):
        require_seller_id(seller_id, "a seller id of the token")


def require_parts(client: object, store: object, policy: object, clock: object) -> None:
    """Raises ``TypeError`` for what a manager cannot work with."""
    if not isinstance(client, Client):
        msg = f"client is of type {type(client).__name__}; give an iop_async.Client"
        raise TypeError(msg)
    _require_store(store)
    if policy is not None and not isinstance(policy, RefreshPolicy):
        msg = f"policy is of type {type(policy).__name__}; give an iop_async.RefreshPolicy"
        raise TypeError(msg)
    if clock is not None and (isinstance(clock, type) or not isinstance(clock, Clock)):
        msg = f"clock is of type {type(clock).__name__}; give one with now and sleep_until"
        raise TypeError(msg)


def require_callable(name: str, value: object) -> None:
    """Raises ``TypeError`` for what cannot be called."""
    if value is not None and not callable(value):
        msg = f"{name} is of type {type(value).__name__}; give a function"
        raise TypeError(msg)


def _require_store(store: object) -> None:
    if isinstance(store, str | os.PathLike):
        # A URL may hold a password, so it is not repeated.
        msg = (
            f"store is of type {type(store).__name__}; open what it names with "
            "iop_async.stores.from_url(url), or a file with iop_async.stores.SQLiteStore(path)"
        )
        raise TypeError(msg)
    if isinstance(store, type):
        msg = f"store is the class {store.__name__}; make one of it first"
        raise TypeError(msg)
    missing = [name for name in _STORE_METHODS if not callable(getattr(store, name, None))]
    if missing:
        msg = (
            f"store is of type {type(store).__name__}, which has no {', '.join(missing)}; give one "
            "of iop_async.stores, or an object with the methods of protocols.TokenStore"
        )
        raise TypeError(msg)


@frozen(kw_only=True)
class Settings:
    """The words and numbers that a manager is given; those that make no sense are refused."""

    concurrency: int
    rate: float | None
    keeper: bool
    role: Literal["peer", "follower"]
    on_store_failure: Literal["wait", "journal"]
    scope: str | None
    journal: str | os.PathLike[str] | None
    cached: int
    lease_seconds: float
    drain_seconds: float

    def __attrs_post_init__(self) -> None:
        for name, words in _WORDS.items():
            if (word := getattr(self, name)) not in words:
                msg = f"{name} is {word!r}; it is {words[0]!r} or {words[1]!r}"
                raise ValueError(msg)
        keeper: object = self.keeper
        if not isinstance(keeper, bool):
            msg = f"keeper is of type {type(keeper).__name__}; it is True or False"
            raise TypeError(msg)
        for name in ("concurrency", "cached"):
            _require_number(name, getattr(self, name), int)
            if getattr(self, name) < 1:
                msg = f"{name} is {getattr(self, name)}; it is at least 1"
                raise ValueError(msg)
        for name in ("rate", "lease_seconds", "drain_seconds"):
            _require_amount(name, getattr(self, name))
        _require_text("scope", self.scope, str)
        _require_text("journal", self.journal, str | os.PathLike)


def _require_amount(name: str, value: Any) -> None:
    if value is None and name == "rate":
        return
    _require_number(name, value, int | float)
    may_be_zero = name == "drain_seconds"
    most = MAX_LEASE_SECONDS if name == "lease_seconds" else _LARGEST
    if not 0 <= value <= most or (value == 0 and not may_be_zero):  # no NaN is anywhere
        least = "0 or more" if may_be_zero else "more than 0"
        bound = f", and at most {most:.0f}" if name == "lease_seconds" else ""
        msg = f"{name} is {str(value)[:20]}; give a finite number, {least}{bound}"
        raise ValueError(msg)


def _require_number(name: str, value: object, kind: Any) -> None:
    if not isinstance(value, kind) or isinstance(value, bool):
        what = "a whole number" if kind is int else "a number"
        msg = f"{name} is of type {type(value).__name__}; give {what}"
        raise TypeError(msg)


def _require_text(name: str, value: Any, kind: Any) -> None:
    if value is None:
        return
    if not isinstance(value, kind):
        what = "a path" if name == "journal" else "text"
        msg = f"{name} is of type {type(value).__name__}; give {what}"
        raise TypeError(msg)
    if not os.fspath(value).strip():
        msg = f"{name} is empty; leave it out for the default"
        raise ValueError(msg)
