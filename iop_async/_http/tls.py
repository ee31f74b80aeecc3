"""Whom connections trust."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl


@cache
def tls_context() -> ssl.SSLContext:
    """The TLS context of this process: making one costs 50 ms and 0.7 MB.

    It trusts what ``SSL_CERT_FILE`` or ``SSL_CERT_DIR`` names, else the authorities of certifi.

    Raises:
        ValueError: ``SSL_CERT_FILE`` or ``SSL_CERT_DIR`` names nothing usable.
    """
    import ssl

    import certifi

    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    try:
        if file or not folder:
            context = ssl.create_default_context(cafile=file or certifi.where())
        else:
            context = ssl.create_default_context(capath=folder)
    except OSError as error:
        msg = f"the certificates that SSL_CERT_FILE or SSL_CERT_DIR names cannot be read: {error}"
        raise ValueError(msg) from error
    context.set_alpn_protocols(["http/1.1"])
    return context
