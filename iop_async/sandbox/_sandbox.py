"""The sandbox itself: everything that a gateway remembers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import count, islice
from typing import Any

from ._clock import Clock, utc_now
from ._fault_input import fault_of
from ._faults import Fault, Faults
from ._grants import OLD_ACCESS_TOKENS, ROTATIONS, Grants, OldAccessToken, Pair, Rotation
from ._ledger import Ledger
from ._parties import SandboxApp, SandboxSeller, make_seller
from ._profiles import PROFILES, Profile, Stage
from ._shapes import Issued

EXAMPLE_APP = SandboxApp("123456", "helloworld", name="Example app")
"""Key and secret of the platform's published signature example."""


class Sandbox:
    """A gateway's state: apps, sellers, clock, grants, faults and ledger.

    Serve it with :func:`~iop_async.sandbox.serve` or :func:`~iop_async.sandbox.running`, or hand
    :func:`~iop_async.sandbox.create_app` to any ASGI server. Its parts are plain objects; a test
    in the same process reads and moves them directly.

    Args:
        profile: a market by name, or a :class:`Profile`.
        apps: who may call.
        sellers: who may authorize: ids, :class:`SandboxSeller` values, or how many; numbered ones
            are called ``1001``, ``1002`` and so on.
        now: the time that the clock runs by.
        rotation: ``single_use``, as TOP documents it: a refresh token dies when it is traded, or
            when its seller authorizes the app again; ``keep``: it stays good up to its horizon.
        old_access_token: whether the access token that was traded in ``dies`` at once or ``stays``
            until it expires; it goes with the refresh token by default.
        stage: lifetimes of an app that is ``online``, or still a ``test``.
        access_seconds, refresh_seconds, code_seconds: other lifetimes than the profile's.
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
        for name, value, known in (
            ("rotation", rotation, ROTATIONS),
            ("old_access_token", old, OLD_ACCESS_TOKENS),
            ("stage", stage, ("online", "test")),
        ):
            if value not in known:
                msg = f"{name} is {value!r}; there are {', '.join(known)}"
                raise ValueError(msg)
        lifetimes = self.profile.online if stage == "online" else self.profile.test
        self.grants: Grants = Grants(
            self.clock,
            self.profile.code_form,
            _given(code_seconds, self.profile.code_seconds),
            _given(access_seconds, lifetimes.access),
            _given(refresh_seconds, lifetimes.refresh),
            rotation,
            old,
        )
        self.faults: Faults = Faults()
        self.ledger: Ledger = Ledger()
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

    def authorize(self, seller: str, *, app: str | None = None) -> str:
        """The authorization code that the app gets when the seller approves."""
        return self.grants.issue_code(*self._parties(seller, app))

    def grant(self, seller: str, *, app: str | None = None) -> dict[str, Any]:
        """A token as the token endpoint would answer it, without the way through a code."""
        return self.token_answer(self.grants.authorize(*self._parties(seller, app)))

    def fail(self, kind: str, **members: Any) -> Fault:
        """Let calls go wrong; see :class:`Fault`."""
        return self.faults.add(fault_of({"kind": kind, **members}), self.clock.now())

    def token_answer(self, pair: Pair, *, refreshed: bool = False) -> dict[str, Any]:
        """A pair in the shape of the profile."""
        return self.profile.shape(self.issued(pair, refreshed=refreshed))

    def issued(self, pair: Pair, *, refreshed: bool = False) -> Issued:
        """A pair and whatever an answer says about it."""
        return Issued(pair, self.sellers[pair.seller], self.clock.skew, refreshed)

    def _parties(self, seller: str, app: str | None) -> tuple[SandboxApp, str]:
        if seller not in self.sellers:
            msg = f"no seller {seller!r}; add it with add_sellers"
            raise ValueError(msg)
        key = next(iter(self.apps), "") if app is None else app
        if key not in self.apps:
            msg = f"no app {key!r}; add it with add_app"
            raise ValueError(msg)
        return self.apps[key], seller


def _profile(profile: str | Profile) -> Profile:
    if isinstance(profile, Profile):
        return profile
    try:
        return PROFILES[profile]
    except KeyError:
        msg = f"no profile {profile!r}; there are {', '.join(PROFILES)}"
        raise ValueError(msg) from None


def _given(value: float | None, default: float) -> float:
    return default if value is None else value
