"""Business APIs answer with made-up data that is always the same, and the seller's own."""

import json

import pytest
from sandbox_helpers import SandboxCaller

from iop_async.sandbox import Sandbox


@pytest.fixture
async def caller():
    async with SandboxCaller(Sandbox(profile="lazada")) as caller:
        yield caller


@pytest.fixture
def mine(caller):
    return caller.sandbox.grant("1001")["access_token"]


async def all_orders(caller, token):
    orders = []
    for offset in range(0, 200, 50):
        page = {"limit": "50", "offset": str(offset)}
        answer = await caller.call("/orders/get", page, access_token=token)
        orders += answer["data"]["orders"]
    return orders


async def test_orders_come_in_pages(caller, mine):
    orders = await all_orders(caller, mine)
    answer = await caller.call("/orders/get", {"limit": "50", "offset": "100"}, access_token=mine)
    assert answer["data"]["count"] == 20
    assert answer["data"]["countTotal"] == 120
    assert len({order["order_id"] for order in orders}) == 120
    second = await caller.call("/orders/get", {"page": "2", "page_size": "50"}, access_token=mine)
    assert second["data"]["orders"] == orders[50:100]
    assert len((await caller.call("/orders/get", access_token=mine))["data"]["orders"]) == 20


async def test_order_ids_are_too_large_for_a_float(caller, mine):
    orders = await all_orders(caller, mine)
    assert all(order["order_id"] > 2**53 for order in orders)
    assert len({float(order["order_id"]) for order in orders}) < len(orders)


async def test_an_order_and_its_items_agree(caller, mine):
    order = (await all_orders(caller, mine))[7]
    by_id = {"order_id": str(order["order_id"])}
    answer = await caller.call("/order/get", by_id, access_token=mine)
    items = (await caller.call("/order/items/get", by_id, access_token=mine))["data"]
    assert answer["data"] == order
    assert len(items) == order["items_count"]
    assert {item["order_id"] for item in items} == {order["order_id"]}
    assert sum(item["paid_cents"] for item in items) == round(float(order["price"]) * 100)


async def test_a_small_order_id_is_the_number_of_an_order(caller, mine):
    answer = await caller.call("/order/get", {"order_id": "42"}, access_token=mine)
    assert answer["data"] == (await all_orders(caller, mine))[41]


async def test_sellers_see_their_own_data_only(caller, mine):
    theirs = caller.sandbox.grant("1002")["access_token"]
    my_orders, their_orders = await all_orders(caller, mine), await all_orders(caller, theirs)
    order_id = str(my_orders[0]["order_id"])
    answer = await caller.call("/order/get", {"order_id": order_id}, access_token=theirs)
    assert not {o["order_id"] for o in my_orders} & {o["order_id"] for o in their_orders}
    assert (answer["code"], answer["type"]) == ("16", "ISP")
    assert answer["message"] == f'E016: "{order_id}" Invalid Order ID'


async def test_data_are_the_same_in_every_sandbox(caller, mine):
    async with SandboxCaller(Sandbox(profile="lazada")) as other:
        token = other.sandbox.grant("1001")["access_token"]
        assert await all_orders(other, token) == await all_orders(caller, mine)


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"limit": "101"}, "19"),
        ({"limit": "-1"}, "19"),
        ({"limit": "ten"}, "19"),
        ({"offset": "9" * 5000}, "14"),
    ],
)
async def test_pages_that_there_cannot_be_are_refused(caller, mine, params, code):
    answer = await caller.call("/orders/get", params, access_token=mine)
    assert answer["code"] == code


@pytest.mark.parametrize("order_id", ["0", "121", "abc", "1.5", "\uff19"])
async def test_orders_that_there_are_not_are_refused(caller, mine, order_id):
    answer = await caller.call("/order/get", {"order_id": order_id}, access_token=mine)
    assert answer["code"] == "16"


async def test_a_mandatory_parameter_is_asked_for(caller, mine):
    answer = await caller.call("/order/get", access_token=mine)
    assert answer["code"] == "MissingParameter"


async def test_products_come_in_pages(caller, mine):
    answer = await caller.call("/products/get", {"limit": "100"}, access_token=mine)
    assert answer["data"]["total_products"] == len(answer["data"]["products"]) == 30


async def test_a_catalogue_item_is_a_success_or_a_business_failure(caller, mine):
    item = await caller.call("/product/get", {"item_id": "652874751412"}, access_token=mine)
    gone = await caller.call("/product/get", {"item_id": "404"}, access_token=mine)
    assert (item["code"], item["success"]) == ("0", True)
    assert item["data"]["item_id"] == 652874751412
    (sku,) = item["data"]["sku_list"]
    assert [each.keys() for each in sku["properties"]] == [
        {"prop_id", "prop_name", "value_id", "value_name", "value_desc"}
    ]
    assert (gone["code"], gone["success"]) == ("0", False)
    assert gone["biz_error_code"] == "ITEM_NOT_FOUND"


async def test_a_seller_is_described(caller, mine):
    answer = await caller.call("/seller/get", access_token=mine)
    shop = caller.sandbox.sellers["1001"].shops[0]
    assert answer["data"]["seller_id"] == "1001"
    assert answer["data"]["location"] == shop.country


async def test_an_upload_needs_a_file_and_an_image_text_needs_base64(caller, mine):
    none = await caller.call("/image/upload", access_token=mine)
    wrong = await caller.call("/upload/image", {"image_base64": "!"}, access_token=mine)
    assert none["code"] == "MissingParameter"
    assert (wrong["code"], wrong["biz_error_code"]) == ("0", "INVALID_IMAGE")


async def test_an_image_text_gets_an_id_that_is_the_same_for_the_same_image(caller, mine):
    first, again, other = [
        await caller.call("/upload/image", {"image_base64": image}, access_token=mine)
        for image in ("aGVsbG8=", "aGVsbG8=", "aGVsbG8h")
    ]
    assert first["data"]["image_id"] == again["data"]["image_id"] != other["data"]["image_id"]


class TestDotted:
    async def test_orders_with_a_success_of_their_own(self, caller, mine):
        query = json.dumps({"current_page": 2, "page_size": 50})
        api = "aliexpress.solution.order.get"
        answer = await caller.sync(api, {"param0": query}, session=mine)
        result = answer["aliexpress_solution_order_get_response"]["result"]
        assert result["success"] is True
        assert result["current_page"] == 2
        assert result["target_list"]["order_dto"] == (await all_orders(caller, mine))[50:100]

    @pytest.mark.parametrize("query", ["{", "[]", '"x"'])
    async def test_a_query_that_cannot_be_read_is_the_first_page(self, caller, mine, query):
        api = "aliexpress.solution.order.get"
        answer = await caller.sync(api, {"param0": query}, session=mine, simplify="true")
        assert answer["result"]["current_page"] == 1

    async def test_a_product_with_rsp_code(self, caller, mine):
        api = "aliexpress.ds.product.get"
        there = await caller.sync(api, {"product_id": "100500"}, access_token=mine, simplify="true")
        gone = await caller.sync(api, {"product_id": "404"}, access_token=mine, simplify="true")
        assert (there["rsp_code"], gone["rsp_code"]) == (200, 604)
        assert there["result"]["ae_item_base_info_dto"]["product_id"] == 100500

    async def test_a_search_with_resp_result_needs_no_seller(self, caller):
        api = "aliexpress.affiliate.product.query"
        found = await caller.sync(api, {"keywords": "tea"}, simplify="true")
        empty = await caller.sync(api, {"keywords": "nothing"}, simplify="true")
        result = found["resp_result"]["result"]
        assert result["current_record_count"] == result["total_record_count"] == 3
        assert empty["resp_result"]["resp_code"] == 405

    async def test_a_product_of_a_search_has_the_members_that_clients_read(self, caller):
        """Text for money, and pictures in a list of their own, which ``simplify`` un-nests."""
        api, params = "aliexpress.affiliate.product.query", {"keywords": "茶 tea", "page_size": "2"}
        full = await caller.sync(api, params)
        simple = await caller.sync(api, params, simplify="true")
        result = full["aliexpress_affiliate_product_query_response"]["resp_result"]["result"]
        first, _ = result["products"]["product"]
        assert result["current_record_count"] == 2
        assert isinstance(first["product_id"], int)
        assert float(first["target_sale_price"]) > 0
        assert first["product_title"]
        assert first["promotion_link"].startswith("https://")
        pictures = first["product_small_image_urls"]["string"]
        (first, _) = simple["resp_result"]["result"]["products"]
        assert first["product_small_image_urls"] == pictures

    async def test_the_second_page_of_a_search_is_the_rest_of_it(self, caller):
        api = "aliexpress.affiliate.product.query"
        params = {"keywords": "tea", "page_size": "2", "page_no": "2"}
        result = (await caller.sync(api, params, simplify="true"))["resp_result"]["result"]
        assert (result["current_page_no"], result["current_record_count"]) == (2, 1)

    async def test_a_path_api_has_no_dotted_twin(self, caller, mine):
        answer = await caller.sync("orders.get", access_token=mine)
        assert answer["error_response"]["code"] == "InvalidApiPath"
