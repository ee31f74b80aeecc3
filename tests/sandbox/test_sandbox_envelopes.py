"""Answers are wrapped as each endpoint wraps them."""

import re

import pytest
from sandbox_hand import Hand

from iop_async.sandbox import Sandbox

ORDERS = "aliexpress.solution.order.get"


@pytest.fixture
async def hand():
    async with Hand(Sandbox(profile="aliexpress")) as hand:
        yield hand


async def test_rest_is_flat(hand):
    answer = await hand.call("/sandbox/echo")
    assert answer.keys() == {"code", "data", "request_id", "_trace_id_"}


async def test_a_rest_error_is_flat_and_has_a_message(hand):
    answer = await hand.call("/no/api")
    assert answer.keys() == {"type", "code", "message", "request_id", "_trace_id_"}


async def test_sync_is_wrapped(hand):
    answer = await hand.sync("sandbox.echo")
    assert answer.keys() == {"sandbox_echo_response", "_trace_id_"}
    assert answer["sandbox_echo_response"].keys() == {"data", "request_id"}


async def test_a_sync_error_is_wrapped_and_has_a_msg(hand):
    answer = await hand.sync("no.api")
    assert answer.keys() == {"error_response"}
    assert answer["error_response"].keys() == {"type", "code", "msg", "request_id", "_trace_id_"}


async def test_simplify_drops_the_wrapper_and_unnests_lists(hand):
    token = hand.sandbox.grant("1001")["access_token"]
    full = await hand.sync(ORDERS, session=token)
    simple = await hand.sync(ORDERS, session=token, simplify="true")
    orders = full[f"{ORDERS.replace('.', '_')}_response"]["result"]["target_list"]["order_dto"]
    assert simple["result"]["target_list"] == orders


async def test_simplify_leaves_the_wrapper_of_an_error(hand):
    assert (await hand.sync("no.api", simplify="true")).keys() == {"error_response"}


@pytest.mark.parametrize(
    ("profile", "traced"), [("taobao_global", False), ("aliexpress", True), ("daraz", True)]
)
async def test_a_request_id_is_always_there_a_trace_id_by_profile(profile, traced):
    async with Hand(Sandbox(profile=profile)) as hand:
        ids = []
        for api in ("/sandbox/echo", "/no/api"):
            answer = await hand.call(api)
            assert ("_trace_id_" in answer) is traced
            ids.append(answer["request_id"])
        assert len(set(ids)) == 2
        assert all(re.fullmatch(r"[0-9a-f]{8}\d{17}", request_id) for request_id in ids)


async def test_answers_are_json_in_utf_8_as_written(hand):
    response = await hand.post("/sandbox/echo", {"a": "茶"})
    assert response.headers["content-type"] == "application/json;charset=UTF-8"
    assert "茶".encode() in response.content
