"""Addresses of gateways: normalised, and https unless they lead nowhere public."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

_REST = re.compile(r"(?<!/)/rest(?=/|$)")


def bare(url: str) -> str:
    """Without what people paste along."""
    return url.strip().rstrip("/")


def rest_url(url: str) -> str:
    """``https://host`` and ``https://host/rest`` alike become the latter."""
    url = bare(url)
    return url if _REST.search(url) else f"{url}/rest"


def root(url: str) -> str:
    """What stands before ``/rest``."""
    return _REST.split(url, maxsplit=1)[0]


def is_loopback(host: str) -> bool:
    """Whether a host name or address leads to this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def require_safe(url: str, *, allow_http: bool) -> None:
    """Raises ``ValueError`` for an address that a call should not go to."""
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        msg = f"{url!r} is no gateway address; it looks like https://api.example.com/rest"
        raise ValueError(msg)
    if parts.query or parts.fragment or parts.username is not None:
        msg = f"a gateway address has no user, query or fragment: {parts.hostname} has one"
        raise ValueError(msg)
    if parts.scheme == "http" and not allow_http and not is_loopback(parts.hostname):
        msg = f"{url!r} would send tokens in the clear; use https, or say allow_http=True"
        raise ValueError(msg)
