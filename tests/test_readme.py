"""The README is executed: its code against the sandbox, its commands by the gate."""

import ast
import inspect
import re
from pathlib import Path

import httpx
import pytest
from kms import kms_client, running_kms

import iop_async as iop
from iop_async.sandbox import Sandbox, SandboxApp, running

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


async def test_the_code_of_the_tour_runs_from_top_to_bottom(monkeypatch, capsys, tmp_path):
    """Every block, in order, in one namespace, with the sandbox in TaoWorld's place."""
    assert len(BLOCKS) >= 8
    app = iop.App("12345678", "helloworld")
    monkeypatch.setenv("IOP_APP_SECRET", app.secret)
    monkeypatch.setenv("IOP_STORE", "sqlite:///tokens.db")
    monkeypatch.chdir(tmp_path)
    sandbox = Sandbox(apps=[SandboxApp(app.key, app.secret)], old_access_token="stays")
    with running(sandbox) as url, running_kms(app.secret, monkeypatch) as service:
        gateway = iop.gateways.Iop(url)
        monkeypatch.setattr(iop.gateways, "TAOBAO_GLOBAL", gateway)
        monkeypatch.setattr(iop.gateways, "TAOBAO", iop.gateways.Top(f"{url}/router/rest"))
        monkeypatch.setattr(iop.gateways, "TAOBAO_SEC", iop.gateways.Top(f"{url}/api"))
        page = iop.oauth.authorize_url(
            app, gateway, redirect_uri="https://me.example/callback", state="s"
        )
        approval = httpx.get(f"{page}&auto_approve=1001")
        namespace = {
            "session": {"state": "s"},
            "request_url": approval.headers["location"],
            "code": sandbox.authorize("1001"),
        }
        async with kms_client(service):
            for block in BLOCKS:
                code = compile(block, "README.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
                outcome = eval(code, namespace)
                if inspect.iscoroutine(outcome):
                    await outcome
    printed = capsys.readouterr().out
    assert "IllegalAccessToken ->" in printed
    assert "SOLD_OUT no stock left" in printed
    assert "{'time': '" in printed
    assert "'order_id': '42'" in printed


def test_two_commands_do_all_set_up():
    """The gate runs them as they stand: one ends in the demo, one in the tests."""
    commands = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)
    assert [command.rpartition("/")[2] for command in commands] == [
        "iop-async demo",
        "python -m pytest -n auto",
    ]


@pytest.mark.parametrize("name", ["CHANGELOG.md", "pyproject.toml", "README.md"])
def test_the_project_speaks_of_itself_alone(name):
    """No absolute paths in what users read."""
    text = (Path(__file__).parent.parent / name).read_text()
    assert not re.search(r"(?<![\w.])/(work|root|home|tmp)/", text)
