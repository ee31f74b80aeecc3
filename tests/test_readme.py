"""The README is executed: its code against the sandbox, its commands by the gate."""

import ast
import asyncio
import builtins
import configparser
import inspect
import json
import re
import secrets
import shlex
import textwrap
import tomllib
from pathlib import Path

import click
import httpx
import pytest
import yaml
from kms import kms_client, running_kms

import iop_async as iop
from iop_async import _exceptions
from iop_async.cli._commands import commands
from iop_async.sandbox import Sandbox, SandboxApp, running

pytest_plugins = ["pytester"]

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"^ *```python\n(.*?)^ *```", README, re.MULTILINE | re.DOTALL)
OF_OTHERS = re.compile(r"\b(?:Lazop\w+|auth\.execute|add_api_param)\b")
"""Code of the official SDK, which ``test_lazop_sdk.py`` executes."""
APP = iop.App("12345678", "helloworld")


@pytest.fixture
def sandbox(monkeypatch, tmp_path):
    """In the place of every market that the README calls, and a seller who approves."""
    sandbox = Sandbox(apps=[SandboxApp(APP.key, APP.secret)], old_access_token="stays")
    monkeypatch.setenv("IOP_APP_KEY", APP.key)
    monkeypatch.setenv("IOP_APP_SECRET", APP.secret)
    monkeypatch.setenv("WEB_SECRET", secrets.token_urlsafe())
    monkeypatch.setenv("IOP_STORE", "sqlite:///tokens.db")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "front.png").write_bytes(b"\x89PNG")
    with running(sandbox) as url:
        for name in ("TAOBAO_GLOBAL", "LAZADA_SG", "LAZADA_MY"):
            monkeypatch.setattr(iop.gateways, name, iop.gateways.Iop(url))
        monkeypatch.setattr(iop.gateways, "TAOBAO", iop.gateways.Top(f"{url}/router/rest"))
        monkeypatch.setattr(iop.gateways, "TAOBAO_SEC", iop.gateways.Top(f"{url}/api"))
        sandbox.url = url
        yield sandbox


def approved(page):
    """Where the browser of a seller who approves ends."""
    return httpx.get(f"{page}&auto_approve=1001").headers["location"]


async def run(block, namespace):
    code = compile(block, "README.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    outcome = eval(code, namespace)
    if inspect.iscoroutine(outcome):
        await outcome


async def test_the_code_runs_from_top_to_bottom(sandbox, monkeypatch, capsys):
    """Every block, in order, in one namespace."""
    assert len(BLOCKS) >= 30
    namespace = {
        "secret": APP.secret,
        "code": sandbox.authorize("1001"),
    }
    monkeypatch.setattr(builtins, "input", lambda _prompt: approved(namespace["page"]))
    with running_kms(APP.secret, monkeypatch) as service:
        async with kms_client(service):
            for block in BLOCKS:
                if not OF_OTHERS.search(block):
                    here = textwrap.dedent(block).replace("http://127.0.0.1:8080", sandbox.url)
                    await run(here, namespace)
    assert await asyncio.to_thread(namespace["count_orders"], "1001") == 10
    printed = capsys.readouterr().out
    assert "IllegalAccessToken ->" in printed
    assert "SOLD_OUT no stock left" in printed
    assert "{'time': '" in printed
    assert "'order_id': '42'" in printed


def test_the_test_that_uses_the_fixtures_passes(pytester):
    """As a user's suite runs it, with the plugin of anyio."""
    (test,) = [block for block in BLOCKS if block.startswith("# test_")]
    pytester.makepyfile(test)
    pytester.runpytest_subprocess("-q", "-p", "no:asyncio").assert_outcomes(passed=2)


def lines_of_shells():
    for block in re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL):
        yield from block.replace("\\\n", " ").splitlines()


def test_every_command_line_is_one_that_the_program_takes():
    """Its commands and options; nothing is run."""
    parsed = 0
    for line in lines_of_shells():
        command = re.search(r"(?<![\w'-])iop-async (.*)", line)
        if command:
            arguments = shlex.split(command[1].partition(" > ")[0], comments=True)
            look_at(commands, arguments)
            parsed += 1
    assert parsed > 20


def test_an_option_that_there_is_not_is_found():
    """Else the test above would show nothing."""
    with pytest.raises(click.NoSuchOption):
        look_at(commands, ["login", "--nothing"])


def look_at(command, arguments):
    while isinstance(command, click.Group):
        name, *arguments = arguments
        command = command.get_command(None, name)
        assert command is not None, name
    command.make_parser(click.Context(command)).parse_args(arguments)


@pytest.mark.parametrize(
    ("language", "read"),
    [
        ("toml", tomllib.loads),
        ("json", json.loads),
        ("yaml", yaml.safe_load),
        ("ini", configparser.ConfigParser(strict=False, interpolation=None).read_string),
    ],
)
def test_what_is_to_be_put_into_a_file_can_be_read(language, read):
    """As its language is."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        read(block)


def test_two_commands_do_all_set_up():
    """The gate runs them as they stand: one ends in the demo, one in the tests."""
    commands = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)
    assert [command.rpartition("/")[2] for command in commands] == [
        "iop-async demo",
        "python -m pytest -n auto",
    ]


def test_lazadas_ventures_have_the_same_grants():
    """They are filed by app and auth host; above, one sandbox stands for all gateways."""
    store = iop.stores.MemoryStore()
    ventures = [each for name, each in vars(iop.gateways).items() if name.startswith("LAZADA_")]
    managers = [iop.TokenManager(iop.Client(APP, venture), store) for venture in ventures]
    assert len(managers) == 6
    assert {each.scope for each in managers} == {"12345678@auth.lazada.com"}


def headings():
    text = re.sub(r"^ *```.*?^ *```", "", README, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"^##+ (.*)$", text, re.MULTILINE)


def test_every_link_leads_somewhere_and_the_contents_name_every_chapter():
    """Anchors are made of headings as the forges make them."""
    anchors = {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings()}
    assert len(anchors) == len(headings())
    assert set(re.findall(r"\]\(#([^)]*)\)", README)) <= anchors
    contents = README.partition("\n## Contents\n")[2].partition("\n## ")[0]
    chapters = re.findall(r"^## (.*)$", README, re.MULTILINE)
    assert sorted(re.findall(r"\[([^]]*)\]", contents)) == sorted(set(chapters) - {"Contents"})


def test_the_table_of_errors_has_every_error():
    """And says of each whether it is retryable."""
    chapter = README.partition("\n## What each error means and what to do\n")[2].partition("\n## ")[
        0
    ]
    rows = re.findall(r"^\| `(\w+)` \|.*\| (yes|no) \|$", chapter, re.MULTILINE)
    classes = {
        name: value
        for name, value in vars(_exceptions).items()
        if inspect.isclass(value) and issubclass(value, iop.IopError)
    }
    assert [name for name, _ in rows] == list(dict.fromkeys(name for name, _ in rows))
    assert dict(rows) == {n: "yes" if cls.retryable else "no" for n, cls in classes.items()}


@pytest.mark.parametrize("name", ["CHANGELOG.md", "pyproject.toml", "README.md"])
def test_the_project_speaks_of_itself_alone(name):
    """No absolute paths in what users read."""
    text = (Path(__file__).parent.parent / name).read_text()
    assert not re.search(r"(?<![\w.])/(work|root|home|tmp)/", text)
