"""Walking through pages: every style of the markets, to the end and no further."""

import json
from dataclasses import dataclass

import pytest

import iop_async as iop
from iop_async.paging import Cursor, Numbered, Offset
from iop_async.testing import FakeCaller

API = "/orders/get"


def market(count, *, cap=1000, total=None, wrap=None, read=None):
    """A fake of an API over the numbers from 0 on, that gives ``cap`` of a page at most."""

    def answer(params):
        start, size = (read or (lambda p: (p["offset"], p["limit"])))(params)
        page = list(range(start, min(start + min(size, cap), count)))
        extra = {total: str(count)} if total else {}
        return wrap(page, start) if wrap else {"orders": page, **extra}

    return FakeCaller({API: answer})


async def walked(pages):
    return [item async for item in pages]


async def collect(pages, found):
    async for item in pages:
        found.append(item)


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
@pytest.mark.parametrize("total", [None, "countTotal"])
async def test_offset_and_limit_reach_every_item_once(count, total):
    """With a total no request too many; without one, one that comes back empty."""
    fake = market(count, total=total)
    pages = iop.pages(fake, API, {"status": "paid"}, items="orders", size=100)
    assert await walked(pages) == list(range(count))
    assert all(call.params["status"] == "paid" and call.idempotent for call in fake.calls)
    full = -(-count // 100)
    assert len(fake.calls) == (max(full, 1) if total else full + 1)


async def test_a_gateway_may_give_less_than_it_was_asked_for():
    """Then the next page begins where this one ended."""
    fake = market(70, cap=30)
    assert await walked(iop.pages(fake, API, items="orders", size=50)) == list(range(70))
    assert [call.params["offset"] for call in fake.calls] == [0, 30, 60, 70]


async def test_offsets_in_steps_repeat_no_item():
    """Miravia takes multiples of ten: what was seen already of such a page is skipped."""
    fake = market(50, cap=17)
    pages = iop.pages(fake, API, items="orders", size=20, style=Offset(step=10))
    assert await walked(pages) == list(range(50))
    assert all(call.params["offset"] % 10 == 0 for call in fake.calls)


@pytest.mark.parametrize("total", [None, "countTotal"])
async def test_beyond_the_ceiling_is_an_error_and_not_a_silent_end(total):
    """Lazada and Daraz take offsets up to 5,000; what was read until then was given."""
    fake = market(5_200, total=total)
    pages = iop.pages(fake, API, items="orders", size=100)
    found = []
    for _ in range(2):
        with pytest.raises(ValueError, match=r"5100, and Lazada and Daraz take 5000 at most"):
            await collect(pages, found)
    assert found == list(range(5_100))
    assert fake.calls[-1].params["offset"] == 5_000
    everything = iop.pages(fake, API, items="orders", style=Offset(ceiling=None))
    assert await walked(everything) == list(range(5_200))


async def test_a_ceiling_that_is_just_not_reached_ends_well():
    """The last page may begin at it."""
    fake = market(5_100, total="countTotal")
    assert len(await walked(iop.pages(fake, API, items="orders"))) == 5_100


async def test_numbered_pages():
    """By the names of the market, from the number it begins with, in an envelope of its own."""

    def wrap(page, start):
        return {"result": {"total_record_count": 45, "products": {"product": page}}}

    def read(params):
        return (params["pageIndex"] * params["pageSize"], params["pageSize"])

    fake = market(45, wrap=wrap, read=read)
    pages = iop.pages(
        fake,
        API,
        items="result.products.product",
        size=20,
        style=Numbered("pageIndex", "pageSize", start=0),
    )
    assert await walked(pages) == list(range(45))
    assert [call.params["pageIndex"] for call in fake.calls] == [0, 1, 2]


async def test_a_scroll_id_is_sent_back_until_there_is_none():
    """And the parameters that opened the scroll are those of its first page alone."""

    def wrap(page, start):
        following = start + len(page)
        return {"items": page, "scroll_id": f"s-{following}" if following < 30 else ""}

    def read(params):
        return int(params.get("scroll_id", "s-0")[2:]), params["size"]

    fake = market(30, wrap=wrap, read=read)
    style = Cursor({"scroll_id": "scroll_id"}, size="size", start={"keep": 5})
    pages = iop.pages(fake, API, items="items", size=12, style=style)
    assert await walked(pages) == list(range(30))
    assert [dict(call.params) for call in fake.calls] == [
        {"keep": 5, "size": 12},
        {"scroll_id": "s-12", "size": 12},
        {"scroll_id": "s-24", "size": 12},
    ]


async def test_a_cursor_of_several_fields_may_stand_in_the_last_item():
    """As in Lazada's chat, which says besides whether there is more."""
    chats = [{"id": f"c{n}", "at": 1_700_000_000_000 + n} for n in range(7)]

    def answer(params):
        start = next((n + 1 for n, c in enumerate(chats) if c["id"] == params.get("last_id")), 0)
        page = chats[start : start + 3]
        return {"list": page, "next": page[-1]["at"], "has_more": str(start + 3 < 7).lower()}

    fake = FakeCaller({API: answer})
    style = Cursor({"last_id": "list.-1.id", "start_time": "next"})
    assert await walked(iop.pages(fake, API, items="list", style=style)) == chats
    assert dict(fake.calls[1].params) == {"last_id": "c2", "start_time": 1_700_000_000_002}
    assert len(fake.calls) == 3


async def test_has_more_counts_more_than_a_total():
    """A total may be capped or stale; what says that there is more is asked again."""

    def wrap(page, start):
        return {"orders": page, "countTotal": 1, "has_more": start < 20}

    assert await walked(iop.pages(market(25, wrap=wrap), API, items="orders", size=10)) == list(
        range(25)
    )


async def test_fields_with_other_names_are_named():
    """A plain ``total`` may be an amount of money, so it counts only where it is said to."""

    def wrap(page, start):
        return {"orders": page, "total": 3, "page": {"next": start < 2}}

    fake = market(9, wrap=wrap)
    assert len(await walked(iop.pages(fake, API, items="orders", size=3))) == 9
    counted = iop.pages(fake, API, items="orders", size=3, total="total")
    assert await walked(counted) == [0, 1, 2]
    told = iop.pages(fake, API, items="orders", size=1, more="page.next")
    assert await walked(told) == [0, 1, 2]


@pytest.mark.parametrize("repeats", [lambda page: 0, lambda page: page % 2])
async def test_a_gateway_that_ignores_the_parameter_ends_with_an_error(repeats):
    """Not in an endless walk: the same page again, or the first one in place of the third."""
    fake = FakeCaller({API: lambda params: {"orders": [repeats(params["page_no"])] * 2}})
    pages = iop.pages(fake, API, items="orders", size=2, style=Numbered(start=0))
    with pytest.raises(iop.ProtocolError, match=r"same page twice.*page_no"):
        await walked(pages)
    assert len(fake.calls) <= 3


@pytest.mark.parametrize(
    ("style", "read"),
    [
        (Offset(), None),
        (Offset(step=4), None),
        (Numbered(), lambda p: ((p["page_no"] - 1) * p["page_size"], p["page_size"])),
        (Cursor({"scroll": "next"}), lambda p: (int(p.get("scroll", 0)), 6)),
    ],
)
@pytest.mark.parametrize("total", [None, "countTotal"])
async def test_a_walk_goes_on_from_any_position(style, read, total):
    """Kept as text after each item, and given to another walk in another process."""

    def wrap(page, start):
        following = start + len(page)
        extra = {total: 20} if total else {}
        return {"orders": page, "next": following if following < 20 else None, **extra}

    def pages(start=None):
        fake = market(20, wrap=wrap, read=read)
        return iop.pages(fake, API, items="orders", size=6, style=style, start=start)

    first = pages()
    assert await walked(pages(first.position)) == list(range(20))
    async for item in first:
        assert await walked(pages(first.position)) == list(range(item + 1, 20))
    assert await walked(pages(first.position)) == []
    assert isinstance(json.loads(first.position), dict)


async def test_an_error_leaves_the_walk_where_it_is():
    """The page that failed is asked for again, and no item is lost or given twice."""
    orders = market(25)
    failures = iter([False, True, True] + [False] * 9)

    async def answer(params):
        return iop.TransportError("cut") if next(failures) else await orders.call(API, params)

    pages = iop.pages(FakeCaller({API: answer}), API, items="orders", size=10)
    found = []
    for _ in range(2):
        with pytest.raises(iop.TransportError):
            await collect(pages, found)
    found += await walked(pages)
    assert found == list(range(25))


@dataclass
class Order:
    order_id: int


@dataclass
class Orders:
    orders: list[Order]


async def test_an_endpoint_gives_items_of_its_type():
    """Called with its own options; what says the end need not be part of the type."""
    fake = market(
        5, wrap=lambda page, start: {"orders": [{"order_id": n} for n in page], "countTotal": "5"}
    )
    get_orders = iop.Endpoint(API, Orders, http_method="GET", timeout=5)
    pages = iop.pages(fake, get_orders, items=lambda page: page.orders, size=3)
    assert await walked(pages) == [Order(n) for n in range(5)]
    assert {(call.http_method, call.timeout) for call in fake.calls} == {("GET", 5)}
    assert len(fake.calls) == 2


@pytest.mark.parametrize(
    ("data", "items"),
    [
        ({"orders": None}, "orders"),
        ({"total_results": 0}, "trades.trade"),
        ({"countTotal": "0", "orders": []}, "orders"),
        ([], ""),
    ],
)
async def test_an_empty_list_may_be_missing(data, items):
    """TOP leaves it out with all around it; others say null."""
    assert await walked(iop.pages(FakeCaller({API: data}), API, items=items)) == []


@pytest.mark.parametrize("items", ["order", "orders.order", ""])
async def test_a_place_without_a_list_is_an_error_that_says_what_there_is(items):
    """A misspelt name shall not look like a shop without orders."""
    fake = FakeCaller({API: {"orders": [1], "countTotal": 1}})
    with pytest.raises(iop.InvalidAnswer, match=rf"no list at '{items}'.*orders, countTotal"):
        await walked(iop.pages(fake, API, items=items))


async def test_a_failure_of_the_business_is_an_error():
    """Not an empty page."""
    failed = iop.Reply({}, failure=iop.Failure("E", "no"))
    with pytest.raises(iop.BusinessFailure):
        await walked(iop.pages(FakeCaller({API: failed}), API, items="orders"))


GET = iop.Endpoint(API, Orders)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": 0}, "size is 0"),
        ({"size": True}, "size is True"),
        ({"style": "offset"}, "give a style of iop_async.paging"),
        ({"params": {"offset": 5}}, "the walk sets offset itself"),
        ({"api": "no api"}, "is no API"),
        ({"items": len}, "items is the place of a list"),
        ({"api": GET}, "of an Endpoint it is a function"),
        ({"start": "3"}, "start is no position"),
        ({"start": "[]"}, "start is no position"),
        ({"start": '{"api": "/b", "end": true}'}, "start is no position of a walk through /orders"),
        ({"start": '{"api": "/orders/get", "end": false}'}, "start is no position"),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(options, words):
    """Where the walk is made."""
    arguments = {"api": API, "params": None, "items": "orders"} | options
    fake = market(1)
    with pytest.raises((TypeError, ValueError), match=words):
        iop.pages(fake, arguments.pop("api"), arguments.pop("params"), **arguments)
    assert fake.calls == []


async def test_a_seller_of_the_sandbox_walks_through_all_orders(app, gateway, sandbox):
    """Over sockets; every order once, and as many as the gateway says that there are."""
    async with iop.Client(app, gateway) as client:
        seller = client.as_seller(sandbox.grant("1001")["access_token"])
        total = (await seller.call(API, {"limit": 1})).data["countTotal"]
        orders = await walked(iop.pages(seller, API, items="orders", size=7))
    assert len({order["order_id"] for order in orders}) == len(orders) == total
