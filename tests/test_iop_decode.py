"""From an answer to a reply, or to one error of the tree."""

import json
import pickle

import pytest
from decode_helpers import CANARY, DOTTED, GATEWAY, PATH, decode
from hypothesis import example, given
from hypothesis import strategies as st

import iop_async as iop


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


NO_ENVELOPE = [
    {},
    {"error_response": "system error"},
    {"error_response": []},
    {"error_response": {}},
    {"error_response": None},
    {"code": None, "type": "SYSTEM", "message": "boom"},
    {"code": "", "message": "boom"},
    {"code": ["50"], "message": "boom"},
    {"code": {"value": 50}},
    {"message": "no route matched", "request_id": "r"},
    {"error": "forbidden"},
    {"error": {"status": 403}, "request_id": "r"},
    {"rgv587_flag": "sm", "url": "https://x.example/punish"},
    {"ret": ["FAIL_SYS_USER_VALIDATE"], "data": {}},
    {"timestamp": 1, "status": 200, "path": "/rest"},
    {"products": []},
]
"""What is no answer of the gateway's, or of one that failed before it had a code."""


@pytest.mark.parametrize("simplify", [None, True])
@pytest.mark.parametrize("body", NO_ENVELOPE, ids=str)
def test_no_envelope_is_no_success(body, simplify):
    """By path, by name, simplified or not, at either dialect: it is told as what it is."""
    for gateway, api in ((GATEWAY, "/a/b"), (GATEWAY, "a.b.c"), (iop.gateways.TAOBAO, "a.b.c")):
        answer = iop.HttpResponse(200, {}, json.dumps(body).encode())
        with pytest.raises(iop.ProtocolError) as caught:
            gateway.decode(iop.Call(api, simplify=simplify), answer)
        assert caught.value.content == answer.content
        assert caught.value.may_have_been_applied


@pytest.mark.parametrize("call", [iop.Call("/a/b"), DOTTED, iop.Call("a.b.c", simplify=True)])
@pytest.mark.parametrize(
    ("body", "code", "error"),
    [
        ({"code": "IllegalAccessToken", "message": "m"}, "IllegalAccessToken", iop.AuthError),
        ({"Code": "ApiCallLimit", "Message": "m"}, "ApiCallLimit", iop.Throttled),
        ({"code": "NewCode", "message": "m", "request_id": "r"}, "NewCode", iop.ApiError),
        (
            {"error_response": [{"code": "SystemError", "msg": "m"}]},
            "SystemError",
            iop.ServiceError,
        ),
        ({"code": "E9", "type": "ISP", "msg": "m", "more": 1}, "E9", iop.ApiError),
    ],
)
def test_an_error_without_its_wrapper_is_an_error(call, body, code, error):
    """Simplified answers have business fields at the top, so by name it takes more than a code."""
    with pytest.raises(error, match="m") as caught:
        decode(body, call)
    assert caught.value.code == code


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
        (b"[" * 100_000, 200, "JSON nested more than 100 deep"),
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
    assert caught.value.retryable == (status in (200, 502))


def test_a_wrapped_response_that_is_no_object_is_a_protocol_error():
    """The wrapper alone is no answer."""
    with pytest.raises(iop.ProtocolError, match="no object"):
        decode({"aliexpress_solution_order_get_response": 1}, DOTTED)


@pytest.mark.parametrize(
    ("status", "error"),
    [(425, iop.ServiceError), (429, iop.Throttled), (503, iop.ServiceError)],
)
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


@pytest.mark.parametrize("simplify", [{"simplify": True}, {"params": {"simplify": "true"}}])
def test_a_wrapper_may_be_missing_only_where_that_was_asked_for(simplify):
    """Or where the answer has the gateway's code; a request id alone is a proxy's as well."""
    body = {"x": 1, "request_id": "r"}
    assert decode(body, iop.Call("a.b.c", **simplify)).data == {"x": 1}
    assert decode({**body, "code": "0"}, DOTTED).data == {"x": 1}
    with pytest.raises(iop.ProtocolError, match="no aliexpress_solution_order_get_response"):
        decode(body, DOTTED)
