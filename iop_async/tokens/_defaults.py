"""What a manager takes for itself where nobody says what it should."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .._client import Client
from ..endpoints import auth
from ..protocols import Sealer, TokenEndpoints, TokenStore
from ..stores import SpillJournal


def scope_of(client: Client) -> str:
    """App and platform of a client."""
    gateway: Any = client.gateway
    url = getattr(gateway, "auth_url", None) or getattr(gateway, "base_url", None)
    place = urlsplit(url).netloc if url else type(gateway).__name__
    return f"{client.app.key}@{place}"


def endpoints_of(client: Client) -> TokenEndpoints:
    """Where a client's gateway trades codes and refresh tokens: IOP's, unless it says otherwise."""
    endpoints: TokenEndpoints = getattr(client.gateway, "token_endpoints", auth)
    return endpoints


def journal_beside(store: TokenStore, path: str | os.PathLike[str] | None) -> SpillJournal | None:
    """The journal at ``path``, or beside the file of the store; ``None`` where there is neither."""
    beside = getattr(store, "path", None)
    if path is None and beside is not None:
        path = f"{os.fspath(beside)}.spill"
    sealer = store if isinstance(store, Sealer) else None
    return None if path is None else SpillJournal(Path(path), sealer=sealer)
