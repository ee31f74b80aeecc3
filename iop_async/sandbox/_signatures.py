"""What a client signed instead, where its signature is wrong: the usual mistakes, tried in turn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hmac import compare_digest
from itertools import takewhile
from typing import Final, TypeAlias
from urllib.parse import quote, quote_plus

from attrs import frozen

from ..protocols import Signer
from ..signers import string_to_sign

Params: TypeAlias = Mapping[str, str]

_CONTEXT: Final = 60
_MAX_SHOWN: Final = 900
_MAX_PARAMS: Final = 40
_MAX_LENGTH: Final = 20_000
"""Of calls that are larger nobody looks for the mistake: each guess hashes all of it."""

SECRETS: Final = frozenset(
    {"access_token", "refresh_token", "session", "code", "sign", "app_secret", "secret", "token"}
)
"""Parameters whose values are not shown."""


@frozen
class Mistake:
    """A wrong signature.

    Attributes:
        words: what the client did, where it is known.
        ours: what the gateway signed, around the place where they part; secrets masked.
        theirs: what the client signed; ``None`` where nobody knows.
        part_at: the place in what is shown of both.
    """

    words: str
    ours: str
    theirs: str | None = None
    part_at: int = 0


def find_mistake(
    secret: str, signer: Signer | None, others: Iterable[Signer], prefix: str, params: Params
) -> Mistake:
    """The mistake that explains a wrong ``sign``, if it is a usual one.

    Args:
        signer: of the ``sign_method`` that was named; ``None`` where there is no such.
        others: that might have been used.
        prefix: what is signed before the parameters.
    """
    ours = string_to_sign(prefix, params)
    given = params.get("sign", "")
    masked = _spellings(params[name] for name in SECRETS & params.keys())
    if len(params) <= _MAX_PARAMS and len(ours) <= _MAX_LENGTH:
        for words, theirs in _guesses(prefix, params):
            if signer is not None and _is_of(signer, secret, theirs, given):
                return _apart(words, ours, theirs, masked)
        for other in others:
            if _is_of(other, secret, ours, given):
                words = f"it is that of sign_method {other.sign_method}"
                return _apart(words, ours, ours, masked)
    words = "no usual mistake explains it: it may be another secret, or a parameter changed later"
    return Mistake(words, _masked(ours, masked)[:_MAX_SHOWN])


def _is_of(signer: Signer, secret: str, text: str, given: str) -> bool:
    return compare_digest(signer.sign(secret, text, {}).encode(), given.upper().encode())


def _guesses(prefix: str, params: Params) -> Iterator[tuple[str, str]]:
    """What clients have been seen to sign, with words for it."""
    pairs = [(name, value) for name, value in sorted(params.items()) if name != "sign"]
    # 108068: upper-case hex.
    yield "it is right but for its case: upper-case hex is asked for", _joined(prefix, pairs)
    if prefix:
        yield "the path of the API was not signed", _joined("", pairs)
        # observed: clients trip over /rest and slashes.
        yield "the path was signed with /rest before it", _joined(f"/rest{prefix}", pairs)
        yield "the path was signed with a slash after it", _joined(f"{prefix}/", pairs)
        yield "the path was signed without its slash", _joined(prefix[1:], pairs)
    for name, value in pairs:
        others = [pair for pair in pairs if pair != (name, value)]
        # observed: `session` added after signing, in an issue of a TOP client.
        yield f"the parameter {name} was not signed", _joined(prefix, others)
    as_sent = [(name, value) for name, value in params.items() if name != "sign"]
    yield "the parameters were not sorted", _joined(prefix, as_sent)
    folded = sorted(pairs, key=lambda pair: pair[0].lower())
    yield "the parameters were sorted without regard to case", _joined(prefix, folded)
    # 108068: raw values are signed; observed: a tutorial tells to encode them first.
    for name_of_form, form in (("%20", quote), ("+", quote_plus)):
        encoded = [(name, form(value, safe="")) for name, value in pairs]
        words = f"the values were signed percent-encoded (a space as {name_of_form})"
        yield words, _joined(prefix, encoded)
    query = "&".join(f"{name}={value}" for name, value in pairs)
    yield "the parameters were signed with = and & between them", prefix + query
    stripped = [(name, value.strip()) for name, value in pairs]
    yield "the values were signed without the spaces around them", _joined(prefix, stripped)
    # observed: a client of TOP's sends blanks that it does not sign.
    filled = [(name, value) for name, value in pairs if value.strip()]
    yield "blank parameters were sent, and not signed", _joined(prefix, filled)


def _joined(prefix: str, pairs: Iterable[tuple[str, str]]) -> str:
    return prefix + "".join(name + value for name, value in pairs)


def _apart(words: str, ours: str, theirs: str, secrets: Iterable[str]) -> Mistake:
    """Both texts around the place where they part."""
    part_at = sum(
        1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(ours, theirs, strict=False))
    )
    start = max(part_at - _CONTEXT, 0)
    end = part_at + _CONTEXT
    shown_ours, shown_theirs = _masked(ours, secrets), _masked(theirs, secrets)
    return Mistake(words, shown_ours[start:end], shown_theirs[start:end], part_at - start)


def _spellings(secrets: Iterable[str]) -> list[str]:
    """Secrets as they are and percent-encoded, the longest first."""
    forms = {form for each in secrets for form in (each, each.strip(), quote(each, safe=""))}
    return sorted(filter(None, forms), key=len, reverse=True)


def _masked(text: str, secrets: Iterable[str]) -> str:
    """Each secret as stars of its length, so that places stay."""
    for secret in secrets:
        text = text.replace(secret, "*" * len(secret))
    return text
