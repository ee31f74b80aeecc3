"""The sandbox itself: everything that a gateway remembers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from itertools import count, islice
from typing import Any, TypeAlias

from ._answers import to_json
from ._apis import Context, Run
from ._clock import Clock, utc_now
from ._faults import Fault, Faults, parse_fault
from ._grants import OLD_ACCESS_TOKENS, ROTATIONS, Grants, OldAccessToken, Pair, Rotation
from ._ledger import Ledger
from ._parties import SandboxApp, SandboxSeller, make_seller
from ._profiles import PROFILES, Profile, Stage
from ._requests import SeenCalls
from ._shapes import Issued

AnswerData: TypeAlias = "Callable[[Mapping[str, str]], Any] | Any"

_API = re.compile(r"(?:/[\w.~{}-]+)+/?|\w+(?:\.\w+)+", re.ASCII)

# 108069: key and secret of the published example of a signature.
EXAMPLE_APP = SandboxApp("123456", "helloworld", name="Example app")


class Sandbox:
    """A gateway's state: apps, sellers, clock, grants, answers, faults and ledger.

    Serve it with :func:`~iop_async.sandbox.serve` or :func:`~iop_async.sandbox.running`, or hand
    :func:`~iop_async.sandbox.create_app` to any ASGI server. Its parts are plain objects; a test
    in the same process reads and moves them directly.

    Args:
        profile: a market by name, or a :class:`Profile`.
        apps: the registered apps.
        sellers: ids, :class:`SandboxSeller` values, or their number; numbered ones are called
            ``1001``, ``1002`` and so on.
        now: the time that the clock runs by.
        rotation: ``single_use``, as TOP documents it: a refresh token dies when it is traded, or
            when its seller authorizes the app again; ``keep``: it stays good up to its horizon.
        old_access_token: the access token that was traded in ``dies`` at once, or ``stays`` until
            it expires; it goes with the refresh token by default.
        stage: lifetimes of an app that is ``online``, or still a ``test``.
        access_seconds, refresh_seconds, code_seconds: other lifetimes than the profile's.

    Example::

        from iop_async.sandbox import Sandbox

        sandbox = Sandbox(profile="lazada", sellers=100, access_seconds=3600)
        sandbox.answer("/stock/get", {"data": {"quantity": 7}})
        sandbox.fail("status", api="/auth/token/refresh", status=502, for_seconds=120)
        code = sandbox.authorize("1001")
    """

    def __init__(
        self,
        *,
        profile: str | Profile = "taobao_global",
        apps: Iterable[SandboxApp] = (EXAMPLE_APP,),
        sellers: int | Iterable[str | SandboxSeller] = 3,
        now: Callable[[], datetime] = utc_now,
        rotation: Rotation = "single_use",
        old_access_token: OldAccessToken | None = None,
        stage: Stage = "online",
        access_seconds: float | None = None,
        refresh_seconds: float | None = None,
        code_seconds: float | None = None,
    ) -> None:
        self.profile: Profile = _profile(profile)
        self.clock: Clock = Clock(now)
        old = old_access_token or ("dies" if rotation == "single_use" else "stays")
        _require_one_of("rotation", rotation, ROTATIONS)
        _require_one_of("old_access_token", old, OLD_ACCESS_TOKENS)
        _require_one_of("stage", stage, ("online", "test"))
        lifetimes = self.profile.online if stage == "online" else self.profile.test
        self.grants: Grants = Grants(
            self.clock,
            self.profile.code_form,
            _or_default(code_seconds, self.profile.code_seconds),
            _or_default(access_seconds, lifetimes.access),
            _or_default(refresh_seconds, lifetimes.refresh),
            rotation,
            old,
        )
        self.faults: Faults = Faults()
        self.ledger: Ledger = Ledger()
        self.seen: SeenCalls = SeenCalls()
        self.answers: dict[str, Run] = {}
        self.apps: dict[str, SandboxApp] = {}
        self.sellers: dict[str, SandboxSeller] = {}
        for app in apps:
            self.add_app(app)
        self.add_sellers(sellers)

    def add_app(self, app: SandboxApp) -> SandboxApp:
        """Register an app, or change one."""
        self.apps[app.key] = app
        return app

    def add_sellers(self, sellers: int | Iterable[str | SandboxSeller]) -> list[SandboxSeller]:
        """More sellers: ids, :class:`SandboxSeller` values, or how many."""
        if isinstance(sellers, int):
            names = (str(number) for number in count(1001))
            sellers = list(islice((name for name in names if name not in self.sellers), sellers))
        elif isinstance(sellers, str):
            sellers = [sellers]
        added = [
            make_seller(seller, self.profile.countries, cross_border=self.profile.cross_border)
            for seller in sellers
        ]
        self.sellers |= {seller.seller_id: seller for seller in added}
        return added

    def authorize(self, seller_id: str, *, app: str | None = None) -> str:
        """The authorization code that the app gets when the seller approves."""
        return self.grants.issue_code(*self._parties(seller_id, app))

    def grant(self, seller_id: str, *, app: str | None = None) -> dict[str, Any]:
        """A token as the token endpoint would answer it, without the way through a code."""
        return self.token_answer(self.grants.authorize(*self._parties(seller_id, app)))

    def fail(self, kind: str, **members: Any) -> Fault:
        """Let calls go wrong; see :class:`Fault`."""
        return self.faults.add(parse_fault({"kind": kind, **members}), self.clock.now())

    def answer(self, api: str, data: AnswerData) -> None:
        """Teach the sandbox an API, or let one that it knows answer otherwise.

        Everything is checked as ever: signature, limits, and the token of a call that carries
        one; APIs that the sandbox knows need it all the same.

        Args:
            api: a path (``/order/get``, or ``/orders/{id}`` for any id), or a dotted name, of IOP
                and TOP alike.
            data: the members of the answer, or a function that makes them of the call's
                parameters, which it gets as text; ``{"data": ...}`` and ``{"result": ...}`` are
                told apart as the platform does. A value that is no mapping becomes the member
                ``data``. The function may raise :class:`Refusal`.

        Raises:
            TypeError: ``data`` is no JSON.
            ValueError: ``api`` is neither a path nor a dotted name.
        """
        if not _API.fullmatch(api):
            msg = f"{api!r} is no API; give a path like '/order/get' or a name like 'a.b.get'"
            raise ValueError(msg)
        if not callable(data):
            to_json(data)
        self.answers[api] = partial(_run_taught, data)

    def token_answer(self, pair: Pair, *, refreshed: bool = False) -> dict[str, Any]:
        """A pair in the shape of the profile."""
        return self.profile.shape(self.issued(pair, refreshed=refreshed))

    def issued(self, pair: Pair, *, refreshed: bool = False) -> Issued:
        """A pair and whatever an answer says about it."""
        return Issued(pair, self.sellers[pair.seller_id], self.clock.skew, refreshed)

    def _parties(self, seller_id: str, app: str | None) -> tuple[SandboxApp, str]:
        if seller_id not in self.sellers:
            msg = f"no seller {seller_id!r}; add it with add_sellers"
            raise ValueError(msg)
        key = next(iter(self.apps), "") if app is None else app
        if key not in self.apps:
            msg = f"no app {key!r}; add it with add_app"
            raise ValueError(msg)
        return self.apps[key], seller_id


def _run_taught(data: AnswerData, context: Context) -> Mapping[str, Any]:
    value = data(dict(context.params)) if callable(data) else data
    return value if isinstance(value, Mapping) else {"data": value}


def _profile(profile: str | Profile) -> Profile:
    if isinstance(profile, Profile):
        return profile
    try:
        return PROFILES[profile]
    except KeyError:
        msg = f"no profile {profile!r}; there are {', '.join(PROFILES)}"
        raise ValueError(msg) from None


def _require_one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        msg = f"{name} is {value!r}; there are {', '.join(known)}"
        raise ValueError(msg)


def _or_default(value: float | None, default: float) -> float:
    return default if value is None else value
