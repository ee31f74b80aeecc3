"""What a dialect is: how a family of endpoints names an API, checks a call, and answers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from attrs import frozen

from ._answers import Answer, Ids
from ._apis import Api
from ._parties import SandboxApp
from ._refusals import Refusal, Said
from ._wire import Incoming

Outcome: TypeAlias = "Mapping[str, Any] | Said"


@frozen
class Address:
    """Which API a call names, and how it wants to be answered.

    Attributes:
        api: a path or a dotted name; empty where the call names none.
        prefix: what is signed before the parameters; ``None`` where no signature can be right.
        format: ``json`` or ``xml``.
        simplify: whether the answer comes without its wrapper.
    """

    api: str
    prefix: str | None = ""
    format: str = "json"
    simplify: bool = False


@frozen(kw_only=True)
class Dialect:
    """One family of endpoints.

    Args:
        apis: what can be called there.
        system: names of the parameters that are the gateway's own, not the API's.
        token_names: those of them that an access token goes by.
        json_params: whether a JSON body holds parameters.
        address: the API that a call names.
        admit: the app that signed a request, at a date; raises :class:`Refusal`.
        say: a refusal in the dialect's words.
        render: the answer to a call that went well, or was refused.
        split: the calls that a request makes, where that may be more than one.
        join: one answer made of the answers to those.
    """

    apis: Mapping[str, Api]
    system: frozenset[str]
    token_names: tuple[str, ...]
    json_params: bool
    address: Callable[[Incoming], Address]
    admit: Callable[[Mapping[str, SandboxApp], Incoming, Address, datetime], SandboxApp]
    say: Callable[[Refusal], Said]
    render: Callable[[Address, Outcome, Ids], Answer]
    split: Callable[[Incoming], Sequence[Incoming]] | None = None
    join: Callable[[Incoming, Sequence[Answer]], Answer] | None = None

    def access_token(self, params: Mapping[str, str]) -> str:
        """The access token that a call carries, or none."""
        for name in self.token_names:
            if token := params.get(name):
                return token
        return ""
