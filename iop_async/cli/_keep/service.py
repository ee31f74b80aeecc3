"""The service: from its first look at the store to the last pair that it drains."""

from __future__ import annotations

import logging
import os
import signal
from typing import Any

import anyio
from anyio.abc import TaskStatus
from attrs import frozen

from ...gateways._addresses import is_loopback
from ...tokens import TokenManager
from .._group import Failed
from .._http_server import serving
from .._opening import manager_of, opened_client, opened_store
from .._settings import Settings
from .logs import logger
from .metrics import Metrics
from .pages import make_app
from .systemd import keep_watchdog_quiet, notify
from .watch import Watch


@frozen(kw_only=True)
class Listening:
    """Where the pages are served, and whether the dashboard is one of them."""

    host: str
    port: int
    has_dashboard: bool


async def serve(settings: Settings, listening: Listening, **options: Any) -> None:
    """Keep the tokens of a store fresh until SIGTERM or SIGINT, and serve the pages meanwhile.

    Args:
        options: further arguments of the manager.

    Raises:
        IopError, OSError: it cannot begin.
        Failed: the end left pairs in memory alone.
    """
    metrics = Metrics()
    async with (
        opened_client(settings, on_response=metrics.observe) as client,
        opened_store(settings) as store,
    ):
        tokens = manager_of(settings, client, store, keeper=True, **options)
        watch = Watch(tokens, tokens.events(), metrics)
        is_local = is_loopback(listening.host)
        app = make_app(watch, has_dashboard=listening.has_dashboard, is_local=is_local)
        async with serving(app, host=listening.host, port=listening.port) as url:
            await _watched(watch, url)
    if lost := tokens.at_stake.in_memory_only:
        msg = (
            f"neither the store nor a journal took the newest pairs of {len(lost)} sellers, which "
            f"must authorize again: {', '.join(sorted(lost))}"
        )
        raise Failed(msg)


async def _watched(watch: Watch, url: str) -> None:
    """Keep, while signals are obeyed and events are followed to the last."""
    failure: Exception | None = None
    stop = anyio.Event()
    async with anyio.create_task_group() as tasks:
        signals = await tasks.start(_obey_signals, watch.tokens, stop)
        tasks.start_soon(watch.follow)
        try:
            await _keep(watch, url, stop)
        except Exception as error:  # noqa: BLE001 - raised below, out of the group that wraps it
            failure = error
        finally:
            watch.stream.close()
            signals.cancel()
    if failure is not None:
        raise failure


async def _keep(watch: Watch, url: str, stop: anyio.Event) -> None:
    tokens = watch.tokens
    logger.info("opening the store", extra={"scope": tokens.scope, "url": url})
    async with tokens, anyio.create_task_group() as tasks:
        watch.phase = "keeping"
        notify("READY=1")
        tasks.start_soon(keep_watchdog_quiet)
        logger.info("keeping tokens fresh", extra={"scope": tokens.scope, "url": url})
        await stop.wait()
        watch.phase = "draining"
        notify("STOPPING=1")
        waiting = len(tokens.at_stake.refreshing)
        logger.info("draining %d refreshes", waiting, extra={"refreshing": waiting})
        tasks.cancel_scope.cancel()
    logger.info("ended")


async def _obey_signals(
    tokens: TokenManager,
    stop: anyio.Event,
    *,
    task_status: TaskStatus[anyio.CancelScope],
) -> None:
    """The first signal begins the end, the second is the end."""
    with (
        anyio.CancelScope() as scope,
        anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals,
    ):
        task_status.started(scope)
        async for number in signals:
            if stop.is_set():
                _end_at_once(tokens, number)
            logger.info("received %s", signal.Signals(number).name)
            stop.set()


def _end_at_once(tokens: TokenManager, number: int) -> None:
    at_stake = tokens.at_stake
    told = {
        "refreshing": sorted(at_stake.refreshing),
        "in_memory_only": sorted(at_stake.in_memory_only),
    }
    logger.critical(
        "ended at once by a second %s: refreshes under way of %d sellers, whose answers the next "
        "start asks for, and newest pairs of %d sellers in memory alone, which are lost",
        signal.Signals(number).name,
        len(at_stake.refreshing),
        len(at_stake.in_memory_only),
        extra=told,
    )
    logging.shutdown()
    os._exit(128 + number)
