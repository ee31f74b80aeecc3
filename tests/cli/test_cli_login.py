"""``iop-async login``: a seller approves on the sandbox's page, and the store has the token."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from contextlib import closing, contextmanager
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from cli_helpers import COMMAND

BROWSER = """
    import os, sys, urllib.request
    page = sys.argv[1]
    with open(os.environ["BROWSER_LOG"], "a") as log:
        log.write(page + "\\n")
    answer = os.environ.get("BROWSER_ANSWER")
    if answer:
        shown = urllib.request.urlopen(page + answer).read().decode()
        with open(os.environ["BROWSER_LOG"], "a") as log:
            log.write(shown)
"""


def free_port():
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return listener.getsockname()[1]


@pytest.fixture
def callback():
    return f"http://127.0.0.1:{free_port()}/callback"


@pytest.fixture
def browser(shop, callback):
    """A program that is given the page, as $BROWSER is, and approves at once or stays."""
    program, log = shop.folder / "browser.py", shop.folder / "browser.log"
    program.write_text(textwrap.dedent(BROWSER))
    shop.env |= {
        "BROWSER": f"{sys.executable} {program} %s",
        "BROWSER_LOG": str(log),
        "IOP_REDIRECT_URI": callback,
    }
    return log


@contextmanager
def waiting(shop, *arguments):
    """A login under way, and the page that it shows."""
    env = {**os.environ, **shop.env}
    with subprocess.Popen(
        [*COMMAND, "login", "--json", *arguments],
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process, json.loads(process.stderr.readline())["authorize_url"]
        finally:
            process.kill()


def state_of(page):
    return parse_qs(urlsplit(page).query)["state"][0]


def test_a_browser_that_comes_back_brings_the_token(shop, browser):
    """The page is the sandbox's; a real client follows its redirect to the callback."""
    done = shop.run("login", BROWSER_ANSWER="&auto_approve=1001")
    assert done.status == 0, done.err
    assert done.out.splitlines()[0].startswith("1001: approved, and kept as 123456@127.0.0.1:")
    assert "the refresh token ends in" in done.out
    page, *shown = browser.read_text().splitlines()
    assert page in done.err
    assert "<h1>Approved</h1>" in "".join(shown)
    assert shop.invoke("call", "/orders/get", "--seller", "1001").status == 0
    secrets = shop.invoke("tokens", "show", "1001", "--json", "--reveal").document["token"]
    assert secrets["access_token"] not in done.out + done.err


def test_a_person_approves_on_the_page_itself(shop, browser, callback):
    """The form is sent as a browser would, and the way back leads to the callback."""
    with waiting(shop) as (process, page), httpx.Client() as person:
        form = person.get(page)
        hidden = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', form.text))
        hidden |= {k: v[0] for k, v in parse_qs(urlsplit(page).query).items()}
        back = person.post(page.partition("?")[0], data={
            **hidden, "seller_id": "1002", "decision": "approve"})  # fmt: skip
        assert back.headers["location"].startswith(callback)
        shown = person.get(back.headers["location"])
        assert shown.status_code == 200
        assert shown.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in shown.headers["content-security-policy"]
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    document = json.loads(out)
    assert document["seller_ids"] == ["1002"]
    assert document["token"]["access_token"] == "***"


def test_the_way_back_accepts_no_other_answer_than_that_of_this_login(shop, browser, callback):
    """A foreign state, none, a name that leads here, another path: the login goes on waiting."""
    with waiting(shop) as (process, page), httpx.Client() as anybody:
        state = state_of(page)
        refused = [
            f"{callback}?code=0_foreign&state=another",
            f"{callback}?code=0_foreign",
            f"{callback}?state={state}",
            f"{callback}?code=0_a&code=0_b&state={state}",
        ]
        for url in refused:
            answer = anybody.get(url)
            assert (answer.status_code, "Not this login" in answer.text) == (400, True)
            assert "0_foreign" not in answer.text
        rebound = anybody.get(
            f"{callback}?code=0_a&state={state}", headers={"host": "evil.example"}
        )
        assert rebound.status_code == 400
        assert anybody.get(callback.replace("/callback", "/other")).status_code == 404
        assert anybody.post(f"{callback}?code=0_a&state={state}").status_code == 405
        assert anybody.head(f"{callback}?code=0_a&state={state}").status_code == 409
        assert process.poll() is None
        code = shop.sandbox.authorize("1003")
        assert anybody.get(f"{callback}?code={code}&state={state}").status_code == 200
        out, err = process.communicate(timeout=30)
    assert json.loads(out)["seller_ids"] == ["1003"]
    assert code not in out + err


def test_a_seller_who_declines_is_an_error(shop, browser, callback):
    """With the platform's word; nothing is kept."""
    with waiting(shop) as (process, page), httpx.Client() as person:
        shown = person.get(f"{callback}?error=access_denied&state={state_of(page)}")
        assert "Not approved" in shown.text
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (1, "")
    error = json.loads(err.splitlines()[-1])["error"]
    assert (error["kind"], error["code"]) == ("AuthError", "access_denied")
    assert shop.invoke("tokens", "list", "--json").document["total"] == 0


def test_without_a_browser_the_callback_is_pasted(shop, callback):
    """The URL is printed, alone on its line; that of the page it ends on is read."""
    shop.env["IOP_REDIRECT_URI"] = "https://shop.example/callback"  # no address of this machine
    env = {**os.environ, **shop.env}
    with subprocess.Popen(
        [*COMMAND, "login", "--no-browser"],
        env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        lines = []
        while "paste the URL" not in "".join(lines):
            lines.append(process.stderr.readline())
        (page,) = [line.strip() for line in lines if line.strip().startswith("http")]
        back = httpx.get(f"{page}&auto_approve=1001").headers["location"]
        out, err = process.communicate(f"{back}\n", timeout=30)
    assert process.returncode == 0, err
    assert "1001: approved" in out


@pytest.mark.parametrize(
    ("pasted", "words"),
    [
        ("https://shop.example/callback?code=0_x&state=another", "does not belong to this"),
        ("https://shop.example/callback", "does not belong to this"),
        ("", "standard input has no URL"),
        ("\udcff\n", "does not belong to this"),
    ],
)
def test_what_is_pasted_must_belong_to_this_login(shop, pasted, words):
    """In words; the code is not repeated."""
    given = pasted.encode("utf-8", "surrogateescape").decode("latin-1")
    env = {"IOP_REDIRECT_URI": "https://shop.example/callback"}
    done = shop.run("login", "--no-browser", given=given, **env)
    assert done.status != 0
    assert words in done.err
    assert "0_x" not in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("given", ["nonsense", "http://127.0.0.1:99999/x", "http://127.0.0.1:0/x"])
def test_a_redirect_uri_that_is_none_is_refused_before_anybody_is_asked(shop, given):
    """With one that is."""
    done = shop.invoke("login", "--redirect-uri", given)
    assert done.status == 2
    assert "no address like http://127.0.0.1:8765/callback" in done.err


def test_a_token_can_be_had_without_a_store(shop, browser):
    """Where it is asked for; nothing is written then."""
    env = {"BROWSER_ANSWER": "&auto_approve=1001", "IOP_STORE": ""}
    done = shop.run("login", "--reveal", **env)
    assert done.status == 0, done.err
    assert done.document["scope"] is None
    token = done.document["token"]["access_token"]
    assert shop.invoke("call", "/orders/get", "--access-token", token).status == 0
    assert not shop.store.exists()
    assert "there is no store" in shop.run("login", IOP_STORE="").err


def test_nobody_is_asked_where_the_token_would_have_no_place(shop, browser):
    """A store that cannot be used is found before a seller has approved."""
    done = shop.run("login", "--store", "sqlite:////nowhere/tokens.db")
    assert done.status == 1
    assert not browser.exists()
    assert "http://127" not in done.err.replace(shop.url, "")


def test_a_login_ends_when_nobody_comes(shop, browser):
    """After its time, or by a signal; its port is free again."""
    done = shop.run("login", "--timeout", "0.5")
    assert (done.status, "nobody approved within" in done.err) == (1, True)
    with waiting(shop) as (process, _):
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 143
    assert "ended by SIGTERM" in err


def test_a_port_that_is_taken_is_told_of(shop, browser, callback):
    """Another login may be waiting there."""
    with closing(socket.create_server(("127.0.0.1", urlsplit(callback).port))):
        done = shop.run("login")
    assert done.status == 1
    assert "address already in use" in done.err.lower()
    assert "Traceback" not in done.err


def test_two_codes_at_once_are_one_login(shop, browser, callback):
    """The second is told that it is over."""
    code = shop.sandbox.authorize("1001")
    with waiting(shop) as (process, page):
        url = f"{callback}?code={code}&state={state_of(page)}"
        statuses = []

        def ask():
            try:
                statuses.append(httpx.get(url).status_code)
            except httpx.TransportError:
                statuses.append(None)  # it has ended by now

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert statuses.count(200) == 1
