"""Send an answer, or end the connection that waits for it."""

from __future__ import annotations

from typing import Final

from starlette.types import Receive, Scope, Send

from ._answers import Answer

EXTENSION: Final = "iop_async.sandbox"
"""ASGI extension of :mod:`._server`: ``abort(reset)`` ends the connection at once."""


class Cut(ConnectionAbortedError):
    """Raised to end a connection where the server lends no hand."""


async def deliver(answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    """Send the answer, or as much of it as it wants to be sent."""
    if answer.cut == "drop" or (answer.cut and not answer.body):
        await _end(answer.cut, scope, receive)
        return
    headers = [
        (b"content-type", answer.content_type),
        (b"content-length", str(len(answer.body)).encode()),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if answer.cut:
        half = answer.body[: len(answer.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        await _end(answer.cut, scope, receive)
        return
    await send({"type": "http.response.body", "body": answer.body})


async def _end(cut: str, scope: Scope, receive: Receive) -> None:
    extension = scope.get("extensions", {}).get(EXTENSION)
    if extension is None:
        msg = f"a {cut} that the sandbox was asked for"
        raise Cut(msg)
    extension["abort"](reset=cut == "reset")
    # The server learns in its next turn that the connection is gone, and only then does it not
    # take a missing answer for an error.
    while (await receive())["type"] != "http.disconnect":
        pass
