"""Links to files: where they may lead, and what of them nobody is shown."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any, Final, Self
from urllib.parse import parse_qsl, quote, urljoin, urlsplit

from attrs import field, frozen

from .._inputs import require_unicode
from ..gateways._addresses import HOST, is_loopback, split_url

_SENT_AS_THEY_ARE: Final = "!\"#$%&'()*+,/:;<=>?@[\\]^`{|}"


@frozen
class Link:
    """A link that may be followed. Its query may be a signature, so it is not shown.

    Attributes:
        url: as it goes over the wire, without its fragment.
        allow_http: it, and what it leads to, may be ``http://``.
    """

    url: str = field(repr=False)
    allow_http: bool = False

    @classmethod
    def of(cls, url: Any, *, allow_http: bool = False) -> Self:
        """Raises ``TypeError`` or ``ValueError`` for what is no link to follow."""
        if not isinstance(url, str):
            msg = f"the link is of type {type(url).__name__}; give the URL as text"
            raise TypeError(msg)
        url = url.strip().partition("#")[0]
        require_unicode("the link", url)
        parts = split_url(url) if url.isprintable() else None
        if parts is None or parts.scheme not in ("https", "http") or not parts.hostname:
            msg = "this is no link to a file; it looks like https://files.example.com/label.pdf"
            raise ValueError(msg)
        if parts.username is not None or parts.port == 0 or not HOST.fullmatch(parts.hostname):
            msg = "the link names a user, or a host or port that cannot be"
            raise ValueError(msg)
        if parts.scheme == "http" and not allow_http and not is_loopback(parts.hostname):
            msg = f"http://{parts.hostname} would be asked in the clear, where anybody may change"
            raise ValueError(f"{msg} the file; use https, or say allow_http=True")
        start = f"{parts.scheme}://{parts.netloc}"
        return cls(start + quote(url[len(start) :], safe=_SENT_AS_THEY_ARE), allow_http)

    def redirected(self, location: str) -> Link:
        """Where an answer leads. Raises ``ValueError`` for what is not followed.

        Args:
            location: of its headers, decoded as latin-1, as headers are.
        """
        text = location.encode("latin-1").decode("utf-8", "replace")
        there = Link.of(urljoin(self.url, text.strip()), allow_http=self.allow_http)
        if self.url.startswith("https:") and not there.url.startswith("https:"):
            msg = f"{there.host} would be asked in the clear"
            raise ValueError(msg)
        if _is_internal(there.host) and not _is_internal(self.host):
            msg = f"{there.host} is no public address"
            raise ValueError(msg)
        return there

    @property
    def host(self) -> str:
        """Its host alone."""
        return urlsplit(self.url).hostname or ""

    @property
    def where(self) -> str:
        """Its name in a message."""
        return f"GET {self.url.partition('?')[0]}"

    @property
    def secrets(self) -> frozenset[str]:
        """What to mask where the host repeats it."""
        query = self.url.partition("?")[2]
        raw = (pair.partition("=")[2] for pair in query.split("&"))
        return frozenset([query, *raw, *(value for _, value in parse_qsl(query))])


def _is_internal(host: str) -> bool:
    """True for an address of this machine or of a network without others."""
    try:
        return not ip_address(host).is_global
    except ValueError:
        return is_loopback(host)
