"""Addresses of gateways: normalised, and https unless they lead nowhere public."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from .._inputs import require_unicode

# TaoWorld's guide passes `…/rest` to the official Java client, AliExpress's leaves it out.
# observed: Miravia's mock lives below it, at `…/rest/mock` (DOC:120904).
_REST: Final = re.compile(r"(?<!/)/rest(?=/|$)")
HOST: Final = re.compile(r"[\w-]+(?:\.[\w-]+)*\.?|[0-9a-f:.]+(?:%\w+)?", re.IGNORECASE)
_TOP: Final = re.compile(r"/router/(?:rest|batch)$")
# observed: the last words of nearly all paths in the platforms' lists of APIs.
_API: Final = re.compile(
    r"(?:/.*)?/rest/[^/]+/.+"
    r"|(?:/[^/]+)+/(?:authorize|cancel|create|delete|get|list|query|refresh|search|token|update)"
    r"(?:/rest)?"
)


def bare(url: Any) -> str:
    """A URL without the spaces and trailing slashes that are pasted along with it.

    Raises:
        TypeError: it is no text.
    """
    if not isinstance(url, str):
        msg = f"a gateway address is text, not {type(url).__name__}"
        raise TypeError(msg)
    return url.strip().rstrip("/")


def rest_url(url: str) -> str:
    """``https://host``, ``https://host/rest`` and ``https://host/sync`` become the second."""
    # observed: AliExpress's own demo gives its client the address of /sync.
    url = bare(url).removesuffix("/sync").rstrip("/")
    return url if _REST.search(url) else f"{url}/rest"


def router_url(url: str) -> str:
    """TOP's URL; ``https://host`` alone becomes ``https://host/router/rest``."""
    url = bare(url)
    # DOC:101617: the one path of every host but that of the security tokens.
    return f"{url}/router/rest" if re.fullmatch(r"\w+://[^/]+", url) else url


def root(url: str) -> str:
    """The part of a URL before ``/rest``."""
    return _REST.split(url, maxsplit=1)[0]


def is_loopback(host: str) -> bool:
    """True for a host name or address of this machine.

    Names below ``localhost`` are none: what they lead to is asked of a name server.
    """
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def require_iop(url: str) -> None:
    """Raises ``ValueError`` for an address that is not the base of IOP's APIs."""
    path = urlsplit(url).path
    if _TOP.search(path):
        msg = f"{_shown(url)} is an address of TOP; give it to Top, not to Iop"
        raise ValueError(msg)
    if _API.fullmatch(path):
        base = f"{urlsplit(url).scheme}://{urlsplit(url).netloc}"
        msg = f"{_shown(url)} holds the path of an API; give {base} here, and the path to call()"
        raise ValueError(msg)


def require_top(url: str) -> None:
    """Raises ``ValueError`` for an address of IOP."""
    if urlsplit(url).path in ("/rest", "/sync", "/router/batch"):
        msg = f"{_shown(url)} is no address of TOP, such as https://eco.taobao.com/router/rest"
        raise ValueError(msg)


def require_safe(url: str, *, allow_http: bool) -> None:
    """Raises ``ValueError`` for an address that a call should not go to."""
    require_unicode("a gateway address", url)
    parts = split_url(url)
    if parts is None or parts.scheme not in ("https", "http") or not parts.hostname:
        msg = f"{_shown(url)} is no gateway address; it looks like https://api.example.com/rest"
        raise ValueError(msg)
    if parts.query or parts.fragment or parts.username is not None:
        msg = f"a gateway address has no user, query or fragment: {parts.hostname} has one"
        raise ValueError(msg)
    if not HOST.fullmatch(parts.hostname) or parts.port == 0 or not url.isprintable():
        msg = f"{_shown(url)} is no gateway address: its host, port or path cannot be"
        raise ValueError(msg)
    if parts.scheme == "http" and not allow_http and not is_loopback(parts.hostname):
        msg = f"{_shown(url)} would send tokens in the clear; use https, or say allow_http=True"
        raise ValueError(msg)


def split_url(url: str) -> SplitResult | None:
    """The parts of a URL; ``None`` where it has no such parts."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 -- raises for what is none
    except ValueError:
        return None
    return parts


def _shown(url: str) -> str:
    """An address without what may be a password, a token or an app's secret."""
    return repr(re.sub(r"//[^/]*@", "//***@", re.split(r"[?#]", url, maxsplit=1)[0]))
