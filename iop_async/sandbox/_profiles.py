"""Profiles: what differs between the markets, as data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from attrs import frozen

from . import _shapes

Stage: TypeAlias = Literal["online", "test"]

_DAY: Final = 24 * 3600


@frozen
class Lifetimes:
    """Seconds that an access token and an authorization last.

    Example::

        from iop_async.sandbox import PROFILES

        assert PROFILES["taobao_global"].online.access == 30 * 86400
    """

    access: int
    refresh: int


def _days(access: int, refresh: int) -> Lifetimes:
    return Lifetimes(access * _DAY, refresh * _DAY)


# 121098: of Lazada's apps online. observed: of Daraz's, in a client that quotes its guide.
# assumed: of Miravia's and Alibaba.com's, which publish none.
_ONLINE: Final = _days(30, 180)
# observed: of apps in a test, in the guides of TaoWorld and Daraz. assumed: of Miravia's.
_TEST: Final = _days(7, 30)


@frozen(kw_only=True)
class Profile:
    """A market as the sandbox imitates it.

    Args:
        name: by which it is chosen.
        shape: writes the token answer of IOP's endpoints; TOP's are the same everywhere.
        code_form: how an authorization code looks, with ``{key}`` and ``{random}``.
        code_seconds: how long a code lives.
        online, test: lifetimes of an app that is online, or still being tested.
        countries: ventures that sellers belong to, one each unless ``cross_border``.
        cross_border: a seller has a shop in every country.
        trace_id: answers carry a ``_trace_id_``.

    Example::

        from iop_async.sandbox import PROFILES, Lifetimes, Sandbox

        profile = attrs.evolve(PROFILES["lazada"], online=Lifetimes(access=3600, refresh=86400))
        sandbox = Sandbox(profile=profile)
    """

    name: str
    shape: _shapes.Shape
    code_form: str
    code_seconds: int = 30 * 60  # observed: TaoWorld's, Lazada's and Daraz's pages agree on it
    online: Lifetimes = _ONLINE
    test: Lifetimes = _TEST
    countries: tuple[str, ...] = ()
    cross_border: bool = False
    trace_id: bool = True


# 108065: Lazada's six ventures, in the order of its page.
_LAZADA = ("sg", "my", "vn", "th", "ph", "id")

PROFILES: Final[Mapping[str, Profile]] = {
    profile.name: profile
    for profile in (
        Profile(
            name="taobao_global",
            shape=_shapes.taobao_global,
            code_form="0_{random}",  # observed: in the sample of TaoWorld's guide
            online=_days(30, 60),  # observed: in production; the guide says 30 and 180
            trace_id=False,  # observed: absent from TaoWorld's answers
        ),
        Profile(
            name="taobao_global_sample",
            shape=_shapes.taobao_global_sample,
            code_form="0_{random}",
            trace_id=False,
        ),
        Profile(
            name="aliexpress",
            shape=_shapes.aliexpress,
            code_form="3_{key}_{random}",  # observed: AliExpress's, Miravia's and Alibaba.com's
            code_seconds=3 * 60,  # observed: on the page of /auth/token/create; an older one has 30
            online=_days(30, 60),  # observed: document and production agree
            test=_days(1, 2),  # observed: document and production agree
        ),
        Profile(
            name="aliexpress_sample",
            shape=_shapes.aliexpress_sample,
            code_form="3_{key}_{random}",
            code_seconds=3 * 60,
            online=_days(30, 60),
            test=_days(1, 2),
            trace_id=False,
        ),
        Profile(
            name="lazada",
            shape=_shapes.lazada,
            code_form="0_{key}_{random}",  # observed: in Lazada's sample
            test=_days(7, 14),  # 121098
            countries=_LAZADA,
        ),
        Profile(
            name="lazada_cross_border",
            shape=_shapes.lazada,
            code_form="0_{key}_{random}",
            test=_days(7, 14),
            countries=_LAZADA,
            cross_border=True,
        ),
        Profile(
            name="lazada_by_country",
            shape=_shapes.lazada_by_country,
            code_form="0_{key}_{random}",
            test=_days(7, 14),
            countries=_LAZADA,
            cross_border=True,
            trace_id=False,
        ),
        Profile(
            name="miravia",
            shape=_shapes.lazada,
            code_form="3_{key}_{random}",
            countries=("es",),  # assumed: its one gateway is Spain's
        ),
        Profile(
            name="daraz",
            shape=_shapes.daraz,
            code_form="4_{key}_{random}",  # observed: in a client's fixtures
            countries=("pk", "bd", "lk", "np", "mm"),  # DOC:120243
        ),
        Profile(
            name="alibaba",
            shape=_shapes.alibaba,
            code_form="3_{key}_{random}",
            test=_days(1, 7),  # observed: in answers of a test app
        ),
        Profile(
            name="taobao",
            shape=_shapes.taobao_global,
            code_form="{random}",
            online=_days(90, 365),  # observed: 7776000 and 31525571 s, by category of the app
            test=_days(1, 30),  # assumed: a day in a test
            trace_id=False,
        ),
    )
}
"""By name. ``*_sample`` and ``lazada_by_country`` are what documents show, and nobody has met."""
