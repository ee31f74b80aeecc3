"""The command, run as users run it: as a process."""

import base64
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import httpx
import pytest
from loopback import ProxyServer, Server, answer

from iop_async.cli._diagnosis import explain

COMMAND = [sys.executable, "-m", "iop_async.cli"]
LOGIN = "user:canary-password"
AUTHORIZATION = f"Basic {base64.b64encode(LOGIN.encode()).decode()}"
KEYS = {"IOP_APP_KEY": "123456", "IOP_APP_SECRET": "helloworld"}


def run(*arguments, env=KEYS):
    return subprocess.run(
        [*COMMAND, *arguments],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@contextmanager
def serving(*arguments):
    command = [*COMMAND, "sandbox", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield json.loads(process.stdout.readline()), process
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def urls():
    with serving("--app", "123456:helloworld", "--profile", "lazada", "--sellers", "2") as served:
        yield served[0]


@pytest.fixture(scope="module")
def token(urls):
    redirect = "client_id=123456&response_type=code&redirect_uri=https://a.b/c&auto_approve=1001"
    location = httpx.get(f"{urls['authorize']}?{redirect}").headers["location"]
    code = httpx.URL(location).params["code"]
    asked = ["call", "/auth/token/create", "-p", f"code={code}", "--reveal"]
    answered = run(*asked, "--gateway", urls["gateway"])
    return json.loads(answered.stdout)["access_token"]


def test_sandbox_prints_one_line_of_json_once_it_listens_and_stops_when_told(urls):
    """Scripts read it; no traceback at the end."""
    assert httpx.get(urls["panel"]).status_code == 200
    assert urls["sellers"] == ["1001", "1002"]
    with serving() as (_, process):
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
    assert (out, err, process.returncode) == (b"", b"", 0)


def test_sandbox_hands_out_tokens_that_live_as_long_as_told():
    """Minutes, for those who want to see refreshes."""
    with serving("--access-seconds", "600") as (served, _):
        answer = httpx.post(f"{served['panel']}grants", json={"seller_id": "1001"}).json()
    assert int(answer["expires_in"]) == 600
    assert "0.0 is not" in run("sandbox", "--access-seconds", "0").stderr


def test_sandbox_listens_on_loopback_only(urls):
    """Unless told."""
    refused = run("sandbox", "--host", "0.0.0.0")
    assert refused.returncode == 1
    assert "allow" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "KEY:SECRET" in run("sandbox", "--app", "nosecret").stderr


def test_call_prints_the_answer_as_json(urls, token, tmp_path):
    """Parameters, a GET, a file, a token from the environment."""
    gateway = ["--gateway", urls["gateway"]]
    answer = run("call", "/sandbox/echo", "-p", "order_id=42", "-p", "x=a=b", "--get", *gateway)
    assert json.loads(answer.stdout)["data"]["params"] == {"order_id": "42", "x": "a=b"}
    picture = tmp_path / "p.png"
    picture.write_bytes(b"123")
    answer = run(
        "call",
        "/image/upload",
        "-f",
        f"image={picture}",
        *gateway,
        env={**KEYS, "IOP_ACCESS_TOKEN": token},
    )
    assert json.loads(answer.stdout)["data"]["files"][0]["size"] == 3
    assert answer.returncode == 0


def test_call_sends_the_headers_that_it_is_given(urls):
    """Besides those of HTTP, as they are; one that is not its to set is refused."""
    with Server(lambda received, writer: answer(b'{"code":"0","data":{}}')) as server:
        gateway = ["--gateway", server.base]
        headers = ["--header", "X-Protocol=GOP", "--header", "x-trace=a=b"]
        answered = run("call", "/order/get", *headers, *gateway)
        refused = run("call", "/order/get", "--header", "Host=elsewhere", *gateway)
    assert answered.returncode == 0, answered.stderr
    (request,) = server.requests
    assert (request.headers["x-protocol"], request.headers["x-trace"]) == ("GOP", "a=b")
    assert refused.returncode == 1
    assert "the header Host is set by the gateway or the transport" in refused.stderr


def test_call_goes_through_a_proxy_and_shows_no_password_of_it(urls):
    """A tunnel to where the gateway is; a URL that is none is not repeated."""
    where = urls["gateway"].partition("://")[2]
    arguments = ["call", "/sandbox/echo", "--gateway", urls["gateway"], "--proxy"]
    with Server(ProxyServer(AUTHORIZATION)) as proxy:
        host = proxy.base.removeprefix("http://")
        answered = run(*arguments, f"http://{LOGIN}@{host}")
        refused = run(*arguments, f"http://user:canary@{host}")
    assert answered.returncode == 0, answered.stderr
    assert set(proxy.respond.targets) == {where}
    assert "no way through the proxy (HTTP 407)" in refused.stderr
    bad = run(*arguments, f"socks://user:canary@{host}")
    assert "proxy is no URL like" in bad.stderr
    assert all("canary" not in each.stderr + each.stdout for each in (refused, bad))


def test_call_speaks_top_where_the_address_is_top_s(urls):
    """A dotted name, system parameters in the query."""
    answer = run("call", "taobao.time.get", "--gateway", urls["top"])
    assert "time" in json.loads(answer.stdout)["time_get_response"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["/orders/get"], "IllegalAccessToken"),
        (["orders"], "'orders' is no API"),
        (["/orders/get", "--gateway", "nowhere"], "no market 'nowhere'"),
        (["/a", "--gateway", "http://shop.example"], "in the clear"),
        (["/a", "-f", "x=no-such-file"], "no-such-file"),
        (["/a", "-p", "novalue"], "NAME=VALUE"),
    ],
)
def test_call_says_what_went_wrong_and_fails(urls, arguments, words):
    """One line, no traceback, exit status not 0."""
    answer = run("call", "--gateway", urls["gateway"], *arguments)
    assert answer.returncode != 0
    assert words in answer.stderr
    assert "Traceback" not in answer.stderr


def test_call_reports_a_failed_business(urls, token):
    """The answer on standard output, the failure on standard error."""
    answer = run(
        "call",
        "/product/get",
        "-p",
        "item_id=404",
        "--access-token",
        token,
        "--gateway",
        urls["gateway"],
    )
    assert answer.returncode == 1
    assert json.loads(answer.stdout)["code"] == "0"
    assert "the business refused" in answer.stderr


def test_call_explains_a_wrong_signature_without_showing_the_token(urls):
    """The secret differs, then: both signed the same text."""
    env = {**KEYS, "IOP_APP_SECRET": "wrong", "IOP_ACCESS_TOKEN": "canary-token"}
    answer = run("call", "/orders/get", "--gateway", urls["gateway"], env=env)
    assert answer.returncode == 1
    assert "so the app secret differs" in answer.stderr
    assert "canary" not in answer.stderr + answer.stdout


def test_the_explanation_points_at_the_first_difference():
    """Under it, whatever was masked before it."""
    ours, theirs = "/aaccess_tokenSECRETtitlea%20b", "/aaccess_tokenSECRETtitlea b"
    lines = explain(ours, theirs, {"SECRET"}).splitlines()
    column = lines[2].index("^")
    assert (lines[0][column], lines[1][column]) == ("%", " ")
    assert "SECRET" not in "".join(lines)
    assert "character 27 of 30 and 28" in lines[2]
    assert "does not say" in explain(ours, None, set())


def test_the_command_line_needs_no_other_extra():
    """It is installed alone as a rule; a store that needs one says so when it is asked for."""
    program = """
import sys
for name in ("cryptography", "redis", "sqlalchemy", "msgspec", "opentelemetry"):
    sys.modules[name] = None
from iop_async.cli._commands import commands
for name in commands.list_commands(None):
    commands.get_command(None, name)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("missing", "arguments"), [("click", []), ("rich", []), ("starlette", ["sandbox"])]
)
def test_a_part_that_is_missing_is_named_with_what_installs_it(missing, arguments):
    """One line, whenever it is found."""
    program = f"""
import sys
sys.modules[{missing!r}] = None
sys.argv = ["iop-async", *{arguments!r}]
from iop_async.cli import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    words = f"iop-async: {missing} is missing; install the extra: pip install 'iop-async[cli]'"
    assert done.stderr.strip() == words
