"""A call that is ready but for its signature: what is to be signed, and the request with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from inspect import isawaitable, iscoroutine
from typing import TYPE_CHECKING

from attrs import field, frozen

from ._exceptions import SigningFailed
from ._redact import Secret, legible, secrets_in
from ._wire import HttpRequest

if TYPE_CHECKING:
    from .protocols import AwaitingSigner, Signer


@frozen(slots=False)
class Unsigned:
    """Pure: what a signer is given, and what becomes of its signature.

    Attributes:
        signer: whose signature it is to be.
        path: signed before the parameters; empty for a dotted API name.
        params: every parameter but ``sign``, as the text that is sent.
        finish: makes the request with a signature.
    """

    signer: Signer | AwaitingSigner
    path: str = field(repr=False)
    params: Mapping[str, str] = field(repr=False)
    finish: Callable[[str], HttpRequest] = field(repr=False)

    def signed(self, secret: str) -> HttpRequest:
        """The request, signed at once.

        Raises:
            SigningFailed: the signer did.
            TypeError: it awaits, and only a client can wait for it; its signature is no text.
        """
        signature: object = self.ask(secret)
        if isinstance(signature, str):
            return self.finish(signature)
        if iscoroutine(signature):
            signature.close()
        if isawaitable(signature):
            msg = (
                f"{type(self.signer).__name__} awaits: call it through a Client; its sign is to be "
                "an `async def`, by which a client knows"
            )
            raise TypeError(msg)
        return self.finish(require_signature(self.signer, signature))

    def ask(self, secret: str) -> str | Awaitable[str]:
        """What the signer says. Raises ``SigningFailed``."""
        try:
            return self.signer.sign(secret, self.path, self.params)
        except Exception as error:
            raise self.failure(error, secret) from error

    def failure(self, error: Exception, secret: str) -> Exception:
        """What to raise for an exception of the signer."""
        if isinstance(error, SigningFailed):
            return error
        words = legible(str(error), (secret, *secrets_in("token", self.params)))
        msg = (
            f"{type(self.signer).__name__} gave no signature, so nothing was sent: "
            f"{type(error).__name__}{f': {words}' if words else ''}"
        )
        # What it calls bad input is bad input at the second try too: a text too long for it, say.
        return SigningFailed(msg, retryable=not isinstance(error, (TypeError, ValueError)))


def require_signature(signer: object, signature: object) -> Secret:
    """Raises ``TypeError`` or ``ValueError`` for what is no signature."""
    if not isinstance(signature, str):
        kind = type(signature).__name__
        msg = f"{type(signer).__name__} returned {kind}; a signature is text, upper-case hex"
        raise TypeError(msg)
    if not signature.isalnum():
        msg = f"{type(signer).__name__} returned what is no signature; that is upper-case hex"
        raise ValueError(msg)
    return Secret(signature)
