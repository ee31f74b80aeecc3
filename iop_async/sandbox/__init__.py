"""A local gateway that judges calls as the platform would, for tests, demos and rehearsals.

It signs, checks, issues and rotates tokens, shows a consent page, answers business calls with
made-up data, and fails on demand::

    from iop_async.sandbox import Sandbox, serve

    async with serve(Sandbox(profile="lazada", sellers=100)) as url:
        gateway = iop.gateways.Iop(url)
        top = iop.gateways.Top(f"{url}/router/rest")

Every profile serves all dialects: IOP at ``/rest`` and ``/sync``, TOP at ``/router/rest``,
``/router/batch`` and ``/api``, over the same apps, sellers and grants.

It needs the extra ``iop-async[sandbox]``.
"""

from __future__ import annotations

from . import _extra  # noqa: F401 - first, for its message
from ._answers import Refusal
from ._app import create_app
from ._clock import Clock
from ._faults import Fault
from ._grants import Pair, digest
from ._ledger import Ledger, PresentedRefresh
from ._parties import SandboxApp, SandboxSeller
from ._profiles import PROFILES, Lifetimes, Profile
from ._sandbox import Sandbox
from ._server import running, serve

__all__ = [
    "PROFILES",
    "Clock",
    "Fault",
    "Ledger",
    "Lifetimes",
    "Pair",
    "PresentedRefresh",
    "Profile",
    "Refusal",
    "Sandbox",
    "SandboxApp",
    "SandboxSeller",
    "create_app",
    "digest",
    "running",
    "serve",
]
