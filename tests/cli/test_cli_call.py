"""``iop-async call``, for the sellers of a store; a call that is looked at and not sent."""

import json
import shlex
import subprocess

import pytest
from loopback import Server, answer

BAD = {
    "[1, 2]": "it is no JSON object, but an array",
    "7": "it is no JSON object, but a value",
    '{"a": }': "it is no JSON: Expecting value (line 1, column 7)",
    "": "it is no JSON: Expecting value (line 1, column 1)",
    "[" * 100_000: "it is no JSON",
    '{"n": ' + "9" * 5000 + "}": "it is no JSON",
}


@pytest.fixture
def kept(shop):
    shop.approve("1001", "1002")
    return shop


def test_a_seller_of_the_store_is_called_for(kept):
    """With the token that is there; one that is over is refreshed first, and kept."""
    done = kept.invoke("call", "/orders/get", "--seller", "1001", "-p", "limit=2")
    assert len(done.document["data"]["orders"]) == 2
    before = kept.invoke("tokens", "show", "1001", "--json").document["generation"]
    kept.sandbox.fail("error", code="IllegalAccessToken", api="/orders/get", times=1)
    done = kept.invoke("call", "/orders/get", "--seller", "1001")
    assert done.status == 0, done.err
    assert kept.invoke("tokens", "show", "1001", "--json").document["generation"] == before + 1


def test_parameters_are_a_json_object_in_a_file(kept):
    """Numbers keep their digits, lists their form; a pair of the command line counts more."""
    path = kept.folder / "params.json"
    path.write_text('{"price": 1.50, "id": 12345678901234567890, "tags": ["a"], "none": null}')
    done = kept.invoke("call", "/sandbox/echo", "--params", path, "-p", "id=7")
    assert done.document["data"]["params"] == {"price": "1.50", "id": "7", "tags": '["a"]'}


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_what_is_no_object_is_refused_before_anything_is_sent(kept, text):
    """By its place: what stands there may be a secret."""
    path = kept.folder / "params.json"
    path.write_text(text)
    done = kept.invoke("call", "/sandbox/echo", "--params", path)
    assert done.status == 2
    assert BAD[text] in done.err


def test_a_dry_run_sends_nothing_and_shows_what_was_signed(kept):
    """The gateway signs the same text."""
    with Server(lambda *_: answer(b"{}")) as server:
        given = ["call", "/orders/get", "--seller", "1001", "-p", "title=a b&c", "--dry-run"]
        # The same host is the same scope only where the port is, so the token is given.
        done = kept.invoke(*given[:2], "--access-token", "5000abcdef", *given[4:],
                           "--gateway", server.base)  # fmt: skip
    assert not server.requests
    assert done.document["params"]["title"] == "a b&c"
    assert done.document["params"]["access_token"] == "***"
    assert "titlea b&c" in done.document["string_to_sign"]
    assert "5000abcdef" not in done.out
    stored = kept.invoke(*given)
    assert (stored.status, stored.document["params"]["access_token"]) == (0, "***")
    revealed = kept.invoke(*given, "--reveal").document
    shown = kept.invoke("tokens", "show", "1001", "--json", "--reveal").document["token"]
    assert revealed["params"]["access_token"] == shown["access_token"]
    assert shown["access_token"] in revealed["curl"]


@pytest.mark.parametrize("method", [[], ["--get"]], ids=["post", "get"])
def test_a_curl_command_does_what_the_call_would(kept, method):
    """Run by a shell: quotes, blanks and signs arrive as they are."""
    text = 'it\'s "a" b&c$HOME `x` %20 茶'
    given = ["call", "/sandbox/echo", "--seller", "1001", "-p", f"title={text}", *method]
    masked = kept.invoke(*given, "--curl").out
    assert "access_token=***" in masked
    command = kept.invoke(*given, "--curl", "--reveal").out
    assert shlex.split(command)[0] == "curl"
    done = subprocess.run(
        ["sh", "-c", f"{command.strip()} --silent"], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["data"]["params"]["title"] == text


def test_a_curl_command_uploads_the_file(kept):
    """With a boundary of curl's own, which is not signed."""
    path = kept.folder / "front.png"
    path.write_bytes(b"12345")
    given = ["call", "/image/upload", "--seller", "1001", "-f", f"image={path}"]
    command = kept.invoke(*given, "--curl", "--reveal").out
    done = subprocess.run(
        ["sh", "-c", f"{command.strip()} --silent"], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["data"]["files"][0]["size"] == 5


def test_a_curl_command_uploads_what_a_path_is_filled_with_too(kept):
    """TOP's parameters of the system stay in the query; those of a path are sent and not signed."""
    path = kept.folder / "front.png"
    path.write_bytes(b"12345")
    given = ["call", "/2.0/images/{imageId}", "-p", "imageId=42", "-f", f"image={path}", "--curl"]
    command = shlex.split(kept.invoke(*given, "--reveal").out)
    assert "imageId=42" in command
    assert command[-1].endswith("/2.0/images/42")
    top = ["call", "taobao.picture.upload", "-p", "title=a", "-f", f"img={path}", "--curl"]
    command = shlex.split(kept.invoke(*top, "--reveal", "--gateway", f"{kept.url}/router/rest").out)
    assert [word for word in command if "=" in word and "://" not in word] == [
        "title=a",
        f"img=@{path};type=application/octet-stream;filename=front.png",
    ]
    assert "method=taobao.picture.upload" in command[-1]


def test_a_secret_within_a_parameter_is_masked_too(kept):
    """In JSON of one's own, in what is signed, and as a form writes it."""
    payload = '{"access_token": "5000abc0def0ghi0jkl0mno"}'
    given = ["call", "/a", "-p", f"payload={payload}", "--dry-run"]
    assert "abc0def" not in kept.invoke(*given).out
    assert "abc0def" in kept.invoke(*given, "--reveal").out


def test_headers_of_ones_own_are_masked_in_what_is_shown(kept):
    """Nobody can tell what they are for."""
    given = ["call", "/a", "--header", "x-key=hunter2hunter2", "--dry-run"]
    assert "hunter2" not in kept.invoke(*given).out
    assert "x-key: hunter2hunter2" in kept.invoke(*given, "--reveal").document["curl"]


def test_a_call_takes_no_longer_than_it_may(kept):
    """Waits and repeated tries together."""
    kept.sandbox.fail("latency", seconds=30, api="/orders/get", times=None)
    done = kept.invoke("call", "/orders/get", "--seller", "1001", "--timeout", "0.3", "--json")
    assert done.status == 1
    assert done.error["kind"] == "TransportTimeout"


def test_verbose_tells_of_requests_without_a_secret(kept):
    """On standard error; standard output stays the answer alone."""
    done = kept.invoke("call", "/orders/get", "--seller", "1001", "-v")
    assert done.document["code"] == "0"
    sent, received = done.err.splitlines()
    assert sent.startswith(f"> POST {kept.url}/rest/orders/get")
    assert received.startswith("< HTTP 200 after ")
    assert "request id" in received
    assert "5000060" not in done.err


def test_an_answer_shows_its_tokens_only_where_that_is_asked_for(kept):
    """And says that it does not."""
    code = kept.sandbox.authorize("1001")
    done = kept.invoke("call", "/auth/token/create", "-p", f"code={code}")
    assert done.document["access_token"] == "***"
    assert done.document["refresh_token"] == "***"
    assert "--reveal" in done.err
    code = kept.sandbox.authorize("1001")
    done = kept.invoke("call", "/auth/token/create", "-p", f"code={code}", "--reveal")
    assert done.document["access_token"].startswith("5000")
    assert done.err == ""
