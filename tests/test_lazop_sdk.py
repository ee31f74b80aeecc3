"""The official Lazada SDK, which nobody here wrote, against the sandbox; and its signatures."""

import ast
import inspect
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

import iop_async as iop
from iop_async.sandbox import SandboxApp

pytestmark = pytest.mark.skipif(
    find_spec("lazop_sdk") is None, reason="needs the extra sdk, which .ci/run drills installs"
)

SCRIPT = """
import hashlib, io, json, sys
from lazop_sdk import LazopClient, LazopRequest

url, code = sys.argv[1:]
client = LazopClient(url, "123456", "helloworld")

def ask(api, params, method="POST", files=(), token=None):
    request = LazopRequest(api, method)
    for name, value in params.items():
        request.add_api_param(name, value)
    for name, value in files:
        request.add_file_param(name, value)
    return client.execute(request, token).body

created = ask("/auth/token/create", {"code": code})
refreshed = ask("/auth/token/refresh", {"refresh_token": created["refresh_token"]})
token = refreshed["access_token"]
content = b"\\x89PNG" * 5000
print(json.dumps({
    "created": created,
    "refreshed": refreshed,
    "get": ask("/orders/get", {"limit": 3}, "GET", token=token),
    "post": ask("/sandbox/echo", {"title": "red \\u978b & co"}, token=token),
    "upload": ask("/image/upload", {"n": 1}, files=[("image", content)], token=token),
    "sha256": hashlib.sha256(content).hexdigest(),
    "again": ask("/auth/token/refresh", {"refresh_token": created["refresh_token"]}),
    "tampered": LazopClient(url, "123456", "another").execute(LazopRequest("/a")).body,
}))
"""

SIGN = """
import json, sys
from lazop_sdk.base import sign

secret, api, params = json.load(sys.stdin)
print(sign(secret, api, params))
"""


def run(script, home, *arguments, stdin=""):
    """The SDK makes a folder for its logs where it is imported: it gets a home of its own."""
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "HOME": str(home)},
        input=stdin,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout


def test_the_official_sdk_is_served(tmp_path, url, sandbox):
    """It creates and refreshes a token, makes a GET, a POST and an upload."""
    answers = json.loads(run(SCRIPT, tmp_path, f"{url}/rest", sandbox.authorize("1001")))
    assert answers["created"]["code"] == answers["refreshed"]["code"] == "0"
    assert answers["refreshed"]["refresh_token"] != answers["created"]["refresh_token"]
    assert len(answers["get"]["data"]["orders"]) == 3
    assert answers["post"]["data"]["params"] == {"title": "red 鞋 & co"}
    (uploaded,) = answers["upload"]["data"]["files"]
    assert uploaded["sha256"] == answers["sha256"]
    assert answers["again"]["code"] == "IllegalRefreshToken"
    assert answers["tampered"]["code"] == "IncompleteSignature"


@pytest.mark.parametrize("params", [{}, {"order_id": 1234}, {"b": "é 鞋", "a": True, "l": [1, 2]}])
def test_our_signature_is_the_official_one(tmp_path, params):
    """For the same input and time."""
    call = iop.Call("/order/get", params, access_token="test")
    app = iop.App("123456", "helloworld")
    now = datetime(2018, 2, 5, 8, 46, 32, tzinfo=UTC)
    fields = dict(parse_qsl(iop.gateways.LAZADA_SG.encode(app, call, now=now).body.decode()))
    ours = fields.pop("sign")
    theirs = run(SIGN, tmp_path, stdin=json.dumps([app.secret, call.api, fields]))
    assert theirs.strip() == ours


README = (Path(__file__).parent.parent / "README.md").read_text()
ROWS = re.findall(r"^<tr><td>\n(.*?)</td><td>\n(.*?)</td></tr>$", README, re.MULTILINE | re.DOTALL)
RESULTS = ["account", "orders", "image", "problem", "lasts"]


def column(number):
    """The code of one column of the page."""
    cells = [row[number] for row in ROWS]
    return "\n".join("".join(re.findall(r"```python\n(.*?)```", cell, re.DOTALL)) for cell in cells)


def left_column(sandbox, url, home):
    """What the official SDK comes to."""
    code = re.sub(r"https://(?:api\.lazada\.sg|auth\.lazada\.com)", url, column(0))
    names = f"secret, code = 'helloworld', {sandbox.authorize('1001')!r}"
    show = f"import json; print(json.dumps([{', '.join(RESULTS)}]))"
    return json.loads(run(f"{names}\n{code}\n{show}", home))


async def right_column(sandbox):
    names = {"secret": "helloworld", "code": sandbox.authorize("1001")}
    running_code = eval(compile(column(1), "README", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    assert inspect.iscoroutine(running_code)
    await running_code
    return [names[name] for name in RESULTS]


async def test_both_columns_of_the_migration_page_have_the_same_result(
    tmp_path, monkeypatch, url, sandbox
):
    """Token, read, upload, refusal, refresh, as README has them side by side."""
    assert len(ROWS) == 6
    sandbox.add_app(SandboxApp("12345678", "helloworld"))
    sandbox.apps.pop("123456")
    monkeypatch.setattr(iop.gateways, "LAZADA_SG", iop.gateways.Iop(url))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "front.png").write_bytes(b"\x89PNG" * 5000)
    expected = left_column(sandbox, url, tmp_path)
    assert (len(expected[1]), expected[3]) == (3, "IllegalAccessToken")
    assert await right_column(sandbox) == expected
