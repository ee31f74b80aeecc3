"""The panel shows the last calls, and what was signed wrongly in one."""

import hashlib
import hmac
import json
import sys
from urllib.parse import quote

import pytest
from browser import chromium, look_at, person
from sandbox_helpers import KEY, SECRET, SandboxCaller, sign, signed
from top_helpers import ECHO as TOP_ECHO
from top_helpers import TopCaller
from top_helpers import signed as top_signed

from iop_async.sandbox import Sandbox, SandboxApp, serve

ECHO = "/sandbox/echo"
PARAMS = {"b": "2 & more", "Z": "1", "c": "", "d": " padded "}


@pytest.fixture
async def caller():
    async with SandboxCaller(Sandbox()) as caller:
        yield caller


async def latest(caller):
    return (await caller.http.get("/_sandbox/requests")).json()["requests"][0]


async def test_a_call_is_shown_with_its_verdict(caller):
    token = (await caller.token())["access_token"]
    await caller.call(ECHO, {"order_id": "42"}, access_token=token)
    seen = await latest(caller)
    assert (seen["http_method"], seen["api"], seen["code"]) == ("POST", ECHO, "0")
    assert (seen["app"], seen["seller_id"]) == (KEY, "1001")
    assert seen["params"]["order_id"] == "42"
    caller.sandbox.fail("error", api=ECHO, code="1000")
    await caller.call(ECHO)
    seen = await latest(caller)
    assert seen["code"] == "1000"
    assert seen["message"]
    caller.sandbox.fail("status", api=ECHO)
    await caller.post(ECHO)
    assert (await latest(caller))["code"] == "fault:status"


async def test_no_secret_is_shown(caller):
    """Neither of a call that went well, nor in the two texts of a wrong signature."""
    token = await caller.token()
    pair = (token["access_token"], token["refresh_token"])
    await caller.refresh(token["refresh_token"], sign_method="none of these")
    sent = signed(caller.sandbox, ECHO, {"n": "1"}, access_token=token["access_token"])
    sent["sign"] = sign({name: sent[name] for name in sent if name != "sign"}, "")
    await caller.http.post(f"/rest{ECHO}", data=sent)
    assert "access_token*****" in (await latest(caller))["mistake"]["ours"]
    for path in ("/_sandbox/requests", "/_sandbox/"):
        page = (await caller.http.get(path)).text
        assert [secret for secret in (*pair, SECRET, sent["sign"]) if secret in page] == []


async def test_no_more_than_a_hundred_are_kept_and_none_whole(caller):
    """However many, and however large, the calls are."""
    large = {"payload": "x" * 1_000_000, **{f"p{n}": "y" * 1000 for n in range(500)}}
    await caller.call(ECHO, large)
    for _ in range(150):
        await caller.call(ECHO)
    assert len(caller.sandbox.seen.calls) == 100
    await caller.call(ECHO, large)
    seen = caller.sandbox.seen.calls[0]
    assert sum(map(sys.getsizeof, (*seen.params, *seen.params.values()))) < 30_000
    assert "1000000 characters" in seen.params["payload"]
    broken = signed(caller.sandbox, ECHO, large) | {"sign": "0" * 64}
    await caller.http.post(f"/rest{ECHO}", data=broken)
    assert len(caller.sandbox.seen.calls[0].mistake.ours) < 1_000


def hash_of(text):
    return hmac.new(SECRET.encode(), text.encode(), "sha256").hexdigest().upper()


def joined(params, *, prefix=ECHO, form=str):
    return prefix + "".join(name + form(params[name]) for name in sorted(params))


MISTAKES = {
    "the path of the API was not signed": lambda p: hash_of(joined(p, prefix="")),
    "with /rest before it": lambda p: hash_of(joined(p, prefix=f"/rest{ECHO}")),
    "with a slash after it": lambda p: hash_of(joined(p, prefix=f"{ECHO}/")),
    "without its slash": lambda p: hash_of(joined(p, prefix=ECHO[1:])),
    "the parameter b was not signed": lambda p: hash_of(joined({**p, "b": ""}).replace("b", "", 2)),
    "were not sorted": lambda p: hash_of(ECHO + "".join(f"{name}{p[name]}" for name in p)),
    "without regard to case": lambda p: hash_of(
        ECHO + "".join(name + p[name] for name in sorted(p, key=str.lower))
    ),
    "percent-encoded": lambda p: hash_of(joined(p, form=lambda value: quote(value, safe=""))),
    "with = and & between": lambda p: hash_of(
        ECHO + "&".join(f"{name}={p[name]}" for name in sorted(p))
    ),
    "without the spaces around": lambda p: hash_of(joined(p, form=str.strip)),
    "right but for its case": lambda p: hash_of(joined(p)).lower(),
    "that of sign_method hmac": lambda p: hmac.new(
        SECRET.encode(), joined(p).encode(), hashlib.md5
    ).hexdigest().upper(),
    "no usual mistake": lambda p: sign(p, ECHO, secret="another"),
}  # fmt: skip


@pytest.mark.parametrize("words", MISTAKES)
async def test_the_usual_mistakes_are_named(caller, words):
    """With both texts, equal up to the place where they part."""
    sent = signed(caller.sandbox, ECHO, PARAMS)
    del sent["sign"]
    if words == "the parameter b was not signed":
        signature = sign({name: sent[name] for name in sent if name != "b"}, ECHO)
    else:
        signature = MISTAKES[words](sent)
    answer = await caller.http.post(f"/rest{ECHO}", data=sent | {"sign": signature})
    assert answer.json()["code"] == "IncompleteSignature"
    mistake = (await latest(caller))["mistake"]
    assert words in mistake["words"]
    if words.startswith("no usual"):
        assert mistake["theirs"] is None
    elif mistake["ours"] != mistake["theirs"]:
        at = mistake["part_at"]
        assert mistake["ours"][:at] == mistake["theirs"][:at]
        assert mistake["ours"][at : at + 1] != mistake["theirs"][at : at + 1]
    page = (await caller.http.get("/_sandbox/")).text
    assert "The signature is wrong" in page


async def test_the_mistakes_of_top_are_named_as_well():
    """TOP's own way of MD5, and a parameter that was left out."""
    async with TopCaller(Sandbox()) as caller:
        sent = top_signed(caller.sandbox, {"method": TOP_ECHO})
        await caller.http.post("/router/rest", data=sent | {"extra": "1"})
        seen = caller.sandbox.seen.calls[0]
        assert (seen.api, seen.code) == (TOP_ECHO, "25")
        assert seen.mistake.words == "the parameter extra was not signed"


async def test_an_answer_of_ones_own_is_set_and_forgotten_by_form(caller):
    """JSON that is none is said on a page."""
    set_to = {"api": "/mine/get", "json": json.dumps({"data": {"count": 7}})}
    assert (await caller.http.post("/_sandbox/answers", data=set_to)).status_code == 303
    assert (await caller.call("/mine/get"))["data"] == {"count": 7}
    assert "/mine/get" in (await caller.http.get("/_sandbox/")).text
    await caller.http.post("/_sandbox/forget_answer", data={"api": "/mine/get"})
    assert "code" in await caller.call("/mine/get")
    wrong = await caller.http.post("/_sandbox/answers", data={"api": "/a/b", "json": "{"})
    assert wrong.status_code == 400
    assert "That did not work" in wrong.text


class TestWhoMayUseThePages:
    """Programs and people here; no web page that a browser here shows."""

    @pytest.mark.parametrize(
        "sent_by",
        [
            {"origin": "https://evil.example"},
            {"origin": "null"},
            {"origin": "http://127.0.0.1:1"},
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
        ],
        ids=str,
    )
    async def test_a_page_of_another_site_moves_nothing(self, sent_by):
        async with serve(sandbox := Sandbox()) as url, SandboxCaller(sandbox, url) as caller:
            before = sandbox.apps.copy()
            for name, members in (("clock", {"speed": 0}), ("apps", {"key": KEY, "secret": "x"})):
                answer = await caller.http.post(f"/_sandbox/{name}", json=members, headers=sent_by)
                assert answer.status_code == 403
            answer = await caller.http.delete("/_sandbox/faults", headers=sent_by)
            assert answer.status_code == 403
            answer = await caller.http.post("/oauth/authorize", data={}, headers=sent_by)
            assert answer.status_code == 403
            assert (sandbox.clock.speed, sandbox.apps) == (1, before)

    @pytest.mark.parametrize(
        "host", ["evil.example", "evil.example:80", "192.0.2.1", "a.localhost"]
    )
    async def test_a_name_that_was_led_here_reads_nothing(self, host):
        async with serve(sandbox := Sandbox()) as url, SandboxCaller(sandbox, url) as caller:
            for path in ("/_sandbox/grants?tokens=1", "/_sandbox/", "/oauth/authorize"):
                answer = await caller.http.get(path, headers={"host": host})
                assert answer.status_code == 403
                assert "allow_remote=True" in answer.text

    @pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1", "[::1]:8000"])
    async def test_this_machine_s_own_names_are_served(self, host):
        async with serve(sandbox := Sandbox()) as url, SandboxCaller(sandbox, url) as caller:
            own = {"host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin"}
            answer = await caller.http.post("/_sandbox/clock", json={"speed": 2}, headers=own)
            assert answer.status_code == 200

    async def test_where_others_are_let_in_every_name_is(self):
        """But a page of another site still moves nothing."""
        sandbox = Sandbox()
        async with serve(sandbox, allow_remote=True) as url, SandboxCaller(sandbox, url) as caller:
            named = {"host": "sandbox:8000"}
            assert (await caller.http.get("/_sandbox/clock", headers=named)).status_code == 200
            evil = named | {"origin": "http://evil.example"}
            answer = await caller.http.post("/_sandbox/clock", json={"speed": 2}, headers=evil)
            assert answer.status_code == 403


async def test_the_panel_in_a_browser(tmp_path):
    """Its own forms pass, in spite of who may use them; it fits a phone."""
    sandbox = Sandbox(apps=[SandboxApp(KEY, SECRET)])
    async with (
        serve(sandbox) as url,
        SandboxCaller(sandbox, url) as caller,
        chromium() as browser,
        person(browser) as page,
    ):
        token = (await caller.token())["access_token"]
        await caller.call(ECHO, {"order_id": "42", "note": "<b>&"}, access_token=token)
        sent = signed(sandbox, ECHO, PARAMS, access_token=token)
        unsigned = {name: value for name, value in sent.items() if name != "sign"}
        bad = unsigned | {"sign": sign(unsigned, "")}
        await caller.http.post(f"/rest{ECHO}", data=bad)
        await page.goto(f"{url}/_sandbox/")
        await page.get_by_text("the path of the API was not signed").wait_for()
        await page.get_by_label("API", exact=True).last.fill("/mine/get")
        await page.get_by_label("Its answer, as JSON").fill('{"data": {"count": 7}}')
        await page.get_by_role("button", name="Set").click()
        await page.get_by_role("button", name="Forget").wait_for()
        assert (await caller.call("/mine/get"))["data"] == {"count": 7}
        await page.reload()
        await page.locator("summary").nth(2).click()
        await look_at(page, "panel", tmp_path)


async def test_a_form_on_another_site_is_refused_in_a_browser():
    """As a browser sends it, to another port of this very machine."""
    sandbox, other = Sandbox(), Sandbox()
    async with (
        serve(sandbox) as url,
        serve(other) as elsewhere,
        chromium() as browser,
        person(browser) as page,
    ):
        await page.goto(f"{elsewhere}/nothing")
        await page.evaluate(
            """url => {
                const form = document.createElement('form');
                form.method = 'post'; form.action = url + '/_sandbox/clock';
                const field = document.createElement('input');
                field.name = 'speed'; field.value = '0';
                form.append(field); document.body.append(form); form.submit();
            }""",
            url,
        )
        await page.get_by_text("a page of another site").wait_for()
        assert sandbox.clock.speed == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("speed", 1e300), ("speed", "inf"), ("skew", 1e300), ("skew", "nan")),
        *(("advance", 1e300), ("advance", -1e12), ("set", "9999-12-31T23:59:59Z")),
    ],
)
async def test_no_move_breaks_the_clock(caller, name, value):
    answer = await caller.http.post("/_sandbox/clock", json={name: value})
    assert answer.status_code == 400, answer.text
    assert (await caller.call(ECHO))["code"] == "0"
