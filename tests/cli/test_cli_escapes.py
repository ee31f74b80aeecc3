"""What strangers say does not move a cursor, begin a line, or turn the direction of writing."""

import json
import logging
import unicodedata
from datetime import UTC, datetime

import anyio
import pytest
from loopback import Server, answer

import iop_async as iop
from iop_async._logs import own_logger
from iop_async._models import Failure
from iop_async.stores import MemoryStore

EVIL = "\x1b[2J\x1b]0;title\x07\r\nError: all is well\x9b31m\u202egnp.exe\u2066\u2028end"
UNFIT = {"Cc", "Cf", "Zl", "Zp", "Cs"}


def is_fit(text):
    """Nothing in it but what stays where it is printed; lines and tabs are of the command line."""
    return all(unicodedata.category(each) not in UNFIT or each in "\n\t" for each in text)


ERRORS = {
    "api": iop.ApiError(EVIL, EVIL, sub_code=EVIL, request_id=EVIL, type=EVIL),
    "throttled": iop.Throttled(EVIL, EVIL),
    "business": iop.BusinessFailure(Failure("1", "no"), iop.Reply({}, request_id=EVIL)),
    "transport": iop.TransportError(EVIL),
    "protocol": iop.ProtocolError(EVIL, status=200),
    "store": iop.StoreError(EVIL),
    "token": iop.TokenError(EVIL),
    "reauthorization": iop.ReauthorizationRequired(EVIL, EVIL),
    "unknown": iop.UnknownSeller(EVIL, EVIL),
    "ambiguous": iop.RefreshAmbiguous(EVIL, EVIL),
}


@pytest.mark.parametrize("name", ERRORS)
def test_no_error_says_what_a_terminal_obeys(name):
    """Nor does its ``repr``; it is one line."""
    for text in (str(ERRORS[name]), repr(ERRORS[name])):
        assert is_fit(text)
        assert "\n" not in text


@pytest.mark.parametrize("name", ["tokens", "stores", "web", "keep"])
def test_no_line_of_the_log_is_two(name, caplog):
    """Ids and errors in it are escaped, whoever logs."""
    log = own_logger(f"iop_async.{name}")
    with caplog.at_level(logging.DEBUG, logger="iop_async"):
        log.warning("seller %s: %s, %s times", EVIL, ValueError(EVIL), 3)
    (record,) = caplog.records
    assert is_fit(record.getMessage())
    assert "\n" not in record.getMessage()
    assert "3 times" in record.getMessage()


def test_a_hook_that_fails_is_logged_on_one_line(caplog):
    """The value that it was given holds what the gateway said."""

    def fail(_):
        raise ZeroDivisionError

    body = json.dumps({"code": EVIL, "message": EVIL, "request_id": EVIL}).encode()

    async def main(server):
        async with iop.Client(iop.App("1", "s"), iop.gateways.Iop(server.base),
                              on_response=fail, retry=None) as client:  # fmt: skip
            with pytest.raises(iop.ApiError) as caught:
                await client.call("/a")
            assert is_fit(str(caught.value))

    with Server(lambda *_: answer(body)) as server:
        anyio.run(main, server)
    assert caplog.records
    assert all(is_fit(record.getMessage()) for record in caplog.records)


COMMANDS = [
    ["call", "/a"],
    ["call", "/a", "-v"],
    ["call", "/a", "--json", "-v"],
]


@pytest.mark.parametrize("failed", [True, False])
@pytest.mark.parametrize("given", COMMANDS, ids=" ".join)
def test_a_gateway_writes_nothing_on_the_terminal_but_text(shop, given, failed):
    """An error, and an answer with all of it in its values and names."""
    body = {"code": EVIL if failed else "0", "message": EVIL, "request_id": EVIL,
            "data": {EVIL: [EVIL, "\ud800"]}}  # fmt: skip
    with Server(lambda *_: answer(json.dumps(body).encode())) as server:
        done = shop.invoke(*given, "--gateway", server.base)
    assert done.status == int(failed)
    assert is_fit(done.out + done.err)
    if not failed:
        assert done.document["data"] == {EVIL: [EVIL, "\ud800"]}


def test_an_answer_that_is_no_json_writes_nothing_either(shop):
    """Its beginning is told, and so is a header of its own."""
    with Server(lambda *_: answer(f"<html>{EVIL}".encode(), headers={"x": "y"})) as server:
        done = shop.invoke("call", "/a", "--gateway", server.base)
    assert done.status == 1
    assert is_fit(done.err)


def test_what_a_user_gives_is_told_back_without_a_control_character(shop):
    """A seller id from a list, an API, a path, a profile."""
    for given in (
        ["tokens", "show", "1\u202e2"],
        ["tokens", "forget", "--yes", "1\x1b[2J"],
        ["call", "/a\x1b[2J"],
        ["call", "/a", "--params", "no\x1b[2Jfile"],
        ["call", "/a", "--profile", "\x1b[2J"],
        ["call", "/a", "--gateway", "\x1b[2J"],
        ["call", "/a", "--gateway", "http://\x1b[2J/"],
        ["call", "/a", "--seller", "\u202e7"],
        ["\x1b[2J"],
        ["call", "/a", "--\x1b[2J"],
    ):
        shop.invoke("store", "init")
        for options in ([], ["--json"]):
            done = shop.invoke(*given, *options)
            assert done.status != 0
            assert is_fit(done.out + done.err), given


def test_a_seller_of_a_store_writes_nothing_on_the_terminal_but_text(shop):
    """An id, a reason, an account: rows that anybody may have written."""
    row = {
        "seller_id": "77\u202e\u2066",
        "account": EVIL,
        "access_token": "5000abcdef",
        "refresh_token": "5000ghijkl",
        "issued_at": shop.sandbox.clock.now().isoformat(),
        "expires_in": 86400,
        "refresh_expires_in": 864000,
        "note": EVIL,
    }
    path = shop.folder / "given.jsonl"
    path.write_text(json.dumps(row))
    path.chmod(0o600)
    assert shop.invoke("tokens", "import", path, "--json").document["imported"] == 1
    for command in (["list"], ["audit"], ["due", "--within", "99999"], ["show", row["seller_id"]]):
        for options in ([], ["--json"]):
            done = shop.invoke("tokens", *command, *options)
            assert is_fit(done.out + done.err), command
    shown = shop.invoke("tokens", "show", row["seller_id"], "--json").document
    assert shown["token"]["extra"]["note"] == EVIL


def test_an_event_of_a_manager_says_nothing_that_a_terminal_obeys():
    """Its reason is of the gateway's words."""
    body = json.dumps({"code": "IllegalRefreshToken", "message": EVIL, "type": "ISP"}).encode()

    async def main(server):
        token = iop.Token(access_token="a", refresh_token="r",
                          issued_at=datetime.now(UTC),
                          sellers=(iop.Seller(seller_id="1"),))  # fmt: skip
        client = iop.Client(iop.App("1", "s"), iop.gateways.Iop(server.base), retry=None)
        async with client, iop.TokenManager(client, MemoryStore(), keeper=False) as tokens:
            await tokens.import_token(token)
            events = tokens.events()
            with pytest.raises(iop.IopError) as caught:
                await tokens.refresh("1")
            return str(caught.value), (await anext(events)).reason

    with Server(lambda *_: answer(body)) as server:
        texts = anyio.run(main, server)
    assert all(is_fit(text) and "\n" not in text for text in texts), texts
