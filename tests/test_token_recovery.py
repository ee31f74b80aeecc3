"""A pair that no strict reading takes is taken all the same, where it is unambiguous."""

import gzip
import json
import re
import zlib
from datetime import UTC, datetime

import pytest

import iop_async as iop

SENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
APP = iop.App("key", "secret")
FIELDS = {
    "code": "0",
    "access_token": "50000a2",
    "refresh_token": "50001r2",
    "expires_in": 9000,
    "refresh_expires_in": 99000,
    "account": "SHOP",
    "seller_id": "1",
}
GOOD = json.dumps(FIELDS).encode()
PACKED = gzip.compress(GOOD)
DEEP = 100_000
XML = (
    b'<?xml version="1.0" encoding="utf-8"?>\n<response><code>0</code>'
    b"<access_token>50000a2</access_token><refresh_token><![CDATA[50001r2]]></refresh_token>"
    b"<expires_in>9000</expires_in><seller_id>1</seller_id></response>"
)


class Answers:
    """A transport that answers always the same."""

    def __init__(self, content, status=200, error=None):
        self.content, self.status, self.error = content, status, error

    async def send(self, request):
        if self.error is not None:
            raise self.error
        return iop.HttpResponse(self.status, {}, self.content)

    async def aclose(self): ...


async def refreshed(content, status=200, *, gateway=iop.gateways.TAOBAO_GLOBAL, error=None):
    transport = Answers(content, status, error)
    client = iop.Client(APP, gateway, transport=transport, now=lambda: SENT)
    return await gateway.token_endpoints.refresh_token(client, refresh_token="50001r1")


def escaped(text):
    return text.replace(b'"', b"&quot;")


DRESSES = {
    "raw line end": GOOD.replace(b"SHOP", b"a\nb"),
    "GBK": GOOD.replace(b"SHOP", "商家誠".encode("gbk")),
    "one bad byte": GOOD.replace(b"SHOP", b"S\xffP"),
    "byte before": b"\xff" + GOOD,
    "words before": b"warning: {x} is deprecated\n" + GOOD,
    "words after": GOOD + b"\n<!-- served by node 7 -->",
    "JSON in a text": json.dumps(GOOD.decode()).encode(),
    "JSON in a text in a text": json.dumps(json.dumps(GOOD.decode())).encode(),
    "JSONP": b"/**/callback(" + GOOD + b");",
    "wrapped": json.dumps({"result": {"token": FIELDS}, "success": True}).encode(),
    "digits": GOOD.replace(b'"SHOP"', b"9" * 5_000),
    "lists": GOOD.replace(b'"SHOP"', b"[" * DEEP + b"]" * DEEP),
    "objects": GOOD.replace(b'"SHOP"', b'{"a":' * DEEP + b"1" + b"}" * DEEP),
    "gzip": PACKED,
    "gzip in two members": gzip.compress(GOOD[:50]) + gzip.compress(GOOD[50:]),
    "gzip with a bad checksum": PACKED[:-8] + bytes(8),
    "zlib with a bad checksum": zlib.compress(GOOD)[:-4] + bytes(4),
    "byte order mark": b"\xef\xbb\xbf" + GOOD,
    "UTF-16": GOOD.decode().encode("utf-16"),
    "UTF-16 unmarked": GOOD.decode().encode("utf-16-be"),
    "XML": XML,
    "XML with attributes": re.sub(rb"<(access|refresh)_token>", rb'<\1_token type="s">', XML),
    "UTF-8 with one bad byte": GOOD.replace(b"SHOP", "商家誠".encode() + b"\xff"),
    "a chunk's length before it": b"%x\r\n" % len(GOOD) + GOOD + b"\r\n0\r\n\r\n",
    "a comma too many": GOOD.replace(b'"1"}', b'"1",}'),
    "no number": GOOD.replace(b"99000", b"NaN"),
    "a Python repr": repr(FIELDS).encode(),
    "an HTML page": b"<html><body><pre>" + escaped(GOOD) + b"</pre></body></html>",
    "a quote in a name": GOOD.replace(b"SHOP", b'19" SHOP'),
    "a quote in a name in a text": json.dumps(GOOD.decode()).encode().replace(b"SHOP", b'19" x'),
    "a Latin code page": GOOD.replace(b"SHOP", "Café".encode("latin-1")),
}


@pytest.mark.parametrize("status", [200, 429, 500, 503])
@pytest.mark.parametrize("content", DRESSES.values(), ids=DRESSES)
async def test_a_pair_in_any_dress_is_the_successor(content, status):
    """The refresh token is spent: these bytes hold the only copy of what it bought."""
    token = await refreshed(content, status)
    assert (token.access_token, token.refresh_token) == ("50000a2", "50001r2")
    assert token.issued_at == SENT
    assert (token.expires_at - SENT).total_seconds() == 9000
    assert token.seller_id == "1"


@pytest.mark.parametrize("content", DRESSES.values(), ids=DRESSES)
async def test_top_is_read_as_leniently(content):
    """There it is a text within the answer; here the answer itself has it."""
    token = await refreshed(content, gateway=iop.gateways.TAOBAO)
    assert token.refresh_token == "50001r2"


@pytest.mark.parametrize("status", [200, 429, 500, 502, 503, 504])
async def test_the_status_says_nothing_about_a_pair(status):
    """A proxy's status may stand around the gateway's answer."""
    assert (await refreshed(GOOD, status)).refresh_token == "50001r2"


@pytest.mark.parametrize("kind", [iop.TransportError, iop.ProtocolError])
async def test_what_a_transport_kept_of_a_broken_answer_is_looked_at(kind):
    """The connection broke after the last byte that matters."""
    error = kind("the answer broke off", content=GOOD)
    assert (await refreshed(b"", error=error)).refresh_token == "50001r2"


async def test_a_code_is_traded_as_leniently():
    """It is spent too."""
    client = iop.Client(APP, iop.gateways.ALIEXPRESS, transport=Answers(b"\xff" + GOOD))
    token = await iop.auth.create_token(client, code="3_1_x")
    assert token.refresh_token == "50001r2"


@pytest.mark.parametrize(
    ("dress", "name"), [("GBK", "商家誠"), ("UTF-8 with one bad byte", "商家誠\ufffd")]
)
async def test_a_name_survives_where_it_can_be_told_what_it_is_written_in(dress, name):
    """More good characters than bad ones are UTF-8, which one byte has spoiled."""
    assert (await refreshed(DRESSES[dress])).account == name


async def test_the_sellers_of_a_broken_answer_are_read():
    """Six ventures of one token, say, beside a field that keeps the rest from being read."""
    ventures = [{"country": c, "seller_id": f"{n}", "user_id": f"u{n}"} for n, c in enumerate("ab")]
    answer = json.dumps({**FIELDS, "country_user_info": ventures, "seller_id": "9"}).encode()
    token = await refreshed(answer.replace(b"SHOP", b'19" SHOP'))
    assert [(s.country, s.seller_id, s.user_id) for s in token.sellers] == [
        ("a", "0", "u0"),
        ("b", "1", "u1"),
    ]


def without(*names, **more):
    return json.dumps({k: v for k, v in FIELDS.items() if k not in names} | more).encode()


REFUSED = {
    "cut after the pair": GOOD[:-9],
    "cut within the refresh token": GOOD[: GOOD.index(b"50001r2") + 4],
    "cut before the refresh token": GOOD[: GOOD.index(b'"refresh_token"')],
    "cut after an object": GOOD[:-1].replace(b'"SHOP"', b'{"a":1}'),
    "an error that repeats what was sent": without(
        code="IllegalRefreshToken", access_token="50000a1", refresh_token="50001r1"
    ),
    "an error with an access token alone": without("refresh_token", code="SystemError"),
    "an error in a wrapper": json.dumps(
        {"error_response": {"code": 15, "sub_msg": "x"}, "request": {"access_token": "a1"}}
    ).encode(),
    "two tokens": GOOD + GOOD.replace(b"a2", b"a3"),
    "a list of two": b"[" + GOOD + b"," + GOOD.replace(b"r2", b"r3") + b"]",
    "masked": GOOD.replace(b"50000a2", b"5000***a2").replace(b"SHOP", b"a\nb"),
    "a number for a text": GOOD.replace(b'"50001r2"', b"[1]").replace(b"SHOP", b"a\nb"),
    "no token": without("access_token", "code"),
    "a portal": b"<html><title>Log in</title></html>",
}


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("content", REFUSED.values(), ids=REFUSED)
async def test_what_is_no_whole_pair_or_a_matter_of_opinion_is_not_taken(content, status):
    """The error stays, with the answer as it came: nothing is made up."""
    with pytest.raises(iop.IopError) as caught:
        await refreshed(content, status)
    assert caught.value.content == content
    assert caught.value.sent_at == SENT


async def test_a_new_pair_beside_the_old_one_is_the_new_one():
    """An answer may repeat the request."""
    echo = {"request": {"refresh_token": "50001r1"}, "response": FIELDS, "error": "late"}
    assert (await refreshed(json.dumps(echo).encode())).refresh_token == "50001r2"
    broken = GOOD.replace(b"SHOP", b'19" x","was":{"refresh_token":"50001r1"},"y":"')
    assert (await refreshed(broken)).refresh_token == "50001r2"


async def test_the_same_refresh_token_again_is_fine_in_a_success():
    """Some refreshes give a new access token alone."""
    same = GOOD.replace(b"r2", b"r1").replace(b"SHOP", b"a\nb")
    assert (await refreshed(same)).refresh_token == "50001r1"
    alone = without("refresh_token", account="a\nb").replace(b"\\n", b"\n")
    assert (await refreshed(alone)).refresh_token is None


@pytest.mark.parametrize("content", DRESSES.values(), ids=DRESSES)
def test_what_was_kept_of_an_answer_can_be_tried_again_later(content):
    """By the bytes, or by the text that was made of their beginning."""
    assert iop.auth.recover_token(content, sent_at=SENT).refresh_token == "50001r2"
    text = content.decode("utf-8", "backslashreplace")
    if len(text) < 16_384:
        assert iop.auth.recover_token(text, sent_at=SENT).refresh_token == "50001r2"
    assert iop.auth.recover_token(content, sent_at=None) is None


def test_nothing_that_is_kept_breaks_who_keeps_it():
    """Depth and digits that JSON writers choke on are left out of the token."""
    deep = iop.auth.recover_token(DRESSES["lists"], sent_at=SENT)
    half = iop.auth.recover_token(
        GOOD.replace(b'"SHOP"', b"[" * 500 + b"]" * 500 + b',"n":' + b"9" * 5_000), sent_at=SENT
    )
    for token in (deep, half):
        assert re.fullmatch(r"\{.*\}", json.dumps(dict(token.extra)))
