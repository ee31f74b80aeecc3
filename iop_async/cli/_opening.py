"""App, gateway, client, store and token manager, as the settings say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click

from .. import gateways
from .._client import Client
from .._models import App
from .._transport import HttpxTransport
from ..stores import ConfiguredStore, from_url
from ..tokens import TokenManager
from ._settings import Settings


def app_of(settings: Settings, *, signs: bool = True) -> App:
    """The app; without its secret where nothing is to be signed."""
    key = settings.require("app_key")
    return App(key, settings.require("app_secret")) if signs else App(key)


def gateway_of(settings: Settings) -> gateways.Preset:
    """The preset of a market's name, or a gateway at a URL."""
    name = settings.require("gateway")
    if "://" not in name:
        return gateways.from_name(name)
    # DOC:101617: TOP's path is /router/rest; /api is that of its security tokens (see presets).
    is_top = name.rstrip("/").endswith(("/router/rest", "/api"))
    dialect = gateways.Top if is_top else gateways.Iop
    return dialect(name, allow_http=settings.is_set("allow_http"))


@asynccontextmanager
async def opened_client(
    settings: Settings, *, signs: bool = True, gateway: gateways.Preset | None = None, **hooks: Any
) -> AsyncIterator[Client]:
    """A client, through the proxy if there is to be one; needs app and gateway.

    Args:
        signs: whether the app's secret is needed.
        gateway: instead of that of the settings.
        hooks: further arguments of the client.
    """
    app = app_of(settings, signs=signs)
    target = gateway_of(settings) if gateway is None else gateway
    async with (
        HttpxTransport(proxy=settings.get("proxy")) as transport,
        Client(app, target, transport=transport, **hooks) as client,
    ):
        yield client


def store_of(settings: Settings, *, must_exist: bool = True) -> ConfiguredStore:
    """The store; nothing is opened yet, and who uses it closes it.

    Args:
        must_exist: refuse a file that is not there, instead of making it.
    """
    store = from_url(settings.require("store"))
    if must_exist and is_missing(store):
        msg = (
            f"there is no store at {store.path}: "  # type: ignore[attr-defined] # see is_missing
            "'iop-async store init' makes one, as do 'login' and 'tokens import'"
        )
        raise click.UsageError(msg)
    return store


def is_missing(store: ConfiguredStore) -> bool:
    """Whether a store is a file that is not there."""
    path = getattr(store, "path", None)
    return path is not None and not Path(path).exists()


@asynccontextmanager
async def opened_store(
    settings: Settings, *, must_exist: bool = True
) -> AsyncIterator[ConfiguredStore]:
    """The store, closed at the end."""
    store = store_of(settings, must_exist=must_exist)
    try:
        yield store
    finally:
        await store.aclose()


def manager_of(
    settings: Settings, client: Client, store: Any, *, keeper: bool = False, **options: Any
) -> TokenManager:
    """A token manager, not entered yet, with the scope and the journal of the settings.

    Args:
        store: any store.
        keeper: whether it refreshes what falls due.
        options: further arguments of the manager.
    """
    return TokenManager(
        client,
        store,
        keeper=keeper,
        scope=settings.get("scope"),
        journal=settings.get("journal"),
        **options,
    )


@asynccontextmanager
async def opened_manager(
    settings: Settings, *, signs: bool = True, must_exist: bool = True, **options: Any
) -> AsyncIterator[TokenManager]:
    """A running token manager over the store of the settings; see :func:`manager_of`."""
    async with (
        opened_client(settings, signs=signs) as client,
        opened_store(settings, must_exist=must_exist) as store,
        manager_of(settings, client, store, **options) as manager,
    ):
        yield manager
