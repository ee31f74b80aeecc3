"""Keep secrets out of text that people read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

MASK: Final = "***"

SECRET_PARAMS: Final = frozenset(
    {"access_token", "refresh_token", "session", "code", "sign", "client_secret", "secret"}
)

_NAMED_SECRET = re.compile(
    r"""(?ix)
    (?P<name> (?:[a-z]+_)? (?:token|secret) | session | sign
      | (?<![a-z_])code (?=[^\w]{1,8}\d_) )
    (?P<gap> [\\"'\s]* [:=>] [\\"'\s]* )
    (?P<value> [^\\"'\s&<>,}]+ )
    """
)


class Secret(str):
    """Text whose ``repr`` is masked, so that containers and tracebacks do not show it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"'{MASK}'"


def secrets_in(params: Mapping[str, object], *more: str | None) -> frozenset[Secret]:
    """The secret values among the parameters of a call, and those given besides."""
    named = [str(value) for name, value in params.items() if name in SECRET_PARAMS]
    return frozenset(Secret(secret) for secret in (*named, *more) if secret)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Mask the given secrets, and whatever stands after a name that announces one."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return _NAMED_SECRET.sub(rf"\g<name>\g<gap>{MASK}", text)
