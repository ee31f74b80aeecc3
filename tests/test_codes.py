"""What a code says: the class, the facts, and how long to wait."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from decode_helpers import CANARY, DOTTED, GATEWAY, PATH, decode

import iop_async as iop


@pytest.mark.parametrize(
    "sub_code", ["20000", "2401", "4", "7", "27", "isv.402", "F00-00-10009-001"]
)
@pytest.mark.parametrize("gateway", [GATEWAY, iop.gateways.TAOBAO], ids=["IOP", "TOP"])
def test_a_sub_code_of_the_business_is_no_code_of_the_platform(gateway, sub_code):
    """27 of a business costs no refresh, its 7 closes no gate, and none passes by itself."""
    error = {"error_response": {"code": 15, "msg": "Remote service error", "sub_code": sub_code}}
    answer = iop.HttpResponse(200, {}, json.dumps(error).encode())
    with pytest.raises(iop.ApiError, match="fail again") as caught:
        gateway.decode(iop.Call("a.b.c", access_token="t"), answer)
    assert type(caught.value) is iop.ApiError
    assert not caught.value.retryable


SYNC = [
    (7, "accesscontrol.limited-by-app-api-access-count", iop.Throttled),
    (27, "invalid-sessionkey", iop.AuthError),
    (27, None, iop.AuthError),
    (26, None, iop.AuthError),
    (41, None, iop.ApiError),
    (40, None, iop.ApiError),
    (25, None, iop.SignatureError),
    (29, None, iop.PermissionDenied),
    (15, "isv.invalid-parameter", iop.ApiError),
    (15, "isp.call-limited", iop.Throttled),
    (15, "isp.remote-connection-error", iop.ServiceError),
    (15, "isv.BUSINESS_LIMIT_CONTROL", iop.Throttled),
    (50, "isv.business-limit-control:minute", iop.Throttled),
    (15, "isv.insufficient-permission", iop.PermissionDenied),
    ("isv.api-call-limit", None, iop.Throttled),
    ("isv.flow-control", None, iop.Throttled),
    ("Throttling.User", None, iop.Throttled),
    ("TooManyRequests", None, iop.Throttled),
    ("isv.invalid-parameter", None, iop.ApiError),
    ("isp.service-error", None, iop.ServiceError),
    ("InvalidSignature", None, iop.SignatureError),
    ("E1002", None, iop.ServiceError),
]


@pytest.mark.parametrize("gateway", [iop.gateways.ALIEXPRESS, iop.gateways.TAOBAO])
@pytest.mark.parametrize(("code", "sub_code", "error"), SYNC)
def test_sync_and_top_have_one_table(gateway, code, sub_code, error):
    """AliExpress's /sync answers with TOP's numbers and sub codes."""
    body = {"error_response": {"code": code, "msg": "m", "sub_code": sub_code}}
    with pytest.raises(error) as caught:
        gateway.decode(
            iop.Call("aliexpress.a.get", access_token="t"),
            iop.HttpResponse(200, {}, json.dumps(body).encode()),
        )
    assert type(caught.value) is error
    assert caught.value.advice


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("E1002", iop.ServiceError),
        ("E506", iop.ServiceError),
        ("E006", iop.ServiceError),
        ("6", iop.ServiceError),
        ("21", iop.ServiceError),
        ("513", iop.ServiceError),
        ("E901", iop.Throttled),
        ("OPEN_API_CALL_EXCEED_LIMIT", iop.Throttled),
        ("TRAFFIC_CONTROL", iop.Throttled),
        ("BIZ_DEGRADATION_ERROR", iop.ServiceError),
        ("DUPLICATE_REQUEST", iop.ApiError),
        ("27", iop.ApiError),
        ("7", iop.ApiError),
    ],
)
def test_numbers_of_an_api_that_is_called_by_path_are_lazada_s(code, error):
    """Where 6 and 21 are failures of the platform, and 27 is no token's."""
    with pytest.raises(error) as caught:
        decode({"code": code, "message": "m"})
    assert type(caught.value) is error


def test_top_says_where_aliexpress_has_gone():
    """Code 2 is a blacklist for everybody else."""
    body = {"error_response": {"code": 2, "msg": "TOP has been offline"}}
    answer = iop.HttpResponse(200, {}, json.dumps(body).encode())
    for api, words in (("aliexpress.a.get", "gateways.ALIEXPRESS"), ("taobao.a.get", "blacklist")):
        with pytest.raises(iop.PermissionDenied, match=words):
            iop.gateways.TAOBAO.decode(iop.Call(api), answer)


@pytest.mark.parametrize(
    ("status", "error"),
    [(425, iop.ServiceError), (429, iop.Throttled), (503, iop.ServiceError)],
)
def test_an_unknown_code_is_what_its_status_says(status, error):
    """A known one is what it says itself."""
    with pytest.raises(error) as caught:
        decode({"code": "Busy", "message": "x"}, status=status, headers={"retry-after": "7"})
    assert (caught.value.code, caught.value.retryable) == ("Busy", True)
    assert caught.value.retry_after == 7
    assert not caught.value.may_have_been_applied
    with pytest.raises(iop.PermissionDenied):
        decode({"code": "InvalidApi", "message": "x"}, status=status)


@pytest.mark.parametrize("status", [408, 500, 502])
def test_a_status_that_passes_and_proves_nothing(status):
    """The call may have been applied all the same."""
    for content in (b"", b'{"code":"Busy","message":"x"}'):
        with pytest.raises(iop.IopError) as caught:
            decode(content, status=status)
        assert caught.value.retryable
        assert caught.value.may_have_been_applied


def test_a_token_that_was_not_sent_is_not_to_be_refreshed():
    """The advice says what is missing; with a token it says to refresh that."""
    for call, words in ((iop.Call("/a"), "No access token was sent"), (PATH, "Refresh the access")):
        with pytest.raises(iop.AuthError, match=words):
            decode({"code": "IllegalAccessToken", "message": "m"}, call)


DATE = "Fri, 27 Nov 2026 08:00:00 GMT"


def test_a_clock_error_says_by_how_much():
    """By the gateway's Date and the time of sending, as nearly as is known."""
    received = datetime(2026, 11, 27, 11, 0, 5, tzinfo=UTC)
    answer = iop.HttpResponse(
        200, {"date": DATE}, b'{"code":"IllegalTimestamp"}', received_at=received
    )
    with pytest.raises(
        iop.ClockError, match="this machine is 10805 s ahead of the gateway"
    ) as caught:
        GATEWAY.decode(PATH, answer)
    caught.value.sent_at = datetime(2026, 11, 27, 7, 59, tzinfo=UTC)
    assert caught.value.offset == timedelta(seconds=-60)
    assert "60 s behind the gateway" in str(caught.value)
    with pytest.raises(iop.ClockError) as caught:
        decode({"code": "IllegalTimestamp"}, headers={"date": "yesterday"})
    assert caught.value.offset is None
    with pytest.raises(ValueError, match="naive"):
        iop.HttpResponse(200, {}, b"", received_at=datetime(2026, 1, 1))  # noqa: DTZ001


REFRESH = iop.Call("/auth/token/refresh", {"refresh_token": CANARY})
TOP_REFRESH = iop.Call("taobao.top.auth.token.refresh", {"refresh_token": CANARY})
TEMPORARY, EVERYBODY, REFUSED, NOTHING = "temporary", "every seller", "refused", "nothing"


@pytest.mark.parametrize(
    ("code", "sub_code", "proof"),
    [
        ("ApiCallLimit", None, TEMPORARY),
        ("ServiceUnavailable", None, TEMPORARY),
        ("IncompleteSignature", None, EVERYBODY),
        ("InvalidAppKey", None, EVERYBODY),
        ("AppWhiteIpLimit", None, EVERYBODY),
        ("InsufficientPermission", None, EVERYBODY),
        ("IllegalTimestamp", None, EVERYBODY),
        ("IllegalRefreshToken", None, REFUSED),
        ("InvalidRefreshToken", None, REFUSED),
        ("REFRESH_TOKEN_EXPIRED", None, REFUSED),
        ("InvalidParameter", None, REFUSED),
        ("AUTH_TYPE_UNSUPPORTED", None, REFUSED),
        ("15", "isv.refresh-token-invalid", REFUSED),
        ("IllegalAccessToken", None, NOTHING),
        ("SellerNotActive", None, NOTHING),
        ("ServiceTimeout", None, NOTHING),
        ("SystemError", None, NOTHING),
        ("NewCode", None, NOTHING),
        ("top 15", "isv.invalid-parameter", REFUSED),
        ("top 41", None, REFUSED),
        ("top 15", "20000", NOTHING),
        ("top 15", "isp.remote-connection-error", NOTHING),
        ("top 27", None, NOTHING),
        ("top 25", None, EVERYBODY),
        ("top 11", "isv.permission-ip-whitelist-limit", EVERYBODY),
        ("top 7", None, TEMPORARY),
        ("top 10", None, TEMPORARY),
    ],
)
def test_an_error_says_what_it_proves_of_a_refresh(code, sub_code, proof):
    """Whoever keeps grants decides by facts, and knows no code."""
    body = {"code": code.removeprefix("top "), "message": "m", "sub_code": sub_code}
    gateway, call = GATEWAY, REFRESH
    if code.startswith("top"):
        gateway, call, body = iop.gateways.TAOBAO, TOP_REFRESH, {"error_response": body}
    with pytest.raises(iop.ApiError) as caught:
        gateway.decode(call, iop.HttpResponse(200, {}, json.dumps(body).encode()))
    error = caught.value
    assert error.affects_every_seller == (proof == EVERYBODY)
    assert error.refresh_token_rejected == (proof == REFUSED)
    assert (error.retryable and not error.may_have_been_applied) == (proof == TEMPORARY)


def test_endless_words_are_shown_in_part():
    """Nobody reads a message of megabytes, and masking it takes its time; the body has it all."""
    with pytest.raises(iop.ApiError) as caught:
        decode({"code": "c" * 10**6, "message": "m" * 10**6, "request_id": "r" * 10**6})
    assert len(str(caught.value)) < 20_000
    assert len(caught.value.body["message"]) == 10**6
    refused = decode({"code": "0", "success": False, "error_msg": "m" * 10**6})
    assert len(refused.failure.message) < 20_000


def test_a_parameter_that_is_no_refresh_token_refuses_none():
    """The same codes of a business call."""
    with pytest.raises(iop.ApiError) as caught:
        decode({"code": "InvalidParameter", "message": "m"}, iop.Call("/a", {"order_id": 1}))
    assert not caught.value.refresh_token_rejected


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        ("7.5", 7.5),
        (" 0 ", 0),
        ("86400000", 900),
        ("9" * 500, 900),
        ("Fri, 27 Nov 2026 08:00:30 GMT", 30),
        ("Friday, 27-Nov-26 08:00:30 GMT", 30),
        ("Fri Nov 27 08:00:30 2026", 30),
        ("Fri, 27 Nov 2026 07:00:00 GMT", 0),
        ("Fri, 27 Nov 2099 08:00:00 GMT", 900),
        ("-5", None),
        ("nan", None),
        ("soon", None),
        ("Fri, 27 Nov 99999999999 08:00:00 GMT", None),
        ("", None),
    ],
)
@pytest.mark.parametrize("own_date", [True, False])
def test_retry_after_in_every_form_and_bounded(header, seconds, own_date):
    """A date counts from the answer's own ``Date``, whatever this machine's clock says."""
    headers = {"retry-after": header}
    received = datetime(2026, 11, 27, 8, tzinfo=UTC)
    if own_date:
        headers["date"], received = DATE, received - timedelta(days=3)
    answer = iop.HttpResponse(429, headers, b"<html>", received_at=received)
    with pytest.raises(iop.Throttled) as caught:
        GATEWAY.decode(PATH, answer)
    assert caught.value.retry_after == seconds


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("banned, 12 seconds", 12),
        ("too frequent, ban will last 1 seconds", 1),
        ("You are banned for 1.5 s", 1.5),
        ("This ban will last for 2 more minutes", 120),
        ("this ban will last 500 ms", 0.5),
        ("this ban will last 1,000,000,000 seconds", 900),
        (f"this ban will last {'9' * 5_000} seconds", 900),
        ("this ban will last 86400000 seconds", 900),
        ("urban 5 seconds", None),
        ("banned until 24:00", None),
    ],
)
def test_the_seconds_of_a_ban_in_other_words_and_bounded(message, seconds):
    """One slip of a unit must not postpone a call for years."""
    with pytest.raises(iop.Throttled) as caught:
        decode({"code": "ApiCallLimit", "message": message}, headers={"date": DATE})
    assert caught.value.retry_after == seconds


@pytest.mark.parametrize(
    ("sub_code", "words", "seconds"),
    [
        ("accesscontrol.limited-by-app-access-count", "used up", 8 * 3600),
        ("accesscontrol.limited-by-app-access-count", "ban will last 60 seconds", 60),
        ("accesscontrol.limited-by-app-access-count", "ban will last 999999999 seconds", 8 * 3600),
        (
            "accesscontrol.limited-by-api-access-count",
            "ban will last for 28790 more seconds",
            8 * 3600,
        ),
        ("accesscontrol.limited-by-api-access-count", "ban will last for 20000 more seconds", 900),
    ],
)
def test_a_quota_of_the_day_comes_back_at_midnight_in_china(sub_code, words, seconds):
    """Nothing before that can succeed; a ban that ends then belongs to such a quota."""
    body = {"error_response": {"code": 7, "msg": "m", "sub_code": sub_code, "sub_msg": words}}
    with pytest.raises(iop.Throttled) as caught:
        decode(body, DOTTED, headers={"date": DATE})
    assert caught.value.retry_after == seconds


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
