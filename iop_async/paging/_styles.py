"""How the markets ask for pages: values with the names of the parameters in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias, runtime_checkable

from attrs import field, frozen

from ._fields import find, scalar

PageParams: TypeAlias = "Mapping[str, str | int]"


@runtime_checkable
class Style(Protocol):
    """How an API is asked for its pages.

    Example::

        class OnePage:
            def first(self, size):
                return {"limit": size}

            def next(self, params, data, count):
                return None

        orders = iop.pages(seller, "/orders/get", items="orders", style=OnePage())
        assert [order["order_id"] async for order in orders]
    """

    def first(self, size: int) -> PageParams:
        """The parameters of the first page, of ``size`` items where the API takes a size."""
        ...

    def next(self, params: PageParams, data: Any, count: int) -> tuple[PageParams, int] | None:
        """The parameters after a page of ``count`` items, and how many items of it to skip.

        ``None`` where the answer says that there is none. Raises ``ValueError`` where the API
        would refuse them.
        """
        ...


@frozen
class Offset:
    """``offset`` and ``limit``: Lazada, Daraz and Miravia, for orders and products.

    Args:
        offset, limit: the names of the parameters.
        step: offsets are multiples of it; 10 at Miravia.
        ceiling: the largest offset that the API takes, ``None`` for any. What lies beyond is an
            error, since it would be missing without a word: ask again for a shorter time
            (``created_after``, ``created_before``), say.

    Example::

        style = iop.paging.Offset(step=10)  # Miravia
        async for order in iop.pages(seller, "/orders/get", items="orders", style=style):
            print(order["order_id"])
    """

    # observed: of orders and products in all three; Miravia takes 100 items, in steps of 10.
    offset: str = "offset"
    limit: str = "limit"
    step: int = field(default=1, kw_only=True)
    # Daraz's page of GetOrders, and clients of Lazada: offset <= 5000.
    ceiling: int | None = field(default=5_000, kw_only=True)

    def first(self, size: int) -> PageParams:
        """From the beginning."""
        return {self.offset: 0, self.limit: size}

    def next(self, params: PageParams, data: Any, count: int) -> tuple[PageParams, int] | None:
        """By as many as came: a gateway may give fewer than it was asked for."""
        del data
        reached = int(params[self.offset]) + count
        offset = reached - reached % self.step
        if offset == params[self.offset]:
            return None
        if self.ceiling is not None and offset > self.ceiling:
            msg = (
                f"the next page begins at {self.offset} {offset}, and Lazada and Daraz take "
                f"{self.ceiling} at most: ask for less at a time (a shorter time between "
                "created_after and created_before), or say Offset(ceiling=None) if this API takes "
                "more"
            )
            raise ValueError(msg)
        return {**params, self.offset: offset}, reached - offset


@frozen
class Numbered:
    """A number of the page and its size: AliExpress, TOP, most of TaoWorld.

    Args:
        page, size: the names of the parameters.
        start: the number of the first page.

    Example::

        style = iop.paging.Numbered("pageIndex", "pageSize")
        assert style.first(50) == {"pageIndex": 1, "pageSize": 50}
    """

    # observed: AliExpress's orders; Lazada's pages count from 1 as well, however they are spelled.
    page: str = "page_no"
    size: str = "page_size"
    start: int = field(default=1, kw_only=True)

    def first(self, size: int) -> PageParams:
        """The first page."""
        return {self.page: self.start, self.size: size}

    def next(self, params: PageParams, data: Any, count: int) -> tuple[PageParams, int] | None:
        """The page after it."""
        del data, count
        return {**params, self.page: int(params[self.page]) + 1}, 0


@frozen
class Cursor:
    """Each answer says how to ask for the next: scroll ids, Lazada's chat, AliExpress's affiliates.

    Args:
        fields: the name of a parameter to the place of its next value in ``reply.data``:
            ``{"scroll_id": "scroll_id"}``, ``{"last_message_id": "messages.-1.message_id"}``.
            Where all of them are missing or empty there are no more pages.
        size: the name of the parameter for the size; ``None`` where there is none.
        start: parameters of the first page alone.

    Example::

        style = iop.paging.Cursor({"scroll_id": "scroll_id"}, size="limit")
        params, _ = style.next({"limit": 50}, {"scroll_id": "x1"}, 50)
        assert params == {"limit": 50, "scroll_id": "x1"}
    """

    # observed: Lazada's chat has two cursors at a time, AliExpress's affiliates one index.
    fields: Mapping[str, str]
    size: str | None = field(default=None, kw_only=True)
    start: PageParams = field(factory=dict, kw_only=True)

    def first(self, size: int) -> PageParams:
        """Without a cursor."""
        return {**self.start, **({self.size: size} if self.size else {})}

    def next(self, params: PageParams, data: Any, count: int) -> tuple[PageParams, int] | None:
        """By what the answer says."""
        del count
        found = {name: find(data, place) for name, place in self.fields.items()}
        cursors = {name: value for name, value in found.items() if value not in (None, "")}
        if not cursors:
            return None
        kept = {name: value for name, value in params.items() if name == self.size}
        return {**kept, **{name: scalar(value) for name, value in cursors.items()}}, 0
