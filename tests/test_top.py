"""The TOP dialect, both ways, and its endpoint coroutines."""

import json
import os
import time
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import iop_async as iop

APP = iop.App("12129701", "helloworld")
NOW = datetime(2024, 8, 22, 10, 40, 3, tzinfo=UTC)
SAMPLES = Path(__file__).parent / "samples" / "top"
SEC = iop.gateways.TAOBAO_SEC
SEC_TOKEN = iop.Call("taobao.top.sec.token.get", {"oeid": "123"})
CANARY = "6202515canary3mSoB7701"


def encode(api, params=None, *, gateway=iop.gateways.TAOBAO, **options):
    return gateway.encode(APP, iop.Call(api, params, **options), now=NOW)


def query(request):
    return dict(parse_qsl(urlsplit(request.url).query, strict_parsing=True))


def decode(content, call=SEC_TOKEN, *, status=200):
    content = json.dumps(content).encode() if isinstance(content, dict) else content
    return SEC.decode(call, iop.HttpResponse(status, {}, content))


def test_the_documented_sample_as_a_whole_request():
    """Its parameters, its time zone, its signature; system ones in the query, the rest a form."""
    gateway = attrs.evolve(SEC, signer=iop.signers.HMAC_MD5, partner_id="apidoc")
    ids = {"oeid": "123", "ieid": "123", "open_id": "123"}
    request = encode("taobao.top.sec.token.get", ids, gateway=gateway)
    assert request.url.startswith("https://open.ieasynote.com/api?")
    assert request.method == "POST"
    assert dict(parse_qsl(request.body.decode())) == ids
    assert query(request) == {
        "app_key": "12129701",
        "format": "json",
        "method": "taobao.top.sec.token.get",
        "partner_id": "apidoc",
        "sign": "E64A6022DADDB79CC17339A18F341A47",
        "sign_method": "hmac",
        "timestamp": "2024-08-22 18:40:03",
        "v": "2.0",
    }


@pytest.mark.parametrize(
    "signer", [iop.signers.TOP_MD5, iop.signers.HMAC_MD5, iop.signers.TOP_HMAC_SHA256]
)
def test_each_sign_method_signs_query_and_form_together(signer):
    """The gateway value chooses the signer."""
    gateway = attrs.evolve(iop.gateways.TAOBAO, signer=signer, target_app_key="42")
    request = encode(
        "taobao.x.y", {"t": NOW, "n": "é +"}, gateway=gateway, access_token="s", simplify=True
    )
    fields = query(request) | dict(parse_qsl(request.body.decode()))
    sign = fields.pop("sign")
    assert fields["t"] == "2024-08-22 18:40:03"
    assert (fields["session"], fields["simplify"], fields["target_app_key"]) == ("s", "true", "42")
    assert sign == signer.sign(APP.secret, "", fields)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Shanghai"])
def test_the_timestamp_is_gmt_plus_8_whatever_the_machines_zone(zone, monkeypatch):
    """A common bug of clients outside China."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert query(encode("taobao.x.y"))["timestamp"] == "2024-08-22 18:40:03"
    finally:
        monkeypatch.undo()
        os.environ.pop("TZ", None)
        time.tzset()


def test_get_puts_all_of_it_into_the_query_and_files_make_it_multipart():
    """As with the other dialect."""
    request = encode("taobao.x.y", {"a": 1}, http_method="GET")
    assert (request.method, request.body, query(request)["a"]) == ("GET", b"", "1")
    request = encode("taobao.picture.upload", {"title": "t"}, files={"img": b"GIF"})
    assert "title" not in query(request)
    assert b"GIF" in request.body


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: encode("/order/get"), "is a path; TOP names an API like"),
        (lambda: encode("taobao.x.y", {"session": "s"}, access_token="t"), "sets session itself"),
        (lambda: iop.gateways.Top("http://gw.api.taobao.com/router/rest"), "in the clear"),
        (lambda: iop.gateways.Top("https://a.b", format="yaml"), "'json' or 'xml'"),
    ],
)
def test_bad_input_is_refused(make, words):
    """Before anything is sent."""
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("sample", ["sec_token.json", "sec_token.xml"])
def test_the_documented_success_in_both_formats(sample):
    """The same values."""
    assert decode((SAMPLES / sample).read_bytes()).data == {
        "result_code": "200",
        "token": "token",
        "result_msg": "token参数有误",
    }


@pytest.mark.parametrize(("sample", "words"), [("error.json", "XXX"), ("error.xml", "参数异常")])
def test_the_documented_error_in_both_formats(sample, words):
    """An integer code or its text: the same error."""
    with pytest.raises(iop.ApiError) as caught:
        decode((SAMPLES / sample).read_bytes())
    error = caught.value
    assert (type(error), error.code, error.sub_code) == (
        iop.ApiError,
        "50",
        "isv.invalid-parameter",
    )
    assert error.message == f"Remote service error; {words}"
    assert error.advice
    assert not error.retryable


def test_the_ban_of_a_live_answer_is_read():
    """Seconds from the sub message."""
    with pytest.raises(iop.Throttled) as caught:
        decode((SAMPLES / "ban.xml").read_bytes())
    assert caught.value.retry_after == 2.0


@pytest.mark.parametrize(
    ("code", "sub_code", "error"),
    [
        (1, None, iop.ServiceError),
        (2, None, iop.PermissionDenied),
        (7, None, iop.Throttled),
        (10, None, iop.ServiceError),
        (11, "isv.permission-ip-whitelist-limit", iop.PermissionDenied),
        (15, None, iop.ServiceError),
        (15, "isp.top-remote-connection-timeout", iop.ServiceError),
        (15, "isv.account-migration-check-fail", iop.AuthError),
        (15, "isv.anything", iop.ApiError),
        (25, None, iop.SignatureError),
        (26, None, iop.AuthError),
        (27, "session-expired", iop.AuthError),
        (29, None, iop.PermissionDenied),
        (31, None, iop.ClockError),
        (40, "isv.missing-parameter", iop.ApiError),
        (50, "isp.item-update-service-error:GENERIC_FAILURE", iop.ServiceError),
        (53, None, iop.AuthError),
        (7, "accesscontrol.limited-by-app-access-count", iop.Throttled),
        (530, "isp.new-thing", iop.ServiceError),
        (530, "isv.new-thing", iop.ApiError),
        (530, None, iop.ApiError),
        (32, "isv.timestamp-limit-error", iop.ClockError),
    ],
)
def test_code_and_sub_code_choose_the_class(code, sub_code, error):
    """The finer one first, its family where it is unknown."""
    body = {"code": code, "msg": "m", **({"sub_code": sub_code} if sub_code else {})}
    with pytest.raises(error) as caught:
        decode({"error_response": body})
    assert type(caught.value) is error


def test_every_row_of_the_table_has_advice():
    """Codes 1 to 53 of the platform's list are all there."""
    from iop_async import _codes

    listed = {*range(1, 14), 15, *range(20, 35), *range(40, 46), 47, 50, 53}
    assert {str(code) for code in listed} <= _codes.TOP.keys()
    assert all(rule.advice for rule in _codes.TOP.values())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"top_other_get_response":{}}', "no top_sec_token_get_response"),
        (b'{"result_code":"200"}', "no top_sec_token_get_response"),
        (b'{"top_sec_token_get_response":[]}', "no top_sec_token_get_response"),
        (b"<top_other_get_response/>", "no top_sec_token_get_response"),
        (b"<html><body>punish</body></html>", "no top_sec_token_get_response"),
        (b"<!DOCTYPE html><html></html>", "unreadable XML (a document type)"),
        (b"<html><p>unclosed", "unreadable XML"),
        (b"", "empty"),
        (b'<?xml version="1.0" encoding="nonsense"?><a/>', "unreadable XML"),
    ],
)
def test_an_answer_to_another_question_is_a_protocol_error(content, words):
    """The response root is checked against the method."""
    with pytest.raises(iop.ProtocolError) as caught:
        decode(content)
    assert words in str(caught.value)


def test_simplified_answers_have_no_wrapper_and_errors_keep_theirs():
    """Which is why a missing wrapper is fine only where it was asked for."""
    call = attrs.evolve(SEC_TOKEN, simplify=True)
    reply = decode({"token": "t", "request_id": "r"}, call)
    assert (reply.data, reply.request_id) == ({"token": "t"}, "r")
    with pytest.raises(iop.SignatureError):
        decode({"error_response": {"code": 25, "msg": "Invalid signature"}}, call)


def test_json_with_raw_control_characters_is_read():
    """Seen in the wild."""
    content = b'{"top_sec_token_get_response":{"token":"a\tb\nc\rd"}}'
    assert decode(content).data == {"token": "a\tb\nc\rd"}


def test_xml_keeps_repeated_elements_and_marked_lists():
    """A list of one is a list where the gateway says so."""
    content = (
        b"<top_sec_token_get_response><a>1</a><a>2</a><b/><request_id>r</request_id>"
        b'<items list="true"><item><id>1</id></item></items><none list="true"/>'
        b"</top_sec_token_get_response>"
    )
    reply = decode(content)
    assert reply.data == {"a": ["1", "2"], "b": "", "items": {"item": [{"id": "1"}]}, "none": {}}
    assert reply.request_id == "r"
    assert decode(b"<top_sec_token_get_response/>").data == {}


BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY l0 "lol">'
    + b"".join(b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 10))
    + b"]><top_sec_token_get_response>&l9;</top_sec_token_get_response>"
)
EXTERNAL = (
    b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    b"<top_sec_token_get_response>&x;</top_sec_token_get_response>"
)


@pytest.mark.parametrize(
    "content",
    [
        BOMB,
        EXTERNAL,
        b'<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><top_sec_token_get_response/>',
        b"<a>" * 10_000 + b"</a>" * 10_000,
        b"<a>" * 10_000,
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * 10_000,
    ],
    ids=["bomb", "external", "dtd", "deep", "unclosed", "deep-json", "unclosed-json"],
)
def test_hostile_documents_are_refused_in_little_memory(content):
    """No entity is expanded, nothing is fetched, no depth overflows the stack."""
    tracemalloc.start()
    with pytest.raises(iop.ProtocolError) as caught:
        decode(content)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(str(caught.value)) < 500
    assert peak < 5_000_000


@given(
    st.binary()
    | st.lists(
        st.sampled_from(
            [
                *(b"<a>", b"</a>", b"<token>", b"</token>", b"&lt;", b"<?", b"\x00"),
                *(b"<top_sec_token_get_response>", b"</top_sec_token_get_response>"),
                *(CANARY.encode(), b'{"token":"', b'"}'),
            ]
        )
    ).map(b"".join)
)
def test_whatever_comes_back_is_a_reply_or_one_error_and_shows_no_secret(content):
    """As with the other dialect."""
    call = iop.Call("taobao.top.sec.token.get", {"refresh_token": CANARY})
    try:
        shown = repr(decode(content, call))
    except iop.IopError as error:
        shown = f"{error}{error!r}"
    assert CANARY not in shown


class Answers:
    """A caller that answers always the same."""

    def __init__(self, data):
        self.data = data
        self.calls = []

    async def call(self, api, params=None, **options):
        self.calls.append((api, params))
        return iop.Reply(self.data, sent_at=NOW)


async def test_sec_token_get_shows_the_result_code_beside_the_token():
    """The platform's own sample pairs 200 with an error text."""
    data = decode((SAMPLES / "sec_token.json").read_bytes()).data
    caller = Answers(data)
    answer = await iop.top.sec_token_get(caller, oeid="123", ieid="456", open_id="789")
    assert answer == iop.top.SecToken("200", "token", "token参数有误")
    assert caller.calls == [
        ("taobao.top.sec.token.get", {"oeid": "123", "ieid": "456", "open_id": "789"})
    ]
    assert "'token'" not in repr(answer)
    assert await iop.top.sec_token_get(Answers([])) == iop.top.SecToken(None, None, None)


@pytest.mark.parametrize("as_object", [False, True])
async def test_a_top_token_is_a_token_like_any_other(as_object):
    """``token_result`` is a JSON string, sometimes an object."""
    call = iop.Call("taobao.top.auth.token.create")
    data = decode((SAMPLES / "token.json").read_bytes(), call).data
    if as_object:
        data = {"token_result": json.loads(data["token_result"])}
    token = await iop.top.create_token(Answers(data), code="c", uuid="u")
    assert (token.access_token, token.refresh_token) == ("6201415", "6202515")
    assert token.sellers == (iop.Seller(seller_id="1001", user_id="1001"),)
    assert token.account == "张"
    assert token.expires_at == datetime(2024, 11, 20, 10, 40, 3, tzinfo=UTC)
    assert not token.refreshable
    assert token.extra["taobao_open_uid"] == "AAE"
    assert token.extra["token_type"] == "Bearer"


@pytest.mark.parametrize("result", ["{", "", None, 5, "[]", "null", '{"expires_in":1}'])
async def test_an_unreadable_token_result_keeps_what_came(result):
    """The refresh token is spent."""
    with pytest.raises(iop.ProtocolError, match="no access token"):
        await iop.top.refresh_token(Answers({"token_result": result}), refresh_token="r")


REFUSED_INSIDE = [
    ({"error_response": {"code": 27, "sub_code": "x.y", "msg": "m"}}, iop.AuthError, "27"),
    ({"code": 15, "sub_code": "isv.invalid-refresh-token", "msg": "m"}, iop.AuthError, "15"),
    ({"error": "invalid_grant", "error_description": "m"}, iop.ApiError, "invalid_grant"),
    ({"error_code": "isv.refresh-token-expired", "error_msg": "m"}, iop.AuthError, "isv."),
]


@pytest.mark.parametrize(("result", "error", "code"), REFUSED_INSIDE)
@pytest.mark.parametrize("as_object", [False, True])
async def test_a_refusal_in_the_place_of_the_token_is_an_error_with_its_code(
    result, error, code, as_object
):
    """The gateway calls it a success."""
    data = {"token_result": result if as_object else json.dumps(result)}
    with pytest.raises(error, match="m") as caught:
        await iop.top.refresh_token(Answers(data), refresh_token="r")
    assert type(caught.value) is error
    assert caught.value.code.startswith(code)
    assert caught.value.refresh_token_rejected == ("refresh-token" in json.dumps(result))


async def test_top_token_calls_need_a_code_or_refresh_token():
    """Before anything is sent."""
    with pytest.raises(ValueError, match="code is empty"):
        await iop.top.create_token(Answers({}), code="")
    with pytest.raises(ValueError, match="refresh_token is empty"):
        await iop.top.refresh_token(Answers({}), refresh_token="")


SEPARATOR = b"\r\n-S-\r\n"
CALLS = [iop.Call("taobao.x.y", {"n": n, "same": "1"}, access_token=f"s{n}") for n in (1, 2)]


def test_a_batch_sends_what_is_shared_once_and_signs_query_and_body():
    """Several sessions may be mixed."""
    request = iop.gateways.TAOBAO.encode_batch(APP, CALLS, now=NOW)
    fields = query(request)
    sign = fields.pop("sign")
    text = iop.signers.string_to_sign("", fields) + request.body.decode()
    assert request.url.startswith("https://eco.taobao.com/router/batch?")
    assert request.headers["content-type"] == "text/plain;charset=utf-8"
    assert request.body.split(SEPARATOR) == [
        b"#PUBLIC#method=taobao.x.y&same=1",
        b"session=s1&n=1",
        b"session=s2&n=2",
    ]
    assert "session" not in fields
    assert sign == iop.signers.TOP_HMAC_SHA256.sign(APP.secret, text, {})


def test_a_batch_of_equal_calls_has_empty_queries():
    """Written as N."""
    calls = [iop.Call("taobao.x.y")] * 3
    body = iop.gateways.TAOBAO.encode_batch(APP, calls, now=NOW).body
    assert body.split(SEPARATOR) == [b"#PUBLIC#method=taobao.x.y", b"N", b"N", b"N"]


@pytest.mark.parametrize(
    ("gateway", "calls", "words"),
    [
        (SEC, CALLS, "has no batch"),
        (iop.gateways.TAOBAO, [], "at least one call"),
        (iop.gateways.TAOBAO, [iop.Call("taobao.x.y", files={"f": b""})], "has files"),
    ],
)
def test_what_no_batch_can_carry_is_refused(gateway, calls, words):
    """Before anything is sent."""
    with pytest.raises(ValueError, match=words):
        gateway.encode_batch(APP, calls, now=NOW)


class Batches:
    """A transport that answers each batch with the next content, or raises it."""

    def __init__(self, *contents):
        self.contents = list(contents)

    async def send(self, request):
        content = self.contents.pop(0)
        if isinstance(content, Exception):
            raise content
        return iop.HttpResponse(200, {}, content)

    async def aclose(self):
        pass


FINE = b'{"x_y_response":{"a":1,"request_id":"r"}}'
BAD = b'{"error_response":{"code":27,"msg":"Invalid session"}}'


def batching(*contents):
    return iop.Client(APP, iop.gateways.TAOBAO, transport=Batches(*contents), now=lambda: NOW)


async def test_one_failing_call_does_not_hide_the_others():
    """Replies and errors, in the order of the calls."""
    bad, fine = await batching(BAD + SEPARATOR + FINE).batch(CALLS)
    assert isinstance(bad, iop.AuthError)
    assert (fine.data, fine.request_id, fine.sent_at) == ({"a": 1}, "r", NOW)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (BAD, iop.AuthError),
        (b"<html>down</html>", iop.ProtocolError),
        (FINE, iop.ProtocolError),
        (FINE + SEPARATOR + FINE + SEPARATOR + FINE, iop.ProtocolError),
    ],
)
async def test_a_failed_whole_batch_is_one_error(content, error):
    """A single part for several calls, or another number of parts."""
    with pytest.raises(error):
        await batching(content).batch(CALLS)


async def test_more_calls_than_fit_make_several_requests_and_none_hides_another():
    """A request that broke is the error of its own calls only."""
    broken = iop.TransportError("reset")
    first, second, third = await batching(FINE, broken, FINE).batch([*CALLS, CALLS[0]], size=1)
    assert (first.data, second, third.data) == ({"a": 1}, broken, {"a": 1})
    with pytest.raises(iop.TransportError):
        await batching(broken, broken).batch(CALLS, size=1)
    assert await batching().batch([]) == []


async def test_batches_are_for_gateways_that_have_them():
    """And hold at least one call each."""
    with pytest.raises(TypeError, match="Iop gateways have no batches"):
        await iop.Client(APP, iop.gateways.ALIBABA).batch(CALLS)
    with pytest.raises(ValueError, match="size is 0"):
        await batching().batch(CALLS, size=0)


def test_a_dialect_brings_its_token_endpoints():
    """A module serves as one; a gateway of somebody else's need not name any."""
    assert iop.gateways.TAOBAO_SEC.token_endpoints is iop.top
    assert iop.gateways.LAZADA_SG.token_endpoints is iop.auth
    assert isinstance(iop.gateways.TAOBAO, iop.protocols.TokenGateway)
    assert isinstance(iop.top, iop.protocols.TokenEndpoints)
