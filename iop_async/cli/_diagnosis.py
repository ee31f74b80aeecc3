"""The difference between two signed texts, in three lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import takewhile

from .._redact import secrets_in
from ..protocols import Signer
from ..signers import string_to_sign

_CONTEXT = 24


class RecordingSigner:
    """Delegates to another signer, and records the text of the last signature.

    While it signs: signing again later would have another timestamp.
    """

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self.sign_method = signer.sign_method
        self.signed = ""
        self.secrets: Iterable[str] = ()

    def sign(self, secret: str, path: str, params: Mapping[str, str]) -> str:
        """Sign with the other signer."""
        self.signed = string_to_sign(path, params)
        self.secrets = secrets_in(path or params.get("method", ""), params)
        return self._signer.sign(secret, path, params)


def explain(ours: str, theirs: str | None, secrets: Iterable[str]) -> str:
    """Both signed texts around their first difference; secrets masked."""
    ours = _masked(ours, secrets)
    if theirs is None:
        return f"we signed:      {ours}\nand the gateway does not say what it signed"
    theirs = _masked(theirs, secrets)
    # Equal texts and different signatures: only the key and the hash are left.
    if ours == theirs:
        return f"both signed:    {ours}\nso the app secret differs, or the digest"
    same = sum(
        1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(ours, theirs, strict=False))
    )
    start = max(same - _CONTEXT, 0)
    lead = "..." if start else ""
    return (
        f"we signed:      {lead}{ours[start : same + _CONTEXT]}\n"
        f"gateway signed: {lead}{theirs[start : same + _CONTEXT]}\n"
        f"they part here: {' ' * (len(lead) + same - start)}^ "
        f"(character {same + 1} of {len(ours)} and {len(theirs)})"
    )


def _masked(text: str, secrets: Iterable[str]) -> str:
    """Each secret as stars of its length, so that positions stay."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "*" * len(secret))
    return text
