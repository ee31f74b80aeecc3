"""Answers are wrapped as each endpoint wraps them."""

import re

import pytest
from sandbox_helpers import SandboxCaller

from iop_async.sandbox import Sandbox

ORDERS = "aliexpress.solution.order.get"


@pytest.fixture
async def caller():
    async with SandboxCaller(Sandbox(profile="aliexpress")) as caller:
        yield caller


async def test_rest_is_flat(caller):
    answer = await caller.call("/sandbox/echo")
    assert answer.keys() == {"code", "data", "request_id", "_trace_id_"}


async def test_a_rest_error_is_flat_and_has_a_message(caller):
    answer = await caller.call("/no/api")
    assert answer.keys() == {"type", "code", "message", "request_id", "_trace_id_"}


async def test_sync_is_wrapped(caller):
    answer = await caller.sync("sandbox.echo")
    assert answer.keys() == {"sandbox_echo_response", "_trace_id_"}
    assert answer["sandbox_echo_response"].keys() == {"data", "request_id"}


async def test_a_sync_error_is_wrapped_and_has_a_msg(caller):
    answer = await caller.sync("no.api")
    assert answer.keys() == {"error_response"}
    assert answer["error_response"].keys() == {"type", "code", "msg", "request_id", "_trace_id_"}


async def test_simplify_drops_the_wrapper_and_unnests_lists(caller):
    token = caller.sandbox.grant("1001")["access_token"]
    full = await caller.sync(ORDERS, session=token)
    simple = await caller.sync(ORDERS, session=token, simplify="true")
    orders = full[f"{ORDERS.replace('.', '_')}_response"]["result"]["target_list"]["order_dto"]
    assert simple["result"]["target_list"] == orders


async def test_simplify_leaves_the_wrapper_of_an_error(caller):
    assert (await caller.sync("no.api", simplify="true")).keys() == {"error_response"}


@pytest.mark.parametrize(
    ("profile", "traced"), [("taobao_global", False), ("aliexpress", True), ("daraz", True)]
)
async def test_a_request_id_is_always_there_a_trace_id_by_profile(profile, traced):
    async with SandboxCaller(Sandbox(profile=profile)) as caller:
        ids = []
        for api in ("/sandbox/echo", "/no/api"):
            answer = await caller.call(api)
            assert ("_trace_id_" in answer) is traced
            ids.append(answer["request_id"])
        assert len(set(ids)) == 2
        assert all(re.fullmatch(r"[0-9a-f]{8}\d{17}", request_id) for request_id in ids)


async def test_answers_are_json_in_utf_8_as_written(caller):
    response = await caller.post("/sandbox/echo", {"a": "茶"})
    assert response.headers["content-type"] == "application/json;charset=UTF-8"
    assert "茶".encode() in response.content
