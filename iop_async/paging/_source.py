"""Where pages come from: an API, called by name or as an endpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import field, frozen

from .._endpoint import Endpoint
from .._exceptions import InvalidAnswer
from .._inputs import api_name
from .._models import Call, Reply
from ..protocols import Caller
from ._fields import MORE, TOTALS, around, find, first_of, number
from ._styles import PageParams


def _api(value: str | Endpoint[Any]) -> str | Endpoint[Any]:
    return value if isinstance(value, Endpoint) else api_name(value)


@frozen
class Source:
    """One API with its parameters, and where its answers have what; see :func:`pages`."""

    caller: Caller
    api: str | Endpoint[Any] = field(converter=_api)
    params: Mapping[str, object] = field(repr=False)
    items: str | Callable[[Any], Sequence[Any]]
    total: str | None
    more: str | None

    def __attrs_post_init__(self) -> None:
        Call(self.name, self.params)  # its checks
        if isinstance(self.items, str) == isinstance(self.api, Endpoint):
            msg = "items is the place of a list; of an Endpoint it is a function of its data"
            raise TypeError(msg)

    @property
    def name(self) -> str:
        """The name of the API."""
        return self.api.api if isinstance(self.api, Endpoint) else self.api

    async def ask(self, page: PageParams) -> Reply:
        """One page, read from the gateway."""
        params = {**self.params, **page}
        if isinstance(self.api, Endpoint):
            reply = await self.api.call(self.caller, params)
        else:
            reply = await self.caller.call(self.api, params, idempotent=True)
        return reply.raise_for_failure()

    def items_of(self, reply: Reply) -> Sequence[Any]:
        """The items of a page; pure."""
        if isinstance(self.api, Endpoint) and callable(self.items):
            return self.items(self.api.read(reply))
        place = str(self.items)
        found = find(reply.data, place)
        if isinstance(found, list):
            return found
        # observed: TOP leaves out an empty list with all around it.
        objects = around(reply, place)
        is_null = found is None and bool(objects) and place.rpartition(".")[2] in objects[0]
        if is_null or self._total(reply, objects) == 0:
            return ()
        names = ", ".join(map(str, objects[0])) if objects else ""
        msg = f"the data of {self.name} has no list at {place!r} (items); there are: {names or '-'}"
        content = reply.response.content if reply.response else b""
        raise InvalidAnswer(msg, path=place, content=content)

    def is_last(self, reply: Reply, seen: int) -> bool:
        """Whether an answer says that there are no more items than those seen so far."""
        objects = around(reply, self.items if isinstance(self.items, str) else "")
        more = find(reply.data, self.more) if self.more else first_of(objects, MORE)
        if more is not None:
            return str(more).strip().lower() in ("false", "0", "")
        total = self._total(reply, objects)
        return total is not None and seen >= total

    def _total(self, reply: Reply, objects: Sequence[Mapping[str, Any]]) -> int | None:
        found = find(reply.data, self.total) if self.total else first_of(objects, TOTALS)
        return number(found)
