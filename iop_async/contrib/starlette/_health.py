"""What a probe is answered: whether the manager works, in words for anybody."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response

from ..._logs import own_logger
from ...tokens import Health, TokenManager

_log = own_logger("iop_async.web")


async def health_response(tokens: TokenManager, *, waiting: int) -> Response:
    """200 where all is well, and 503 where a person should look; the log says more."""
    headers = {"cache-control": "no-store"}
    try:
        health = await tokens.health()
    except RuntimeError:
        content = {"status": "failing", "problems": ["the token manager does not run here"]}
        return JSONResponse(content, 503, headers)
    if not health.is_healthy:
        _log.warning("not healthy: %s", "; ".join(health.problems))
    return JSONResponse(_shown(health, waiting), 200 if health.is_healthy else 503, headers)


def _shown(health: Health, waiting: int) -> dict[str, Any]:
    death = health.nearest_death
    return {
        "status": "ok" if health.is_healthy else "failing",
        "problems": _public(health),
        "at": health.at.isoformat(),
        "store": "failing" if health.store_error else "ok",
        "keeper": health.keeper,
        "unpersisted": health.unpersisted,
        "in_memory_only": health.in_memory_only,
        "refreshing": health.refreshing,
        "held_up_by": health.held_up_by,
        "overdue": health.overdue,
        "nearest_death": death and death.isoformat(),
        "pushes_waiting": waiting,
    }


def _public(health: Health) -> list[str]:
    """Without the words of a store, which name hosts, files and sellers."""
    unreadable = health.survey.unreadable if health.survey else ""
    words = {
        health.store_error: "the store cannot be read",
        unreadable: "some records cannot be read",
    }
    return [words.get(problem, problem) for problem in health.problems]
