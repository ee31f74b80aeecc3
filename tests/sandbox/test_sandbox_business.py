"""Business APIs answer with made-up data that is always the same, and the seller's own."""

import json

import pytest
from sandbox_hand import Hand

from iop_async.sandbox import Sandbox


@pytest.fixture
async def hand():
    async with Hand(Sandbox(profile="lazada")) as hand:
        yield hand


@pytest.fixture
def mine(hand):
    return hand.sandbox.grant("1001")["access_token"]


async def all_orders(hand, token):
    orders = []
    for offset in range(0, 200, 50):
        page = {"limit": "50", "offset": str(offset)}
        answer = await hand.call("/orders/get", page, access_token=token)
        orders += answer["data"]["orders"]
    return orders


async def test_orders_come_in_pages(hand, mine):
    orders = await all_orders(hand, mine)
    answer = await hand.call("/orders/get", {"limit": "50", "offset": "100"}, access_token=mine)
    assert answer["data"]["count"] == 20
    assert answer["data"]["countTotal"] == 120
    assert len({order["order_id"] for order in orders}) == 120
    second = await hand.call("/orders/get", {"page": "2", "page_size": "50"}, access_token=mine)
    assert second["data"]["orders"] == orders[50:100]
    assert len((await hand.call("/orders/get", access_token=mine))["data"]["orders"]) == 20


async def test_order_ids_are_too_large_for_a_float(hand, mine):
    orders = await all_orders(hand, mine)
    assert all(order["order_id"] > 2**53 for order in orders)
    assert len({float(order["order_id"]) for order in orders}) < len(orders)


async def test_an_order_and_its_items_agree(hand, mine):
    order = (await all_orders(hand, mine))[7]
    by_id = {"order_id": str(order["order_id"])}
    answer = await hand.call("/order/get", by_id, access_token=mine)
    items = (await hand.call("/order/items/get", by_id, access_token=mine))["data"]
    assert answer["data"] == order
    assert len(items) == order["items_count"]
    assert {item["order_id"] for item in items} == {order["order_id"]}
    assert sum(item["paid_cents"] for item in items) == round(float(order["price"]) * 100)


async def test_a_small_order_id_is_the_number_of_an_order(hand, mine):
    answer = await hand.call("/order/get", {"order_id": "42"}, access_token=mine)
    assert answer["data"] == (await all_orders(hand, mine))[41]


async def test_sellers_see_their_own_data_only(hand, mine):
    theirs = hand.sandbox.grant("1002")["access_token"]
    my_orders, their_orders = await all_orders(hand, mine), await all_orders(hand, theirs)
    order_id = str(my_orders[0]["order_id"])
    answer = await hand.call("/order/get", {"order_id": order_id}, access_token=theirs)
    assert not {o["order_id"] for o in my_orders} & {o["order_id"] for o in their_orders}
    assert (answer["code"], answer["type"]) == ("16", "ISP")
    assert answer["message"] == f'E016: "{order_id}" Invalid Order ID'


async def test_data_are_the_same_in_every_sandbox(hand, mine):
    async with Hand(Sandbox(profile="lazada")) as other:
        token = other.sandbox.grant("1001")["access_token"]
        assert await all_orders(other, token) == await all_orders(hand, mine)


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"limit": "101"}, "19"),
        ({"limit": "-1"}, "19"),
        ({"limit": "ten"}, "19"),
        ({"offset": "9" * 5000}, "14"),
    ],
)
async def test_pages_that_there_cannot_be_are_refused(hand, mine, params, code):
    answer = await hand.call("/orders/get", params, access_token=mine)
    assert answer["code"] == code


@pytest.mark.parametrize("order_id", ["0", "121", "abc", "1.5", "\uff19"])
async def test_orders_that_there_are_not_are_refused(hand, mine, order_id):
    answer = await hand.call("/order/get", {"order_id": order_id}, access_token=mine)
    assert answer["code"] == "16"


async def test_a_mandatory_parameter_is_asked_for(hand, mine):
    answer = await hand.call("/order/get", access_token=mine)
    assert answer["code"] == "MissingParameter"


async def test_products_come_in_pages(hand, mine):
    answer = await hand.call("/products/get", {"limit": "100"}, access_token=mine)
    assert answer["data"]["total_products"] == len(answer["data"]["products"]) == 30


async def test_a_catalogue_item_is_a_success_or_a_business_failure(hand, mine):
    item = await hand.call("/product/get", {"item_id": "652874751412"}, access_token=mine)
    gone = await hand.call("/product/get", {"item_id": "404"}, access_token=mine)
    assert (item["code"], item["success"]) == ("0", True)
    assert item["data"]["item_id"] == 652874751412
    assert (gone["code"], gone["success"]) == ("0", False)
    assert gone["biz_error_code"] == "ITEM_NOT_FOUND"


async def test_a_seller_is_described(hand, mine):
    answer = await hand.call("/seller/get", access_token=mine)
    shop = hand.sandbox.sellers["1001"].shops[0]
    assert answer["data"]["seller_id"] == "1001"
    assert answer["data"]["location"] == shop.country


async def test_an_upload_needs_a_file_and_an_image_text_needs_base64(hand, mine):
    none = await hand.call("/image/upload", access_token=mine)
    wrong = await hand.call("/upload/image", {"image_base64": "!"}, access_token=mine)
    assert none["code"] == "MissingParameter"
    assert (wrong["code"], wrong["biz_error_code"]) == ("0", "INVALID_IMAGE")


class TestDotted:
    async def test_orders_with_a_success_of_their_own(self, hand, mine):
        query = json.dumps({"current_page": 2, "page_size": 50})
        api = "aliexpress.solution.order.get"
        answer = await hand.sync(api, {"param0": query}, session=mine)
        result = answer["aliexpress_solution_order_get_response"]["result"]
        assert result["success"] is True
        assert result["current_page"] == 2
        assert result["target_list"]["order_dto"] == (await all_orders(hand, mine))[50:100]

    @pytest.mark.parametrize("query", ["{", "[]", '"x"'])
    async def test_a_query_that_cannot_be_read_is_the_first_page(self, hand, mine, query):
        api = "aliexpress.solution.order.get"
        answer = await hand.sync(api, {"param0": query}, session=mine, simplify="true")
        assert answer["result"]["current_page"] == 1

    async def test_a_product_with_rsp_code(self, hand, mine):
        api = "aliexpress.ds.product.get"
        there = await hand.sync(api, {"product_id": "100500"}, access_token=mine, simplify="true")
        gone = await hand.sync(api, {"product_id": "404"}, access_token=mine, simplify="true")
        assert (there["rsp_code"], gone["rsp_code"]) == (200, 604)
        assert there["result"]["ae_item_base_info_dto"]["product_id"] == 100500

    async def test_a_search_with_resp_result_needs_no_seller(self, hand):
        api = "aliexpress.affiliate.product.query"
        found = await hand.sync(api, {"keywords": "tea"}, simplify="true")
        empty = await hand.sync(api, {"keywords": "nothing"}, simplify="true")
        assert found["resp_result"]["result"]["total_record_count"] == 3
        assert empty["resp_result"]["resp_code"] == 405

    async def test_a_path_api_has_no_dotted_twin(self, hand, mine):
        answer = await hand.sync("orders.get", access_token=mine)
        assert answer["error_response"]["code"] == "InvalidApi"
