"""The verdict of the business inside a success of the gateway."""

import pickle

import pytest
from decode_helpers import CANARY, decode

import iop_async as iop


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({"success": False, "error_code": "E1", "error_msg": "sold out"}, "E1", "sold out"),
        ({"success": "false", "biz_error_code": "B", "biz_error_msg": "no"}, "B", "no"),
        ({"biz_error_code": "B2", "data": {"left": 1}}, "B2", ""),
        ({"success": False, "errorMsg": "bad link"}, "", "bad link"),
        ({"result": {"success": False, "msg_code": "M", "biz_message": "m"}}, "M", "m"),
        ({"resp_result": {"resp_code": 500, "resp_msg": "down"}}, "500", "down"),
        ({"rsp_code": "413", "rsp_msg": "much"}, "413", "much"),
    ],
)
def test_a_business_failure_inside_a_success_is_seen(body, code, message):
    """The gateway says ``code: "0"``; nothing of what it sent is hidden."""
    reply = decode({"code": "0", "request_id": "r", **body})
    assert reply.failed
    assert reply.failure == iop.Failure(code, message)
    assert reply.body == {"code": "0", "request_id": "r", **body}


REFUSALS = [
    {"success": False},
    {"is_success": False},
    {"isSuccess": "false"},
    {"IsSuccess": "False"},
    {"result_success": "FALSE"},
    {"biz_success": False},
    {"bizSuccess": "false"},
    {"success": "fail"},
]
WORDS = (
    "error_desc error_msg errorMsg msg_info message_info result_msg biz_error_desc biz_error_msg "
    "errorMessage error_message errMsg resp_msg rsp_msg sub_msg fail_reason message msg"
).split()
ORDER = "aliexpress.ds.order.create"


@pytest.mark.parametrize("level", [None, "data", "result", "resp_result", "result data"])
@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
def test_a_refused_order_never_looks_placed(refusal, level):
    """Whatever the verdict is called, and wherever it stands: by path, in a wrapper, in XML."""
    verdict = {**refusal, "error_code": "E9", "error_msg": "no city"}
    for name in reversed((level or "").split()):
        verdict = {name: verdict}
    expected = iop.Failure("E9", "no city")
    assert decode({"code": "0", "request_id": "r", **verdict}).failure == expected
    wrapped = {"aliexpress_ds_order_create_response": {"request_id": "r", **verdict}}
    assert decode(wrapped, iop.Call(ORDER)).failure == expected
    xml = f"<x_y_response>{as_xml(verdict)}</x_y_response>"
    answer = iop.HttpResponse(200, {}, xml.encode())
    assert iop.gateways.TAOBAO.decode(iop.Call("taobao.x.y"), answer).failure == expected


def as_xml(value):
    if isinstance(value, dict):
        return "".join(f"<{name}>{as_xml(inner)}</{name}>" for name, inner in value.items())
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize("name", WORDS)
def test_the_words_of_a_refusal_are_found_whatever_they_are_called(name):
    """Beside the verdict, or a level away from it."""
    beside = decode({"code": "0", "result": {"isSuccess": False, name: "no city"}})
    assert beside.failure.message == "no city"
    away = decode({"code": "0", "success": False, "data": {name: "no city"}})
    assert away.failure.message == "no city"


def test_a_failure_can_be_raised_with_all_that_was_said():
    """For those who want an exception; a success is the reply itself."""
    fine = decode({"code": "0", "data": {"success": True}})
    assert fine.raise_for_failure() is fine
    reply = decode({"code": "0", "request_id": "r7", "success": False, "error_msg": "sold out"})
    with pytest.raises(iop.BusinessFailure, match=r"sold out \(request_id r7\)") as caught:
        reply.raise_for_failure()
    assert (caught.value.failure, caught.value.reply) == (reply.failure, reply)
    assert not caught.value.retryable
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.failure, copy.reply.data) == (reply.failure, reply.data)


def test_a_refusal_without_a_word_says_so():
    """No code and no message is all that some APIs give."""
    with pytest.raises(iop.BusinessFailure, match="gives no reason"):
        decode({"code": "0", "success": False}).raise_for_failure()


@pytest.mark.parametrize("more", [{}, {"msg": "system busy"}])
def test_a_search_that_fails_in_its_wrapper_s_own_code_may_be_repeated(more):
    """AliExpress's product search; an empty success it is not."""
    body = {"code": "NGSELECTION_SEARCH_ERROR", "request_id": "r", **more}
    call = iop.Call("aliexpress.ds.text.search")
    failure = decode({"aliexpress_ds_text_search_response": body}, call).failure
    assert (failure.code, failure.message) == (body["code"], more.get("msg", ""))
    assert failure.retryable
    assert iop.BusinessFailure(failure).retryable


@pytest.mark.parametrize(
    "body",
    [
        {"code": "00", "msg": "success", "data": {"products": []}},
        {"code": "200", "msg": "whatever"},
        {"code": "SAVE10", "name": "a voucher"},
        {"code": "1", "msg": "Call succeeds", "total": 1},
    ],
)
def test_a_code_in_a_wrapper_that_is_no_verdict_is_none(body):
    """It may be a voucher's."""
    call = iop.Call("aliexpress.ds.text.search")
    assert not decode({"aliexpress_ds_text_search_response": body}, call).failed


def test_the_verdict_on_an_item_is_not_that_on_the_call():
    """Each item has its own code, which the caller reads."""
    packed = {"order_item_list": [{"item_err_code": "30007", "success": False}]}
    reply = decode(
        {"code": "0", "result": {"success": True, "data": {"pack_order_list": [packed]}}}
    )
    assert not reply.failed
    assert reply.data["data"]["pack_order_list"] == [packed]


def test_the_secrets_of_a_call_are_masked_in_a_refusal():
    """Its words are shown in exceptions and logs."""
    reply = decode({"code": "0", "success": False, "error_msg": f"token {CANARY} is of no use"})
    assert CANARY not in repr(reply.failure)


def test_a_failure_without_a_code_is_told_as_one():
    """An explicit refusal is more than no envelope."""
    body = {"data": {"success": False, "error_code": "E", "error_msg": "no stock"}}
    assert decode(body).failure == iop.Failure("E", "no stock")


@pytest.mark.parametrize(
    "body",
    [
        {"success": True},
        {"success": "true", "error_code": "error_code"},
        {"resp_result": {"resp_code": 200, "resp_msg": "success"}},
        {"resp_result": {"resp_code": 405, "resp_msg": "The result is empty"}},
        {"result": {"success": True, "msg_code": ""}, "rsp_code": "00"},
        {"biz_error_code": None},
        {"result": "text", "resp_result": []},
    ],
)
def test_no_business_failure_is_invented(body):
    """Codes that mean success vary from API to API."""
    assert not decode({"code": "0", **body}).failed
