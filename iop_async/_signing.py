"""Waiting for a signer that is somewhere else: a KMS, a vault, an HSM behind HTTP."""

from __future__ import annotations

from functools import partial
from inspect import isawaitable, iscoroutinefunction
from typing import Final

import anyio

from ._exceptions import SigningFailed
from ._unsigned import Unsigned, require_signature
from ._values import changed
from ._wire import HttpRequest

_LONGEST: Final = 30.0
"""Seconds for a signature, whatever a call may take: one that never comes must not hold it."""

_NO_TIME: Final = 0.001
"""Seconds where there are none left; a transport takes 0 for no limit."""


def awaits(signer: object) -> bool:
    """Whether a signer's ``sign`` is a coroutine."""
    sign = getattr(signer, "sign", None)
    while isinstance(sign, partial):
        sign = sign.func
    return iscoroutinefunction(sign)


async def sign(unsigned: Unsigned, secret: str, *, seconds: float | None) -> HttpRequest:
    """The request with the signature that the signer gives in time.

    Args:
        seconds: for all of the call; what is left of them is the request's ``timeout``.

    Raises:
        SigningFailed: it gave none; nothing was sent.
    """
    patience = _LONGEST if seconds is None else min(seconds, _LONGEST)
    began = anyio.current_time()
    with anyio.move_on_after(patience):
        try:
            signature = unsigned.ask(secret)
            if isawaitable(signature):
                signature = await signature
        except Exception as error:
            raise unsigned.failure(error, secret) from error
        request = unsigned.finish(require_signature(unsigned.signer, signature))
        if seconds is None:
            return request
        left = seconds - (anyio.current_time() - began)
        return changed(request, timeout=max(left, _NO_TIME))
    name = type(unsigned.signer).__name__
    msg = f"{name} gave no signature within {patience:g} s, so nothing was sent"
    raise SigningFailed(msg)
