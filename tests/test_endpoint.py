"""Typed endpoints: an API's name and a type, called with whoever calls."""

from __future__ import annotations

import json
import pickle
import sys
import traceback
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, TypedDict

import attrs
import pytest

import iop_async as iop
from iop_async.testing import FakeCaller

CANARY = "50000601c30canary3mSoB7701"


class Status(Enum):
    PENDING = "pending"


def short(instance, attribute, value):
    if len(value) > 20:
        raise ValueError(f"too long: {value}")


@attrs.frozen
class Order:
    order_id: int
    price: Decimal
    status: Status = Status.PENDING
    note: str = attrs.field(default="", validator=short)


@attrs.frozen
class Orders:
    orders: list[Order]
    more: dict[str, Order] = attrs.Factory(dict)


@dataclass(frozen=True)
class OrderRow:
    order_id: int
    price: Decimal


@dataclass(frozen=True)
class OrderRows:
    orders: list[OrderRow]


class OrderDict(TypedDict):
    order_id: int
    price: Decimal


class OrderDicts(TypedDict):
    orders: list[OrderDict]


DATA = {"orders": [{"order_id": 42, "price": "19.90", "seen_first": True}], "count": 1}
PRICE = Decimal("19.90")


@pytest.mark.parametrize(
    ("data_type", "expected"),
    [
        (Orders, Orders([Order(42, PRICE)])),
        (OrderRows, OrderRows([OrderRow(42, PRICE)])),
        (OrderDicts, {"orders": [{"order_id": 42, "price": PRICE}]}),
        (dict[str, Any], DATA),
    ],
    ids=["attrs", "dataclass", "TypedDict", "dict"],
)
async def test_data_becomes_the_type(data_type, expected):
    """Fields that the type does not name are left out."""
    get_orders = iop.Endpoint("/orders/get", data_type)
    fake = FakeCaller({"/orders/get": DATA})
    assert await get_orders(fake, limit=10) == expected
    assert fake.calls == [iop.Call("/orders/get", {"limit": 10})]


class Shop(TypedDict):
    seller_id: int
    verified: bool


async def test_a_client_and_a_seller_call_it(app, gateway, sandbox):
    """The same endpoint, over sockets; a number that came as text is read."""
    get_seller = iop.Endpoint("/seller/get", Shop, http_method="GET", idempotent=True)
    echo = iop.Endpoint("/sandbox/echo", dict[str, Any])
    async with iop.Client(app, gateway) as client:
        seller = client.as_seller(sandbox.grant("1001")["access_token"])
        assert await get_seller(seller) == {"seller_id": 1001, "verified": True}
        assert (await echo(client, name="x"))["params"]["name"] == "x"
        with pytest.raises(iop.ApiError):
            await get_seller(client)


@pytest.mark.parametrize(
    ("text", "data_type", "value"),
    [("42", int, 42), ("true", bool, True), ("1.5", float, 1.5), (42, Decimal, Decimal(42))],
)
async def test_numbers_and_truth_may_come_as_text(text, data_type, value):
    """The platforms send both, of one field at times."""
    assert await iop.Endpoint("/a", data_type)(FakeCaller({"/a": text})) == value


ORDER = {"order_id": 42, "price": "1"}


@pytest.mark.parametrize(
    ("data", "path", "words"),
    [
        ([], "", "is no Orders: expected `object`, got `array`"),
        ({}, "orders", "orders: missing"),
        ({"orders": [ORDER, {"price": "1"}]}, "orders[1].order_id", "missing"),
        ({"orders": [{**ORDER, "order_id": CANARY}]}, "orders[0].order_id", "expected `int`, got"),
        ({"orders": [{**ORDER, "price": CANARY}]}, "orders[0].price", "invalid decimal string"),
        ({"orders": [{**ORDER, "status": CANARY}]}, "orders[0].status", "none of the values"),
        ({"orders": [{**ORDER, "note": CANARY}]}, "orders[0]", r"the type itself \(ValueError\)"),
        (
            {"orders": [], "more": {CANARY: {**ORDER, "note": 1}}},
            "more[...].note",
            "expected `str`",
        ),
    ],
)
async def test_an_answer_of_another_shape_says_where_and_quotes_nothing(data, path, words):
    """Neither in its text, nor in its traceback's locals, nor in a pickle."""
    get_orders = iop.Endpoint("/orders/get", Orders)
    with pytest.raises(iop.InvalidAnswer, match=words) as caught:
        await get_orders(FakeCaller({"/orders/get": data}))
    error = caught.value
    assert error.path == path
    assert "/orders/get is no Orders: " in str(error)
    assert "(request_id fake-1)" in str(error)
    assert not error.retryable
    assert error.may_have_been_applied
    shown = "".join(
        traceback.TracebackException.from_exception(error, capture_locals=True).format()
    )
    assert CANARY not in shown.partition("_scrub.py")[2] + str(error) + repr(vars(error))
    copied = pickle.loads(pickle.dumps(error))
    assert (copied.path, str(copied)) == (path, str(error))


async def test_the_whole_answer_is_kept_with_the_error():
    """What came is there for who must look, with its status and the moment of sending."""
    content = b'{"code":"0","data":{"orders":7}}'
    reply = iop.gateways.ALIBABA.decode(iop.Call("/orders/get"), iop.HttpResponse(200, {}, content))
    with pytest.raises(iop.InvalidAnswer) as caught:
        iop.Endpoint("/orders/get", Orders).read(reply)
    assert (caught.value.content, caught.value.status) == (content, 200)
    assert isinstance(caught.value, iop.ProtocolError)


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (DATA, "orders[0].seen_first"),
        ({**DATA, "orders": [ORDER]}, "count"),
        ({"orders": [ORDER]}, None),
    ],
)
@pytest.mark.parametrize("data_type", [Orders, OrderRows, OrderDicts])
async def test_unknown_fields_are_refused_where_that_is_asked(data_type, data, path):
    """By the path of the first one, however deep."""
    strict = iop.Endpoint("/orders/get", data_type, unknown_fields="refuse")
    fake = FakeCaller({"/orders/get": data})
    if path is None:
        await strict(fake)
    else:
        with pytest.raises(iop.InvalidAnswer, match="does not name") as caught:
            await strict(fake)
        assert caught.value.path == path


async def test_a_failure_of_the_business_is_its_own_error():
    """Not a missing field: nothing of the type is to be expected in such an answer."""
    failed = iop.Reply({}, failure=iop.Failure("SOLD_OUT", "no stock"))
    with pytest.raises(iop.BusinessFailure, match="SOLD_OUT"):
        await iop.Endpoint("/order/create", Orders)(FakeCaller({"/order/create": failed}))


async def test_options_are_said_once_and_never_taken_for_parameters():
    """An API may have a parameter called ``timeout``, or one whose name is no name."""
    fake = FakeCaller({"a.b.get": {}})
    upload = iop.Endpoint("a.b.get", dict[str, Any], simplify=True, idempotent=False)
    await upload.with_options(timeout=2.0, files={"f": b"x"})(
        fake, {"no-name": 1}, timeout=5, caller="c", self="s"
    )
    await upload(fake)
    assert fake.calls == [
        iop.Call(
            "a.b.get",
            {"no-name": 1, "timeout": 5, "caller": "c", "self": "s"},
            files={"f": b"x"},
            simplify=True,
            idempotent=False,
            timeout=2.0,
        ),
        iop.Call("a.b.get", simplify=True, idempotent=False),
    ]
    with pytest.raises(TypeError, match="given as a keyword and in params: limit"):
        await upload(fake, {"limit": 1}, limit=2)


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        (("no api", Orders), {}, "is no API"),
        (("/a", Orders), {"timeout": -1}, "timeout is -1"),
        (("/a", Orders), {"http_method": "PUT"}, "PUT"),
        (("/a", Orders), {"unknown_fields": "keep"}, "say 'ignore' or 'refuse'"),
        (("/a", "Orders"), {}, "an endpoint cannot read 'Orders'"),
        (("/a", Order | OrderRow), {}, "an endpoint cannot read"),
    ],
)
def test_bad_input_is_refused_where_the_endpoint_is_made(arguments, options, error):
    """Not at its first call."""
    with pytest.raises((TypeError, ValueError), match=error):
        iop.Endpoint(*arguments, **options)


def test_without_msgspec_it_says_which_extra_is_missing(monkeypatch):
    """When it is made; the rest of the library does without."""
    monkeypatch.setitem(sys.modules, "msgspec", None)
    with pytest.raises(ImportError, match=r"pip install 'iop-async\[typed\]'"):
        iop.Endpoint("/a", Orders)


def test_literals_of_a_type_are_not_quoted_either():
    """msgspec's own words quote what came in place of one."""
    reply = iop.Reply(json.loads(f'{{"kind": "{CANARY}"}}'))
    with pytest.raises(iop.InvalidAnswer, match=r"\[...\]: none of the values") as caught:
        iop.Endpoint("/a", dict[str, Literal["x"]]).read(reply)
    assert CANARY not in str(caught.value)
