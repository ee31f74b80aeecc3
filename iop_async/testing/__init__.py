"""For the tests of those who use this library.

:class:`FakeCaller` answers calls from a dict, :class:`FakeTransport` the requests of a real client,
and :class:`MovableClock` lets thirty days pass at once. :class:`StoreConformance` is every promise
of :class:`~iop_async.protocols.TokenStore` as a test, for stores of your own; it needs pytest, as
the fixtures do.

Example::

    async def test_a_month_passes(iop_sandbox, iop_tokens, iop_clock):
        async with iop_tokens as tokens:
            await tokens.authorize(iop_sandbox.authorize("1001"))
            iop_clock.advance(30 * 86400)
            assert await tokens.token("1001")
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._clock import MovableClock
    from ._conformance import StoreConformance
    from ._fake import FakeCaller
    from ._transport import FakeTransport

__all__ = ["FakeCaller", "FakeTransport", "MovableClock", "StoreConformance"]

if find_spec("pytest") is not None:
    import_module("pytest").register_assert_rewrite(f"{__name__}._conformance")


def __getattr__(name: str) -> Any:
    """Imported where it is used: pytest loads this package, for its fixtures, at every start."""
    if name == "StoreConformance":
        if find_spec("pytest") is None:
            msg = "StoreConformance needs pytest: pip install pytest"
            raise ImportError(msg, name="pytest")
        return import_module("._conformance", __name__).StoreConformance
    if name == "FakeCaller":
        return import_module("._fake", __name__).FakeCaller
    if name == "FakeTransport":
        return import_module("._transport", __name__).FakeTransport
    if name == "MovableClock":
        return import_module("._clock", __name__).MovableClock
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
