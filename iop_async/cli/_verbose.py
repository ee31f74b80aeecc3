"""``--verbose``: every request, on standard error, without secrets."""

from __future__ import annotations

from typing import Any

import click

from ..hooks import Request, Response, Retry
from ._output import fit_for_terminals, json_text, wants_json


def told_hooks() -> dict[str, Any]:
    """Hooks of a client that tell of what it does."""
    return {"on_request": _sent, "on_response": _received, "on_retry": _repeated}


def _sent(request: Request) -> None:
    words = f"> {request.http_method} {request.url} ({request.api}, try {request.attempt})"
    _tell(words, event="request", http_method=request.http_method, url=request.url,
          api=request.api, attempt=request.attempt)  # fmt: skip


def _received(response: Response) -> None:
    status = f"HTTP {response.status}" if response.status else "no answer"
    error = f", {response.error} {response.code or ''}".rstrip() if response.error else ""
    known_as = f", request id {response.request_id}" if response.request_id else ""
    _tell(f"< {status} after {response.seconds:.3f} s{error}{known_as}", event="response",
          status=response.status, seconds=round(response.seconds, 6), error=response.error,
          code=response.code, request_id=response.request_id)  # fmt: skip


def _repeated(retry: Retry) -> None:
    _tell(f"* again after {retry.error}, {retry.waited:.1f} s later", event="retry",
          api=retry.api, attempt=retry.attempt, waited=retry.waited, error=retry.error)  # fmt: skip


def _tell(words: str, **event: Any) -> None:
    click.echo(json_text(event) if wants_json() else fit_for_terminals(words), err=True)
