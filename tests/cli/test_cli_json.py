"""``--json``: each command's document, its warnings and its errors, by a schema."""

import json
from pathlib import Path

import pytest
from cli_helpers import SECRET, invoke
from jsonschema import Draft202012Validator

from iop_async.cli._commands import commands
from iop_async.cli._output import spoken
from iop_async.stores import EncryptedStore

SCHEMA = json.loads((Path(__file__).parent / "output_schema.json").read_text())
LINES = ("error line", "warning line", "event line", "login line")


def validate(name, value):
    schema = {**SCHEMA, "$ref": f"#/$defs/{name.replace(' ', '%20')}"}
    Draft202012Validator(schema).validate(value)


def checked(done, name, status=0):
    """A document by its schema, and standard error by that of its lines."""
    assert done.status == status, done.err
    for line in done.err.splitlines():
        kind = next(iter(json.loads(line)))
        validate("login line" if kind == "authorize_url" else f"{kind} line", json.loads(line))
    validate(name, done.document)
    return done.document


@pytest.fixture
def kept(shop):
    """A shop whose store has three sellers."""
    shop.approve("1001", "1002", "1003")
    return shop


CASES = {
    "tokens list": ["tokens", "list"],
    "tokens due": ["tokens", "due", "--within", "100000"],
    "tokens show": ["tokens", "show", "1001"],
    "tokens refresh": ["tokens", "refresh", "1001", "1002"],
    "tokens export": ["tokens", "export", "{folder}/out.csv"],
    "tokens import": ["tokens", "import", "{folder}/given.jsonl"],
    "tokens forget": ["tokens", "forget", "1001", "--yes"],
    "tokens audit": ["tokens", "audit"],
    "call": ["call", "/orders/get", "--seller", "1001", "-v"],
    "call --dry-run": ["call", "/orders/get", "--seller", "1001", "--dry-run"],
    "store init": ["store", "init"],
    "store check": ["store", "check"],
    "store ddl": ["store", "ddl", "mysql"],
    "completion": ["completion", "fish"],
}


@pytest.mark.parametrize("name", CASES)
def test_the_document_of_a_command_has_the_shape_that_is_promised(kept, name):
    """All fields, and no others; no secret unless it is asked for."""
    given = [word.format(folder=kept.folder) for word in CASES[name]]
    done = kept.invoke(*given, "--json")
    document = checked(done, name)
    if name == "tokens list":
        assert [grant["seller_id"] for grant in document["grants"]] == ["1001", "1002", "1003"]
    shown = done.out + done.err
    assert SECRET not in shown
    assert "50000601" not in shown
    assert "50001600" not in shown


def test_the_document_of_a_sealed_store(shop):
    """How many records were sealed anew."""
    keys = {"IOP_KEYS": f"2026={EncryptedStore.new_key()}"}
    url = f"{shop.env['IOP_STORE']}?encrypt=env:IOP_KEYS"
    shop.approve("1001")
    scope = shop.invoke("tokens", "list", "--json").document["scope"]
    given = ["store", "reencrypt", scope, "--accept-plain", "--json", "--url", url]
    assert checked(shop.invoke(*given, **keys), "store reencrypt")["sealed"] == {scope: 1}


def leaves(command, path=()):
    if not hasattr(command, "list_commands"):
        yield " ".join(path)
        return
    for name in command.list_commands(None):
        yield from leaves(command.get_command(None, name), (*path, name))


def test_every_command_is_in_the_schema_and_among_these_tests():
    """One that is new belongs into both; ``keep`` logs JSON by itself."""
    elsewhere = {"login", "sandbox", "demo", "store reencrypt"}
    assert set(leaves(commands)) == ({*CASES} - {"call --dry-run"}) | elsewhere | {"keep"}
    assert {*SCHEMA["$defs"]} - {*LINES} == {*CASES} | elsewhere


WRONG = {
    "nothing at all": ([], "UsageError", 2),
    "a group alone": (["tokens"], "UsageError", 2),
    "no such command": (["nothing"], "UsageError", 2),
    "no such option": (["call", "/a", "--nothing"], "UsageError", 2),
    "no argument": (["call"], "UsageError", 2),
    "no such api": (["call", "orders"], "Error", 1),
    "no such market": (["call", "/a", "--gateway", "nowhere"], "Error", 1),
    "no such profile": (["tokens", "list", "--profile", "nobody"], "UsageError", 2),
    "no such file": (["call", "/a", "-f", "f=no-such-file"], "Error", 1),
    "no such store": (["tokens", "list", "--store", "sqlite:////nowhere/x.db"], "UsageError", 2),
    "no such seller": (["call", "/a", "--seller", "77"], "UnknownSeller", 1),
    "nobody at home": (["call", "/a", "--gateway", "http://127.0.0.1:9"], "TransportError", 1),
    "a bad token": (["call", "/orders/get", "--access-token", "5000x"], "AuthError", 1),
    "a bad secret": (["call", "/orders/get", "--app-secret", "x"], "SignatureError", 1),
    "a bad code": (["call", "/auth/token/create", "-p", "code=x"], "AuthError", 1),
    "remote": (["sandbox", "--host", "0.0.0.0"], "Error", 1),
    "nobody to ask": (["tokens", "forget", "1001"], "UsageError", 2),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_error_has_the_shape_that_is_promised(kept, name):
    """On standard error, whatever it is; standard output has nothing."""
    given, kind, status = WRONG[name]
    done = kept.invoke(*given, "--json")
    assert (done.status, done.out) == (status, "")
    lines = [json.loads(line) for line in done.err.splitlines()]
    validate("error line", lines[-1])
    error = lines[-1]["error"]
    assert (error["kind"], error["exit_status"]) == (kind, status)
    if kind == "AuthError":
        assert error["request_id"]
        assert error["advice"]
    if kind == "UnknownSeller":
        assert error["seller_id"] == "77"
    if kind == "SignatureError":
        assert "the app secret differs" in error["details"]


def test_a_failed_business_is_an_error_beside_its_answer(kept):
    """The answer is whole; the status says that it failed."""
    done = kept.invoke("call", "/product/get", "-p", "item_id=404", "--seller", "1001", "--json")
    assert done.status == 1
    assert done.document["code"] == "0"
    validate("error line", {"error": done.error})


def test_a_retry_is_told_as_it_happens(kept):
    """With -v, one object for each request and answer."""
    kept.sandbox.fail("status", status=503, api="/orders/get", times=1)
    done = kept.invoke("call", "/orders/get", "--seller", "1001", "-v", "--json")
    assert done.status == 0, done.err
    events = [json.loads(line) for line in done.err.splitlines()]
    for event in events:
        validate("event line", event)
    kinds = [event["event"] for event in events]
    assert kinds == ["request", "response", "retry", "request", "response"]
    assert [each["status"] for each in events if each["event"] == "response"] == [503, 200]


@pytest.mark.parametrize(
    ("to_a_programmer", "to_a_person"),
    [
        ("use https, or say allow_http=True", "use https, or say --allow-http"),
        ("say TokenManager(..., journal='tokens.spill')", "say --journal tokens.spill"),
        ("a journal: say journal='tokens.spill'", "a journal: say --journal tokens.spill"),
        ("is not used: say HttpxTransport(proxy=...)", "is not used: say --proxy URL"),
        ("and accept_plain=True was not given", "and --accept-plain was not given"),
        ("a URL takes encrypt=env:NAME once", "a URL takes encrypt=env:NAME once"),
        ("(request_id 0ba2) x=1", "(request_id 0ba2) x=1"),
    ],
)
def test_messages_speak_to_a_person_at_a_shell(to_a_programmer, to_a_person):
    """Of options, and not of the arguments of a class."""
    assert spoken(to_a_programmer) == to_a_person


def test_a_proxy_of_the_environment_is_told_of_by_the_option(shop):
    """By a real failure of the transport."""
    done = shop.invoke("call", "/a", "--gateway", "https://127.0.0.1:9", HTTPS_PROXY="http://p:1")
    assert "https_proxy of the environment is not used: say --proxy URL" in done.err


def test_help_and_version_are_for_people():
    """And are no failure."""
    assert invoke("--version").status == 0
    assert "--reveal" in invoke("call", "--help").out
    bare = invoke("tokens")
    assert bare.status == 2
    assert bare.err.startswith("Usage: iop-async tokens")
    assert "Error" not in bare.err
