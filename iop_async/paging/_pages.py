"""The walk through pages, one after the other."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, Self, TypeVar, overload

from attrs import evolve, frozen

from .._endpoint import Endpoint
from .._exceptions import ProtocolError
from .._inputs import mapping, require_count
from .._models import Reply
from .._scrub import scrubs_frames
from ..protocols import Caller
from ._source import Source
from ._styles import Offset, PageParams, Style

Item = TypeVar("Item")
T = TypeVar("T")

_OFFSET: Final = Offset()


@frozen
class _Place:
    """Where a walk stands: a page, how many of its items were given out, and how many before it."""

    params: PageParams
    skip: int = 0
    seen: int = 0


class Pages(Generic[Item]):
    """The items of all pages, one page in memory at a time; :func:`pages` makes it.

    An error leaves the walk where it is: going on with the same object, or with another that is
    given the :attr:`position`, asks for the same page again.

    Example::

        orders = iop.pages(seller, "/orders/get", items="orders")
        first = await anext(orders)
        rest = iop.pages(seller, "/orders/get", items="orders", start=orders.position)
    """

    def __init__(self, source: Source, style: Style, *, size: int, start: str | None) -> None:
        self._source, self._style = source, style
        beginning = _Place(style.first(size))
        self._place = beginning if start is None else _parse(source.name, start)
        self._reply: Reply | None = None
        self._items: Sequence[Item] = ()
        self._fingerprints: tuple[int, ...] = ()

    @property
    def position(self) -> str:
        """Text from which ``pages(..., start=position)`` goes on behind the last item given out.

        Keep it as long as you like. What is added to the list or removed from it in the meantime
        moves the others, as in any list that is read in pages; a cursor may expire.
        """
        place = self._place
        if self._reply is not None and place is not None and place.skip >= len(self._items):
            try:
                place = self._following(self._reply, place)
            except ValueError:
                place = self._place
        there: dict[str, object] = {"api": self._source.name, "end": place is None}
        if place is not None:
            there |= {"params": dict(place.params), "skip": place.skip, "seen": place.seen}
        return json.dumps(there)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        while self._place is not None:
            if self._reply is None:
                await self._read_page(self._place)
            elif self._place.skip < len(self._items):
                item = self._items[self._place.skip]
                self._place = evolve(self._place, skip=self._place.skip + 1)
                return item
            else:
                self._place = self._following(self._reply, self._place)
                self._reply, self._items = None, ()
        raise StopAsyncIteration

    async def _read_page(self, place: _Place) -> None:
        reply = await self._source.ask(place.params)
        items = self._source.items_of(reply)
        # Of the page before, which a gateway gives again that does not know the parameter, and of
        # the first, for one that begins anew behind the end.
        fingerprint = hash(repr(items))
        if items and fingerprint in self._fingerprints:
            msg = (
                f"{self._source.name} gave the same page twice, the second time for "
                f"{dict(place.params)}: it takes other parameters for its pages; see "
                "iop_async.paging"
            )
            raise ProtocolError(msg, status=200, may_have_been_applied=False)
        self._fingerprints = (*self._fingerprints[:1], fingerprint)
        self._reply, self._items = reply, items

    def _following(self, reply: Reply, place: _Place) -> _Place | None:
        count = len(self._items)
        if not count or self._source.is_last(reply, place.seen + count):
            return None
        following = self._style.next(place.params, reply.data, count)
        if following is None:
            return None
        params, skip = following
        return _Place(params, skip, place.seen + count - skip)


def _parse(api: str, position: object) -> _Place | None:
    try:
        there = json.loads(position) if isinstance(position, str) else {}
        if there["api"] == api:
            is_over = there["end"]
            return None if is_over else _Place(dict(there["params"]), there["skip"], there["seen"])
    except (TypeError, ValueError, KeyError):
        pass
    msg = f"start is no position of a walk through {api}; give the text of Pages.position"
    raise ValueError(msg)


@overload
def pages(
    caller: Caller,
    api: Endpoint[T],
    params: Mapping[str, object] | None = None,
    *,
    items: Callable[[T], Sequence[Item]],
    size: int = 100,
    style: Style = ...,
    start: str | None = None,
    total: str | None = None,
    more: str | None = None,
) -> Pages[Item]: ...


@overload
def pages(
    caller: Caller,
    api: str,
    params: Mapping[str, object] | None = None,
    *,
    items: str,
    size: int = 100,
    style: Style = ...,
    start: str | None = None,
    total: str | None = None,
    more: str | None = None,
) -> Pages[Any]: ...


@scrubs_frames
def pages(
    caller: Caller,
    api: str | Endpoint[Any],
    params: Mapping[str, object] | None = None,
    *,
    items: str | Callable[[Any], Sequence[Any]],
    size: int = 100,
    style: Style = _OFFSET,
    start: str | None = None,
    total: str | None = None,
    more: str | None = None,
) -> Pages[Any]:
    """Walk through all items of an API that answers in pages, of which one is in memory at a time.

    Ends where a total is reached, ``has_more`` is false, no cursor is left, or a page is empty.

    Args:
        caller: a client, a seller, a fake.
        api: its name, or an :class:`Endpoint`, with whose options it is then called.
        params: its parameters, without those of the pages.
        items: the list's place in ``reply.data`` (``orders``, ``result.orders``, or an empty text
            for the data itself); of an endpoint a function of its data.
        size: items of a page, of 1 or more. Most APIs give 100 at most.
        style: how pages are asked for; see :mod:`iop_async.paging`.
        start: the :attr:`Pages.position` of an earlier walk, to go on there.
        total, more: the places of the total and of the has-more field, where not known here.

    Raises:
        TypeError, ValueError: bad input; nothing was sent.

    The walk raises what calls do, ``BusinessFailure``, ``InvalidAnswer`` (no list at ``items``),
    ``ProtocolError`` (a page twice), ``ValueError`` (the API would refuse it; see :class:`Offset`).

    Example::

        async for order in iop.pages(seller, "/orders/get", items="orders", size=100):
            print(order["order_id"])
    """
    source = Source(caller, api, _checked(params, size, style), items, total, more)
    return Pages(source, style, size=size, start=start)


def _checked(given: object, size: Any, style: Any) -> Mapping[str, object]:
    params = mapping("params", given)
    require_count("size", size)
    if not isinstance(style, Style):
        msg = f"style is {style!r}; give a style of iop_async.paging, Numbered() say"
        raise TypeError(msg)
    if taken := style.first(size).keys() & params.keys():
        msg = f"the walk sets {', '.join(sorted(taken))} itself; leave it out of params"
        raise ValueError(msg)
    return params
