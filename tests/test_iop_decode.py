"""From an answer to a reply, or to one error of the tree."""

import json
import pickle

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import iop_async as iop

GATEWAY = iop.gateways.TAOBAO_GLOBAL
CANARY = "50000601c30canary3mSoB7701"
PATH = iop.Call("/order/get", {"refresh_token": CANARY}, access_token=CANARY)
DOTTED = iop.Call("aliexpress.solution.order.get")


def decode(body, call=PATH, *, status=200, headers=None):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return GATEWAY.decode(call, iop.HttpResponse(status, headers or {}, content))


@pytest.mark.parametrize(
    ("call", "body", "data"),
    [
        (PATH, {"code": "0", "request_id": "r", "orders": [1]}, {"orders": [1]}),
        (PATH, {"code": 0, "request_id": "r", "data": {"a": 1}}, {"a": 1}),
        (PATH, {"code": "0", "request_id": "r", "result": [2], "_trace_id_": "t"}, [2]),
        (PATH, {"request_id": "r", "a": 1}, {"a": 1}),
        (
            DOTTED,
            {"aliexpress_solution_order_get_response": {"x": 1, "request_id": "r"}},
            {"x": 1},
        ),
        (DOTTED, {"x": 1, "code": "00", "request_id": "r"}, {"x": 1}),
        (
            DOTTED,
            {"aliexpress_solution_order_get_response": {"code": "00", "request_id": "r"}},
            {"code": "00"},
        ),
        (
            DOTTED,
            {"aliexpress_solution_order_get_response": {"resp_result": {}}, "request_id": "r"},
            {"resp_result": {}},
        ),
    ],
)
def test_the_payload_wherever_the_gateway_puts_it(call, body, data):
    """Flat, under data or result, wrapped and simplified; and the whole answer beside it."""
    reply = decode(body, call)
    assert (reply.data, reply.request_id, reply.body) == (data, "r", body)
    assert not reply.failed


def test_big_integers_stay_exact():
    """Ids beyond 2**53 are JSON numbers on this platform."""
    assert decode(b'{"code":"0","data":{"item_id":652874751412123456789}}').data == {
        "item_id": 652874751412123456789
    }


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


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("AUTH_TYPE_UNSUPPORTED", iop.AuthError),
        ("InvalidAppkey", iop.PermissionDenied),
        ("InvalidAppKey", iop.PermissionDenied),
        ("ServiceUnavailable", iop.ServiceError),
        ("IncompleteSignature", iop.SignatureError),
        ("InvalidCode", iop.AuthError),
        ("IllegalAccessToken", iop.AuthError),
        ("InvalidAccessToken", iop.AuthError),
        ("IllegalRefreshToken", iop.AuthError),
        ("IllegalTimestamp", iop.ClockError),
        ("ApiCallLimit", iop.Throttled),
        ("SellerCallLimit", iop.Throttled),
        ("AppCallLimit", iop.Throttled),
        ("901", iop.Throttled),
        ("998", iop.Throttled),
        ("ServiceTimeout", iop.ServiceError),
        ("rpc timeout", iop.ServiceError),
        ("1000", iop.ServiceError),
        ("1002", iop.ServiceError),
        ("506", iop.ServiceError),
        ("SystemError", iop.ServiceError),
        ("UnknownRuntimeException", iop.ServiceError),
        ("15", iop.ServiceError),
        ("500", iop.ApiError),
        ("501", iop.ApiError),
        ("MissingParameter", iop.ApiError),
        ("InvalidParameter", iop.ApiError),
        ("InvalidApi", iop.PermissionDenied),
        ("AppNotSubscribed", iop.PermissionDenied),
        ("InsufficientPermission", iop.PermissionDenied),
        ("AppWhiteIpLimit", iop.PermissionDenied),
        ("SellerNotActive", iop.PermissionDenied),
        ("SellerNotVerified", iop.PermissionDenied),
    ],
)
def test_every_known_code_has_its_class_and_advice(code, error):
    """The error says what happened, what to do next, and what support asks for."""
    with pytest.raises(error) as caught:
        decode({"type": "ISV", "code": code, "message": "words", "request_id": "req-1"})
    assert type(caught.value) is error
    assert caught.value.advice
    assert (caught.value.code, caught.value.type) == (code, "ISV")
    for part in (code, "words", caught.value.advice, "req-1"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("sub_code", "error"),
    [
        ("isv.insufficient-permission", iop.PermissionDenied),
        ("isv.account-migration-check-fail", iop.AuthError),
        ("isp.whatever", iop.ServiceError),
    ],
)
def test_code_15_is_what_its_sub_code_says(sub_code, error):
    """A remote service error may be permanent."""
    body = {"error_response": {"code": 15, "msg": "Remote", "sub_code": sub_code, "sub_msg": "s"}}
    with pytest.raises(error, match=f"15/{sub_code}: Remote; s"):
        decode(body, DOTTED)


def test_an_unknown_code_stays_a_plain_api_error_with_all_that_was_said():
    """Nothing is guessed; the details are there."""
    body = {"code": "NewCode", "message": "?", "detail": [{"field": "f", "message": "m"}]}
    with pytest.raises(iop.ApiError) as caught:
        decode(body)
    assert type(caught.value) is iop.ApiError
    assert caught.value.body == body
    assert not caught.value.retryable
    assert caught.value.may_have_been_applied


@pytest.mark.parametrize(
    "error",
    [
        {"type": "ISV", "code": "IncompleteSignature", "msg": "m", "request_id": "r"},
        {"type": "ISV", "code": "IncompleteSignature", "message": "m", "request_id": "r"},
    ],
)
def test_sync_errors_wrapped_and_bare(error):
    """``error_response`` is not dropped by simplify; some hosts answer without it."""
    for body in ({"error_response": error, "_trace_id_": "t"}, error):
        with pytest.raises(iop.SignatureError) as caught:
            decode(body, DOTTED)
        assert caught.value.request_id == "r"


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Api access frequency exceeds the limit. this ban will last 0 seconds", 0),
        ("this ban will last 1 seconds", 1),
        ("This ban will last for 27 more seconds", 27),
        ("This Ban Will Last For 1 More Second", 1),
        ("slow down", None),
    ],
)
def test_the_ban_text_is_read(message, seconds):
    """Both families' wordings."""
    with pytest.raises(iop.Throttled) as caught:
        decode({"code": "ApiCallLimit", "message": message})
    assert caught.value.retry_after == seconds
    assert caught.value.retryable


def test_a_signature_error_carries_what_the_sandbox_signed():
    """But no message shows it: it holds the token."""
    with pytest.raises(iop.SignatureError) as caught:
        decode(
            {"code": "IncompleteSignature"},
            headers={"x-sandbox-string-to-sign": f"/order/get%C3%A9{CANARY}"},
        )
    assert caught.value.string_to_sign == f"/order/geté{CANARY}"
    assert CANARY not in repr(caught.value) + str(caught.value)


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b"", 200, "HTTP 200, an empty answer"),
        (b" \r\n", 200, "empty"),
        (b"<!DOCTYPE html><html>punish</html>", 200, "HTML: '<!DOCTYPE html><html>punish"),
        (b'{"code":"0","data":{"a":', 200, 'unreadable JSON: \'{"code"'),
        (b'{"code":"0","nick":"a\tb"}', 200, "unreadable JSON"),
        (b"\xff\xfe\x00", 200, "unreadable JSON"),
        (b"[1]", 200, "JSON that is no object"),
        (b"null", 200, "JSON that is no object"),
        (b"[" * 100_000, 200, "unreadable JSON"),
        (b'{"a":' + b"9" * 5000 + b"}", 200, "unreadable JSON"),
        (b"<html>Request-URI Too Large</html>", 414, "HTTP 414, HTML"),
        (b"<html>Bad Gateway</html>", 502, "HTTP 502, HTML"),
        (b'{"error":"nope"}', 404, "HTTP 404, no error code"),
    ],
)
def test_an_answer_without_an_envelope_is_a_protocol_error(content, status, words):
    """It carries the status and the first characters, and keeps the answer."""
    with pytest.raises(iop.ProtocolError) as caught:
        decode(content, status=status)
    assert words in str(caught.value)
    assert f"HTTP {status}" in str(caught.value)
    assert (caught.value.status, caught.value.content) == (status, content)
    assert caught.value.may_have_been_applied == (status in (200, 502))
    assert caught.value.retryable == (status >= 500)


def test_a_wrapped_response_that_is_no_object_is_a_protocol_error():
    """The wrapper alone is no answer."""
    with pytest.raises(iop.ProtocolError, match="no object"):
        decode({"aliexpress_solution_order_get_response": 1}, DOTTED)


@pytest.mark.parametrize(("status", "error"), [(429, iop.Throttled), (503, iop.ServiceError)])
@pytest.mark.parametrize("content", [b"<html>busy</html>", b"", b'{"busy":true}'])
def test_statuses_that_say_enough_by_themselves(status, error, content):
    """A rate limit in front of the gateway answers HTML and a Retry-After."""
    with pytest.raises(error) as caught:
        decode(content, status=status, headers={"retry-after": "7"})
    assert (caught.value.retry_after, caught.value.retryable) == (7.0, True)
    assert not caught.value.may_have_been_applied


def test_an_error_can_be_pickled_and_leaves_the_raw_answer_behind():
    """Job queues send exceptions between processes."""
    with pytest.raises(iop.ProtocolError) as caught:
        decode(f'{{"access_token":"{CANARY}"'.encode())
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.status, copy.content) == (str(caught.value), 200, b"")


FRAGMENTS = st.sampled_from(
    [
        CANARY.encode(),
        b'"access_token":"',
        b'{"code":"',
        b'\\"refresh_token\\":\\"',
        b"access_token=",
        b"<token>",
        b'{"error_response":{"code":',
        b'","message":"',
        b'"}',
        b"}",
        b"<html>",
        b"0",
    ]
)


@given(
    st.one_of(st.binary(), st.lists(FRAGMENTS | st.binary(max_size=3)).map(b"".join)),
    st.sampled_from([200, 302, 404, 429, 500, 503]),
    st.sampled_from([PATH, DOTTED]),
)
@example(b'{"code":"X","message":"bad token ' + CANARY.encode() + b'"}', 200, PATH)
@example(b'{"access_token":"' + CANARY.encode(), 200, DOTTED)
@example(b'{"a": 1e999, "code": {}}', 200, PATH)
def test_whatever_comes_back_is_a_reply_or_one_error_and_shows_no_secret(content, status, call):
    """No bytes crash the reader, and no bytes make it print a token."""
    try:
        shown = repr(decode(content, call, status=status))
    except iop.IopError as error:
        shown = f"{error}{error!r}"
        assert error.__cause__ is None
    if call is PATH:
        assert CANARY not in shown
