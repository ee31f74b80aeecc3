"""A dialect: the way in which a family of endpoints names APIs, checks calls and answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import evolve, frozen

from ._answers import Answer, Ids, Refusal, RenderedError
from ._apis import Api, look_up
from ._parties import SandboxApp
from ._wire import GatewayRequest

if TYPE_CHECKING:
    from ._sandbox import Sandbox

Outcome: TypeAlias = "Mapping[str, Any] | RenderedError"


@frozen
class Address:
    """The API that a call names, and the form of answer that it asks for.

    Attributes:
        api: a path or a dotted name; empty where the call names none.
        prefix: what is signed before the parameters; ``None`` where no signature can be right.
        format: ``json`` or ``xml``.
        simplify: the answer comes without its wrapper.
        is_filled_in: parameters may stand in the path, and then outside of the signature.
    """

    api: str
    prefix: str | None = ""
    format: str = "json"
    simplify: bool = False
    is_filled_in: bool = False


@frozen(kw_only=True)
class Dialect:
    """One family of endpoints.

    Args:
        apis: what can be called there.
        system: names of the parameters that are the gateway's own, not the API's.
        token_names: those of them that an access token goes by.
        json_params: a JSON body holds parameters.
        address: the API that a call names.
        admit: the app that signed a request; raises :class:`Refusal`.
        render_error: a refusal in the dialect's words.
        render: the answer to a call that went well, or was refused.
        split: the calls that a request makes, where that may be more than one.
        join: one answer made of the answers to those.
    """

    apis: Mapping[str, Api]
    system: frozenset[str]
    token_names: tuple[str, ...]
    json_params: bool
    address: Callable[[GatewayRequest], Address]
    admit: Callable[[Sandbox, GatewayRequest, Address], SandboxApp]
    render_error: Callable[[Refusal], RenderedError]
    render: Callable[[Address, Outcome, Ids], Answer]
    split: Callable[[GatewayRequest], Sequence[GatewayRequest]] | None = None
    join: Callable[[GatewayRequest, Sequence[Answer]], Answer] | None = None

    def find_api(self, sandbox: Sandbox, name: str) -> tuple[Api | None, dict[str, str]]:
        """An API that the sandbox knows or was taught, and the parameters in its path."""
        api, params = look_up(self.apis, name)
        run, taught_params = look_up(sandbox.answers, name)
        if run is None:
            return api, params
        return (evolve(api, run=run) if api else Api(run, needs_token=False)), taught_params

    def access_token(self, params: Mapping[str, str]) -> str:
        """The access token that a call carries, or none."""
        for name in self.token_names:
            if token := params.get(name):
                return token
        return ""
