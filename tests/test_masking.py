"""Secrets in what is shown, logged and pickled: masked, in whatever form they come."""

import json
import pickle
from copy import copy, deepcopy
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

import iop_async as iop
from iop_async._redact import redact

ACCESS, REFRESH, CODE = "AT-CANARY-1", "RT/CANARY+2", "0_123456_CANARY3"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
GATEWAY = iop.gateways.TAOBAO_GLOBAL
CALL = iop.Call("/auth/token/refresh", {"refresh_token": REFRESH}, access_token=ACCESS)


def decode(content, call=CALL, status=200):
    return GATEWAY.decode(call, iop.HttpResponse(status, {"x-token": ACCESS}, content))


def failure(content, call=CALL, status=200):
    with pytest.raises(iop.IopError) as caught:
        decode(content, call, status)
    return caught.value


def json_escaped(text):
    return "".join(f"\\u{ord(char):04x}" for char in text)


FORMS = {
    "plain": str,
    "slashes escaped": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "JSON": json_escaped,
    "JSON in JSON": lambda text: json_escaped(text).replace("\\", "\\\\"),
    "URL": lambda text: quote(text, safe=""),
    "URL, all of it": lambda text: "".join(f"%{ord(char):02x}" for char in text),
    "URL in a URL": lambda text: quote(quote(text, safe=""), safe=""),
    "HTML": lambda text: "".join(f"&#{ord(char)};" for char in text),
    "HTML, hexadecimal": lambda text: "".join(f"&#x{ord(char):X};" for char in text),
    "Python": lambda text: "".join(f"\\x{ord(char):02x}" for char in text),
    "UTF-16": lambda text: "".join(f"{char}\0" for char in text),
    "cut short": lambda text: text[:-2],
    "cut short, escaped": lambda text: json_escaped(text[:-2]),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("secret", [ACCESS, REFRESH])
def test_a_secret_of_the_call_is_masked_however_it_is_written(form, secret):
    """An answer that quotes a request quotes it as its own layers write it."""
    text = redact(f"the token {form(secret)}", [secret])
    assert "CANA" not in text
    assert text.startswith("the token ***")
    assert "CANA" not in redact(text, [secret])


@pytest.mark.parametrize(
    "form",
    [
        '{"access_token":"%s"}',
        '{"access_token": "%s',
        '{\\"refreshToken\\":\\"%s\\"}',
        '{\\\\\\"refresh_token\\\\\\":\\\\\\"%s',
        "{'session': '%s'}",
        "<access_token>%s</access_token>",
        "{&quot;access_token&quot;: &quot;%s&quot;}",
        "&lt;session&gt;%s&lt;/session&gt;",
        "/rest/x?access_token=%s&b=1",
        "%%7B%%22access_token%%22%%3A%%22%s%%22",
        "{\\u0022access_token\\u0022:\\u0022%s",
        "client_secret=%s",
        "SESSIONKEY: %s",
        "app_sign = %s",
        "bad code 0_%s",
    ],
)
def test_a_secret_that_nobody_knew_is_masked_by_its_name(form):
    """An answer may hold a token that the call did not."""
    assert "CANARY" not in redact(form % "AB/CANARY-9")


@pytest.mark.parametrize("token", ["50000601c30CANARY3mSoB7", "6201415CANARY0a1b2c3d4e"])
def test_what_looks_like_a_token_is_masked_wherever_it_stands(token):
    """Errors of other libraries quote what they were given, without a name."""
    assert redact(f"cannot store {token}, sorry") == "cannot store ***, sorry"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (iop.Call("/voucher/get", {"code": "e"}), "voucher is not live"),
        (iop.Call("/voucher/get", {"code": "SUMMER2026"}), "SUMMER2026 has ended"),
        (iop.Call("/x", access_token="live"), "not live, nor alive"),
        (iop.Call("/x", {"session": "expired"}), "the session: expired; log in"),
        (iop.Call("/auth/token/create", {"code": "a"}), "a bad parameter"),
        (CALL, "token: null, design: blue, code: 17, tokens: many, sign: wrong"),
        (CALL, "seller 50001234567890123456 has no order 6201234567890123456"),
        (CALL, "100% of &amp; and \\ and %zz and &nosuchthing; and \\q stay"),
    ],
)
def test_what_is_no_secret_is_not_masked(call, message):
    """Masked words are words that somebody must guess."""
    body = json.dumps({"code": "InvalidParameter", "message": message}).encode()
    assert failure(body, call).message == message


@pytest.mark.parametrize("field", ["code", "message", "sub_code", "sub_msg", "type", "request_id"])
def test_no_field_of_an_error_shows_a_secret_of_the_call(field):
    """Nor does its pickle, in which all of the answer is."""
    body = {
        "code": "X",
        "message": "m",
        "type": "ISV",
        field: f"bad {REFRESH}",
        "detail": [REFRESH],
    }
    error = failure(json.dumps({"error_response": body}).encode())
    for shown in (str(error), repr(error), repr(error.args), repr(vars(error))):
        assert "CANARY" not in shown
    assert REFRESH in repr(error.body)
    revived = pickle.loads(pickle.dumps(error))
    assert b"CANARY" not in pickle.dumps(error)
    assert str(revived) == str(error)
    assert revived.body["error_response"]["detail"] == ["***"]


def test_an_error_in_a_pickle_keeps_what_is_no_secret():
    """A job queue's other side reads the details."""
    body = {"code": "501", "message": "m", "detail": [{"field": "price"}], "request_id": "r"}
    error = failure(json.dumps(body).encode())
    revived = pickle.loads(pickle.dumps(error))
    assert type(revived) is type(error)
    assert (revived.body, vars(revived)) == (body, vars(error))


def test_an_unreadable_answer_is_in_its_error_and_in_nothing_that_shows_it():
    """It holds the only copy of a token, so it must be had; but not by accident."""
    content = b'{"access_token":"' + ACCESS.encode()
    error = failure(content)
    assert error.content == content
    assert "CANARY" not in repr(vars(error)) + repr(error) + str(error)
    assert b"CANARY" not in pickle.dumps(error)
    assert pickle.loads(pickle.dumps(error)).content == b""


def test_the_string_to_sign_of_an_error_is_not_pickled():
    """It holds the call's parameters in clear."""
    headers = {"x-sandbox-string-to-sign": f"/x{ACCESS}"}
    with pytest.raises(iop.SignatureError) as caught:
        GATEWAY.decode(CALL, iop.HttpResponse(200, headers, b'{"code":"IncompleteSignature"}'))
    assert caught.value.string_to_sign == f"/x{ACCESS}"
    assert "CANARY" not in repr(vars(caught.value))
    assert b"CANARY" not in pickle.dumps(caught.value)


@pytest.mark.parametrize("text", [REFRESH, ACCESS, f"r{ACCESS[:-2]}", "\x1b[2J"])
def test_a_reply_that_is_shown_shows_no_secret_and_moves_no_cursor(text):
    """The words of a business that refused, and the request id, are in its ``repr``."""
    body = {"code": "0", "success": False, "error_code": text, "error_msg": f"bad {text}"}
    reply = decode(json.dumps(body | {"request_id": text, "data": {"n": text}}).encode())
    assert reply.failed
    for shown in (repr(reply), str(reply.failure), reply.request_id):
        assert "CANA" not in shown
        assert "\x1b" not in shown
    with pytest.raises(iop.BusinessFailure) as caught:
        reply.raise_for_failure()
    assert "CANA" not in str(caught.value) + repr(caught.value) + repr(vars(caught.value))
    plain = decode(b'{"code":"0","request_id":"0ba2887315178178017221014"}')
    assert plain.request_id == "0ba2887315178178017221014"


def test_a_batch_that_cannot_be_read_shows_no_secret_of_its_calls():
    """Each call has a seller's token of its own."""
    calls = [iop.Call("a.b.get", access_token=token) for token in ("S1-CANARY-1", "S2-CANARY-2")]
    answer = iop.HttpResponse(200, {}, b"bad S1-CANARY-1, S2-CANARY-2\r\n-S-\r\n{}\r\n-S-\r\n{}")
    with pytest.raises(iop.ProtocolError, match=r"bad \*\*\*, \*\*\*"):
        iop.gateways.TAOBAO.decode_batch(calls, answer)


def test_a_reply_is_pickled_without_the_tokens_in_it():
    """Replies are cached; those of token calls hold tokens, in a text within the JSON too."""
    inner = json.dumps({"access_token": ACCESS, "nick": "n"})
    data = {"access_token": ACCESS, "token_result": inner, "next_page_token": "p", "n": [1, None]}
    reply = decode(json.dumps({"code": "0", "data": data}).encode())
    revived = pickle.loads(pickle.dumps(reply))
    assert b"CANARY" not in pickle.dumps(reply)
    masked = json.dumps({"access_token": "***", "nick": "n"})
    assert revived.data == data | {"access_token": "***", "token_result": masked}
    assert revived.data is revived.body["data"]
    assert (revived.response.status, revived.response.content) == (200, b"")
    assert reply.data["access_token"] == ACCESS


def test_a_call_is_pickled_without_its_secrets():
    """Queued calls travel in clear text; whoever makes them has a token to put in."""
    params = {"refresh_token": REFRESH, "code": CODE, "a": {"session": ACCESS, "b": 1}}
    call = iop.Call("/auth/token/create", params, access_token=ACCESS, idempotent=True)
    assert b"CANARY" not in pickle.dumps(call)
    revived = pickle.loads(pickle.dumps(call))
    assert revived == iop.Call(
        "/auth/token/create", {"a": {"session": "***", "b": 1}}, idempotent=True
    )
    voucher = iop.Call("/voucher/get", {"code": "SUMMER2026"}, http_method="GET", simplify=True)
    assert pickle.loads(pickle.dumps(voucher)) == voucher


def test_copies_in_memory_are_whole():
    """Only a pickle is clear text that leaves the process."""
    reply = decode(json.dumps({"code": "0", "access_token": ACCESS}).encode())
    for duplicate in (copy, deepcopy):
        assert duplicate(CALL) == CALL
        assert duplicate(reply) == reply
    assert deepcopy(reply).data is not reply.data


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("a\r\nERROR b", r"a\r\nERROR b"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202egpj.exe\u2066", r"\u202egpj.exe\u2066"),
        ("a\u2028b\u2029", r"a\u2028b\u2029"),
        ("half \ud83d", r"half \ud83d"),
        ("\\u001b[2J", "\\u001b[2J"),
        ("参数\u3000错误\t\u00a0é \U0001f468\u200d\U0001f469", None),
    ],
)
def test_what_a_gateway_says_moves_no_cursor_and_breaks_no_line(said, shown):
    """It is printed to terminals and logs; languages are written as they are."""
    body = {"code": said, "message": said, "sub_code": said, "type": said, "request_id": said}
    error = failure(json.dumps({"error_response": body}).encode())
    expected = said if shown is None else shown
    for field in ("code", "message", "sub_code", "type", "request_id"):
        assert getattr(error, field) == expected
    assert expected in str(error)


@pytest.mark.parametrize("thing", [iop.HttpRequest("GET", "https://a.b"), iop.App("key", "secret")])
def test_what_is_useless_without_its_secrets_is_not_pickled(thing):
    """A request is its signature, an app its secret."""
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(thing)


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="*"), min_size=8, max_size=40),
    st.text(max_size=20),
    st.text(max_size=20),
)
def test_no_known_secret_survives(secret, before, after):
    """Whatever stands around it."""
    assert secret not in redact(f"{before}{secret}{after}", [secret])


@given(st.text(st.sampled_from("\\u0021x%&#;\"'/ :=token5code_")))
def test_masking_ends_with_text_and_masks_no_more_a_second_time(text):
    """Escapes that are none, and names that announce nothing, are text like any other."""
    masked = redact(text, ["a-known-secret"])
    assert redact(masked, ["a-known-secret"]) == masked


@pytest.mark.parametrize(
    "fill", ["a", "\\", '"', " ", "token", "token ", "%", "&", "5000", ":", "\0"]
)
def test_a_long_answer_is_masked_in_a_time_that_grows_with_its_length(fill):
    """A million characters: at a cost that grows with their square this test would not end."""
    text = fill * (1_000_000 // len(fill))
    secret = f"{fill * 20}!"[-40:]
    assert len(redact(text, [secret])) <= 2 * len(text)
