"""Log lines as JSON, one object a line, for whoever collects them."""

from __future__ import annotations

import logging
import sys
from types import TracebackType
from typing import Final

from pythonjsonlogger.json import JsonFormatter

from ..._logs import own_logger
from ...tokens import EventKind, TokenEvent

logger: Final = own_logger("iop_async.keep")

_LEVELS: Final[dict[EventKind, int]] = {
    "refreshed": logging.INFO,
    "refresh_failed": logging.WARNING,
    "ambiguous": logging.ERROR,
    "incident": logging.ERROR,
    "incident_over": logging.WARNING,
    "doubtful_lifetime": logging.WARNING,
    "unpersisted": logging.ERROR,
    "authorize_by": logging.WARNING,
    "reauthorize": logging.WARNING,
    "error": logging.ERROR,
}


def log_json(level: str) -> None:
    """Write whatever is logged in this process to standard error as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter(
            ["levelname", "name", "message"],
            rename_fields={"levelname": "level", "name": "logger"},
            timestamp="at",
        )
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    ours = logging.getLogger("iop_async")
    ours.setLevel(level)
    for said_otherwise in tuple(ours.handlers):
        ours.removeHandler(said_otherwise)
    # httpx tells of each request at INFO, uvicorn of itself.
    for name in ("httpx", "httpcore", "uvicorn"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught


def _log_uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    logger.critical("ended by an error that nobody expected", exc_info=(kind, error, traceback))


def log_event(event: TokenEvent) -> None:
    """What happened to a seller's grant, as a line of the log."""
    members = {"event": event.kind, "seller_id": event.seller_id, "deadline": event.deadline}
    told = {name: value for name, value in members.items() if value is not None}
    who = event.seller_id and f"seller {event.seller_id}"
    words = ": ".join(filter(None, (event.kind, who, event.reason)))
    logger.log(_LEVELS[event.kind], words, extra=told)
