"""The table of APIs: adding one is a function and an entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import field, frozen

from ._multipart import Upload
from ._parties import SandboxApp, SandboxSeller
from ._refusals import missing

if TYPE_CHECKING:
    from ._sandbox import Sandbox


@frozen
class Context:
    """What an API's function is told.

    Attributes:
        params: business parameters, as text.
        files: what was uploaded.
        body: a raw body, of a type that holds no parameters.
        client: address of the caller.
    """

    sandbox: Sandbox
    app: SandboxApp
    params: Mapping[str, str]
    files: tuple[Upload, ...] = ()
    body: bytes = b""
    client: str | None = None
    _seller: SandboxSeller | None = field(default=None, alias="seller")

    @property
    def seller(self) -> SandboxSeller:
        """Whose token the call carries; there is one where the API needs one."""
        if self._seller is None:
            msg = "this API's entry does not ask for a token"
            raise LookupError(msg)
        return self._seller

    def required(self, name: str) -> str:
        """A parameter. Raises :class:`~._refusals.Refusal` where it is missing or blank."""
        value = self.params.get(name, "")
        if not value.strip():
            raise missing(name)
        return value


Run: TypeAlias = Callable[[Context], Mapping[str, Any]]


@frozen
class Api:
    """One API.

    Args:
        run: gives the payload, or raises :class:`~._refusals.Refusal`.
        needs_token: whether a call must carry a seller's token.
        reads_token: whether a token that a call carries is judged.
        refreshes: whether its every ``refresh_token`` goes into the ledger.
    """

    run: Run
    needs_token: bool = True
    reads_token: bool = True
    refreshes: bool = False
