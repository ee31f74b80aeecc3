"""The table of APIs: adding one is a function and an entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from attrs import field, frozen

from ._answers import missing
from ._multipart import Upload
from ._parties import SandboxApp, SandboxSeller

if TYPE_CHECKING:
    from ._sandbox import Sandbox


@frozen
class Context:
    """The input of an API's function.

    Attributes:
        params: business parameters, as text.
        files: uploads, measured and not kept.
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
        """The owner of the token that the call carries; there is one where the API needs one."""
        if self._seller is None:
            msg = "this API's entry does not ask for a token"
            raise LookupError(msg)
        return self._seller

    def required(self, name: str) -> str:
        """A parameter. Raises :class:`~._answers.Refusal` where it is missing or blank."""
        value = self.params.get(name, "")
        if not value.strip():
            raise missing(name)
        return value


T = TypeVar("T")
Run: TypeAlias = Callable[[Context], Mapping[str, Any]]


@frozen
class Api:
    """One API.

    Args:
        run: gives the payload, or raises :class:`~._answers.Refusal`.
        needs_token: a call must carry a seller's token.
        reads_token: a token that a call carries is checked.
        refreshes: every ``refresh_token`` of a call goes into the ledger.
    """

    run: Run
    needs_token: bool = True
    reads_token: bool = True
    refreshes: bool = False


def look_up(table: Mapping[str, T], name: str) -> tuple[T | None, dict[str, str]]:
    """The entry of an API, and the parameters in its path where that fills in a template."""
    if name in table:
        return table[name], {}
    for template, entry in table.items():
        if "{" in template and (params := _path_params(template, name)) is not None:
            return entry, params
    return None, {}


def _path_params(template: str, path: str) -> dict[str, str] | None:
    """``{"id": "7"}`` for ``/orders/{id}`` and ``/orders/7``; ``None`` where they do not fit."""
    # DOC:120693: paths of REST 2.0 have parameters in them.
    names, parts = template.split("/"), path.split("/")
    if len(names) != len(parts):
        return None
    params = {}
    for name, part in zip(names, parts, strict=True):
        if name.startswith("{") and name.endswith("}") and part:
            params[name[1:-1]] = part
        elif name != part:
            return None
    return params
