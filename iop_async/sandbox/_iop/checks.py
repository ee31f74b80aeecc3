"""IOP's checks before a call is let in, in the order in which the sandbox makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from hmac import compare_digest
from itertools import combinations
from typing import Final

from attrs import evolve, frozen

from ...protocols import Signer
from ...signers import HMAC_MD5, HMAC_SHA256, TOP_HMAC_SHA256, TOP_MD5, string_to_sign
from .._answers import Refusal, missing
from .._clock import china_time, milliseconds, utc_time
from .._dialect import Address
from .._parties import SandboxApp
from .._signatures import find_mistake

# 108069: "within 7200 seconds of UTC".
WINDOW: Final = timedelta(seconds=7200)

SYSTEM: Final = frozenset(
    {
        "access_token", "app_key", "debug", "format", "method", "partner_id", "session", "sign",
        "sign_method", "simplify", "timestamp", "v",
    }
)  # fmt: skip
"""Parameters of the gateway: 108069 and, for those of dotted names, the official SDKs."""

_REQUIRED = ("app_key", "timestamp", "sign_method", "sign")
_MAX_PATH_PARAMS = 6


@frozen
class Rules:
    """The forms in which one endpoint takes a call's signature and date."""

    signers: Mapping[str, Signer]
    times: tuple[Callable[[str], datetime | None], ...]


REST_RULES: Final = Rules(
    # 108068: sha256. observed: an old sample of Lazada's signs with HMAC-MD5, named "hmac".
    signers={"sha256": HMAC_SHA256, "hmac": HMAC_MD5},
    # 108069: 13 digits, or ISO 8601 in UTC.
    times=(milliseconds, utc_time),
)
SYNC_RULES: Final = evolve(
    REST_RULES,
    # observed: clients of AliExpress in use sign with md5, one names its HMAC "hmac-sha256".
    signers={**REST_RULES.signers, "md5": TOP_MD5, "hmac-sha256": TOP_HMAC_SHA256},
    # observed: one client writes the time of China, as TOP has it.
    times=(*REST_RULES.times, china_time),
)


def admit(
    apps: Mapping[str, SandboxApp],
    params: Mapping[str, str],
    address: Address,
    wall: datetime,
    rules: Rules,
) -> SandboxApp:
    """The app that signed a call.

    Args:
        wall: the date, to the gateway.

    Raises:
        Refusal: a system parameter is missing or wrong.
    """
    for name in _REQUIRED:
        if not params.get(name, "").strip():
            raise missing(name)
    # observed: AliExpress refuses an unknown app before a signature, Lazada before a path.
    app = apps.get(params["app_key"])
    if app is None:
        raise Refusal("InvalidAppkey")
    # assumed: the date comes before the signature; no source tells.
    sent_at = next(filter(None, (read(params["timestamp"]) for read in rules.times)), None)
    if sent_at is None or abs(wall - sent_at) > WINDOW:
        raise Refusal("IllegalTimestamp")
    _check_signature(app, params, address, rules)
    return app


def _check_signature(
    app: SandboxApp, params: Mapping[str, str], address: Address, rules: Rules
) -> None:
    signer, prefix = rules.signers.get(params["sign_method"]), address.prefix
    choices = list(_signed_choices(params, address))
    given = params["sign"].encode()
    if signer is not None and prefix is not None:
        for signed in choices:
            if compare_digest(signer.sign(app.secret, prefix, signed).encode(), given):
                return
    ours = string_to_sign(prefix or "", choices[0])
    others = rules.signers.values()
    mistake = find_mistake(app.secret, signer, others, prefix or "", choices[0])
    raise Refusal("IncompleteSignature", string_to_sign=ours, mistake=mistake)


def _signed_choices(params: Mapping[str, str], address: Address) -> Iterator[Mapping[str, str]]:
    """The sets of parameters that a client may have signed; the likeliest first.

    A path of REST 2.0 was filled in by the client, and does not tell with which parameters: any
    whose value stands in it may be one.
    """
    names = [
        name
        for name, value in params.items()
        if address.is_filled_in
        and name not in SYSTEM
        and value.strip("/")
        and f"/{value}/" in f"{address.api}/"
    ][:_MAX_PATH_PARAMS]
    # observed: the official Java SDK sends the parameters of a path, and does not sign them.
    for count in range(len(names), -1, -1):
        for unsigned in combinations(names, count):
            yield {name: value for name, value in params.items() if name not in unsigned}
