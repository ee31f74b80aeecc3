"""What several commands read from their options."""

from __future__ import annotations

from .. import gateways
from .._redact import Secret


def gateway_of(name: str) -> gateways.Preset:
    """The preset of a market's name, or a gateway at a URL."""
    if "://" not in name:
        return gateways.from_name(name)
    # DOC:101617: TOP's path is /router/rest; /api is that of its security tokens (see presets).
    is_top = name.rstrip("/").endswith(("/router/rest", "/api"))
    return gateways.Top(name) if is_top else gateways.Iop(name)


def hidden(_context: object, _option: object, value: str | None) -> Secret | None:
    """Hides a value from the frames of click, which a reporter of errors may print."""
    return None if value is None else Secret(value)
