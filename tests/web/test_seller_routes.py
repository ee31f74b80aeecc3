"""Sellers authorize by the routes; each line of their threat model that concerns it is a test."""

import logging
import re
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from starlette.responses import PlainTextResponse
from web_helpers import APP, CALLBACK, SECRET, shop

import iop_async as iop
from iop_async.contrib import starlette as web
from iop_async.contrib.starlette import SellerRoutes

STATE = re.compile(r"state=([\w-]+)")


def state_of(url):
    return STATE.search(url)[1]


def assert_page(response, status, words):
    """A page that says it, and that nothing can be made of."""
    assert (response.status_code, response.headers["content-type"]) == (
        status,
        "text/html; charset=utf-8",
    )
    assert words in response.text
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["content-security-policy"].startswith("default-src 'none'; style-src")
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
    assert "<script" not in response.text


async def test_a_seller_is_connected(gateway, sandbox):
    """The code is traded at once and kept; the app is told, and says where to lead."""
    told = []

    async def authorized(request, token):
        told.append((request.url.path, iop.tokens.seller_ids_of(token)))
        return "/dashboard"

    async with shop(gateway, on_authorized=authorized) as one:
        browser = one.browser()
        done = await browser.get(await browser.consent("1002"))
        assert (done.status_code, done.headers["location"]) == (303, "/dashboard")
        assert told == [("/iop/callback", ("1002",))]
        reply = await one.tokens.seller("1002").call("/order/get", {"order_id": 1})
        assert not reply.failed


@pytest.mark.parametrize(
    ("returned", "status", "where"),
    [
        (None, 303, "connected"),
        (PlainTextResponse("mine"), 200, None),
        ("https://elsewhere.example/x", 303, "https://elsewhere.example/x"),
    ],
)
async def test_the_app_says_where_a_seller_goes(gateway, returned, status, where):
    """By an address, a response, or nothing: then a page says that all is well."""
    async with shop(gateway, on_authorized=lambda request, token: returned) as one:
        browser = one.browser()
        done = await browser.get(await browser.consent("1001"))
        assert (done.status_code, done.headers.get("location")) == (status, where)
        assert_page(await browser.get("/iop/connected"), 200, "Your shop is connected")


async def test_an_app_that_fails_after_it_keeps_the_grant(gateway, caplog):
    """The seller is told the truth, and the log has the traceback."""

    async def fails(request, token):
        raise ZeroDivisionError

    async with shop(gateway, on_authorized=fails) as one:
        browser = one.browser()
        assert_page(await browser.get(await browser.consent("1001")), 500, "is connected, but")
        assert (await one.tokens.status("1001")).state == "live"
    assert "ZeroDivisionError" in caplog.text


async def test_connect_asks_for_a_venture_and_for_nothing_else(gateway):
    """``country`` is the one thing that a request may say of the consent page's URL."""
    async with shop(gateway) as one:
        for query, expected in (("vn", "vn"), ("VN", "vn"), ("v%0a", None), ("xxx", None)):
            there = await one.browser().get(f"/iop/connect?country={query}&redirect_uri=x&uuid=y")
            asked = dict(parse_qsl(urlsplit(there.headers["location"]).query))
            state = asked.pop("state")
            assert len(state) > 40
            assert asked.pop("country", None) == expected
            assert asked == {
                "response_type": "code",
                "client_id": APP.key,
                "redirect_uri": CALLBACK,
                "force_auth": "true",
            }


async def test_1_a_forged_or_changed_state_is_refused(gateway, sandbox):
    """Wherever it is changed, and one that the same secret signed for another callback."""
    other = "https://me.example/other/callback"
    async with shop(gateway) as one, shop(gateway, redirect_uri=other) as two:
        browser = one.browser()
        back = await browser.consent("1001")
        state = state_of(back)
        elsewhere = two.browser()
        elsewhere.http.cookies = browser.http.cookies
        foreign = state_of(await elsewhere.consent("1001"))
        swapped = state[:-1] + ("A" if state[-1] != "A" else "Q")
        changed = ["A" + state[1:], state[:30] + "__" + state[32:], swapped, state[:-4], "x", ""]
        for forged in [*changed, foreign, "%ED%A0%80", "ü", "A" * 10_000]:
            response = await browser.get(back.replace(state, forged))
            assert_page(response, 403, "not started in this browser")
        assert sandbox.ledger.calls == {}
        assert (await browser.get(back)).status_code == 303


async def test_2_a_callback_in_another_browser_is_refused(gateway, sandbox):
    """Else a seller could be led to connect somebody else's shop, or to give theirs away."""
    async with shop(gateway) as one:
        attacker, victim = one.browser(), one.browser()
        back = await attacker.consent("1003")
        assert_page(await victim.get(back), 403, "not started in this browser")
        await victim.get("/iop/connect")  # who has begun one too has another cookie
        assert_page(await victim.get(back), 403, "not started in this browser")
        assert sandbox.ledger.calls == {}
        assert (await attacker.get(back)).status_code == 303


async def test_2_the_cookie_is_for_this_host_alone_and_not_for_scripts(gateway):
    """By name, too: no other host, and no connection in the clear, can set one that begins so."""
    async with shop(gateway) as one:
        cookie = (await one.browser().get("/iop/connect")).headers["set-cookie"]
    assert re.fullmatch(
        r"__Host-iop-connect=[\w-]{43}; HttpOnly; Max-Age=87000; Path=/; SameSite=lax; Secure",
        cookie,
    )
    async with shop(gateway, redirect_uri="http://127.0.0.1/callback") as one:
        cookie = (await one.browser().get("/iop/connect")).headers["set-cookie"]
    assert cookie.startswith("iop-connect=")
    assert "Secure" not in cookie


@pytest.mark.parametrize("planted", ["", "x", "a b" * 14 + "c", '"' * 43, "ü" * 43, "x" * 5000])
async def test_2_a_cookie_that_was_not_made_here_is_replaced(gateway, planted):
    """One that comes back otherwise than it was set would keep its browser from ever connecting."""
    async with shop(gateway) as one:
        header = f"__Host-iop-connect={planted}".encode()
        there = await one.browser().get("/iop/connect", headers={b"cookie": header})
    assert re.match(r"__Host-iop-connect=[\w-]{43};", there.headers["set-cookie"])


def test_each_line_of_the_threat_model_has_its_test():
    """By number."""
    lines = re.findall(r"^(\d+)\. \*", web.__doc__, re.MULTILINE)
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert lines == [str(number) for number in range(1, 15)]
    assert [line for line in lines if f" test_{line}_" not in tests] == []


async def test_two_tabs_of_one_browser_may_both_authorize(gateway):
    """The later one does not end the earlier one's."""
    async with shop(gateway) as one:
        browser = one.browser()
        first, second = await browser.consent("1001"), await browser.consent("1002")
        assert [(await browser.get(url)).status_code for url in (first, second)] == [303, 303]


async def test_3_a_callback_works_once(gateway, sandbox):
    """Also with another code that is good."""
    async with shop(gateway) as one:
        browser = one.browser()
        back = await browser.consent("1001")
        again = re.sub(r"code=[^&]+", f"code={sandbox.authorize('1002')}", back)
        assert (await browser.get(back)).status_code == 303
        for url in (back, again):
            assert_page(await browser.get(url), 409, "used already")
        assert sandbox.ledger.calls == {("/auth/token/create", "0"): 1}


async def test_3_a_callback_works_once_among_processes_that_share_a_store(
    gateway, sandbox, tmp_path
):
    """A second process has seen nothing of it but what the store has."""
    path = tmp_path / "tokens.db"
    async with (
        iop.stores.SQLiteStore(path) as first,
        iop.stores.SQLiteStore(path) as second,
        shop(gateway, first) as one,
        shop(gateway, second) as other,
    ):
        browser, same = one.browser(), other.browser()
        back = await browser.consent("1001")
        same.http.cookies = browser.http.cookies
        assert (await same.get(back)).status_code == 303
        assert_page(await browser.get(back), 409, "used already")
        assert [status.seller_id async for status in one.tokens.statuses()] == ["1001"]


async def test_3_while_the_store_fails_a_process_still_lets_each_state_work_once(gateway, tmp_path):
    """And a seller is not turned away: the pair goes to the journal."""

    class Down(iop.stores.MemoryStore):
        async def put(self, record, *, release=None):
            raise iop.StoreError("down")

    journal = tmp_path / "journal"
    client = iop.Client(APP, gateway)
    async with client, iop.TokenManager(client, Down(), keeper=False, journal=journal) as tokens:
        from starlette.applications import Starlette
        from starlette.routing import Mount
        from web_helpers import Browser

        routes = SellerRoutes(tokens, redirect_uri=CALLBACK, secret=SECRET)
        browser = Browser(Starlette(routes=[Mount("/iop", routes=routes)]), gateway.base_url[:-5])
        back = await browser.consent("1001")
        assert (await browser.get(back)).status_code == 303
        assert_page(await browser.get(back), 409, "used already")


async def test_4_a_state_expires(gateway, sandbox):
    """By the client's clock, which is the gateway's."""
    async with shop(gateway, minutes=5) as one:
        browser = one.browser()
        back = await browser.consent("1001")
        now = one.client.now
        one.routes._now = lambda: now() + timedelta(minutes=5, seconds=1)
        assert_page(await browser.get(back), 400, "This took too long")
        assert sandbox.ledger.calls == {}


@pytest.mark.parametrize("more", ["&code=1", "&state=x", "&error=x&error=y", "&%63ode=1"])
async def test_5_a_parameter_that_is_there_twice_is_refused(gateway, sandbox, more):
    """The good one first or last."""
    async with shop(gateway) as one:
        browser = one.browser()
        back = await browser.consent("1001")
        response = await browser.get(back + more)
        assert response.status_code in (400, 403)
        assert sandbox.ledger.calls == {}
        assert (await browser.get(back)).status_code == 303  # nothing was spent


async def test_6_a_request_that_only_looks_trades_nothing(gateway, sandbox):
    """Starlette gives every GET route a HEAD."""
    async with shop(gateway) as one:
        browser = one.browser()
        back = await browser.consent("1001")
        for method in ("HEAD", "POST", "OPTIONS"):
            assert (await browser.http.request(method, back)).status_code == 405
        assert sandbox.ledger.calls == {}
        assert (await browser.get(back)).status_code == 303


async def test_7_every_answer_on_the_way_says_no_referrer_and_no_store(gateway):
    """And leads away from the URL that has the code."""
    async with shop(gateway) as one:
        browser = one.browser()
        there = await browser.get("/iop/connect")
        done = await browser.get(await browser.consent("1001"))
        for response in (there, done):
            assert response.headers["referrer-policy"] == "no-referrer"
            assert response.headers["cache-control"] == "no-store"
        assert done.headers["location"] == "connected"


def test_7_one_line_masks_codes_and_states_in_the_access_log(caplog):
    """Of uvicorn's own call, which gives the URL as an argument; asking twice changes nothing."""
    logger = logging.getLogger("uvicorn.access")
    before = list(logger.filters)
    logger.filters.clear()  # an application of another test, imported here, masked it for good
    try:
        web.mask_access_log()
        web.mask_access_log()
        assert len(logger.filters) == 1
        with caplog.at_level(logging.INFO, logger="uvicorn.access"):
            url = "/callback?code=0_123456_secret&a=b%26&%73tate=hidden&http_sign=AB12"
            logger.info('%s - "%s %s HTTP/%s" %d', "1.2.3.4:5", "GET", url, "1.1", 303)
            logger.info("GET /iop/callback?state=hidden HTTP/1.1")
        assert caplog.messages == [
            '1.2.3.4:5 - "GET /callback?code=***&a=b%26&%73tate=***&http_sign=*** HTTP/1.1" 303',
            "GET /iop/callback?state=*** HTTP/1.1",
        ]
    finally:
        logger.filters[:] = before


async def test_8_nothing_that_came_stands_in_a_page(gateway):
    """Whatever the parameter, header or path."""
    evil = "<script>alert(1)</script>\"'"
    async with shop(gateway) as one:
        browser = one.browser()
        back = await browser.consent("decline")
        state = state_of(back)
        for query in (
            {"state": state, "error": evil},
            {"state": state, "error": "access_denied", "error_description": evil},
            {"state": evil, "code": evil},
            {"state": state, "code": evil},
        ):
            response = await browser.get(
                "/iop/callback",
                params=query,
                headers={"accept-language": evil, "referer": evil, "host": "evil.example"},
            )
            assert "alert" not in response.text
            assert "evil" not in response.text
            assert "<script" not in response.text


async def test_9_no_request_names_where_a_browser_goes(gateway):
    """Not by ``Host``, forwarded headers or parameters."""
    headers = {"host": "evil.example", "x-forwarded-host": "evil.example", "origin": "null"}
    async with shop(gateway) as one:
        browser = one.browser()
        there = await browser.get("/iop/connect?next=https://evil.example", headers=headers)
        assert "evil.example" not in there.headers["location"]
        back = await browser.consent("1001")
        done = await browser.get(f"{back}&next=https://evil.example", headers=headers)
        assert done.headers["location"] == "connected"


async def test_14_health_tells_nothing_that_is_not_for_everybody(gateway):
    """200 where all is well; 503 where the store fails, without its words, or nothing runs."""

    class Down(iop.stores.MemoryStore):
        fails = False

        async def next_due(self, scope):
            if self.fails:
                raise iop.StoreError("postgresql://db.internal:5432 refused 1001")
            return await super().next_due(scope)

    store = Down()
    async with shop(gateway, store) as one:
        browser = one.browser()
        await browser.get(await browser.consent("1001"))
        well = await browser.get("/iop/health")
        assert (well.status_code, well.json()["status"]) == (200, "ok")
        assert well.json()["keeper"] == "off"
        assert well.json()["unpersisted"] == 0
        assert well.json()["nearest_death"] is not None
        assert "1001" not in well.text
        store.fails = True
        ill = await browser.get("/iop/health")
        assert (ill.status_code, ill.json()["store"]) == (503, "failing")
        assert ill.json()["problems"] == ["the store cannot be read"]
        assert "internal" not in ill.text
        store.fails = False
    gone = await browser.get("/iop/health")
    assert (gone.status_code, gone.json()["problems"]) == (
        503,
        ["the token manager does not run here"],
    )


async def test_a_seller_who_declines_reads_that_nothing_was_changed(gateway, sandbox):
    """With a way to start again."""
    async with shop(gateway) as one:
        browser = one.browser()
        response = await browser.get(await browser.consent("decline"))
        assert_page(response, 403, "Your shop was not connected")
        assert '<a href="connect">Start again</a>' in response.text
        assert sandbox.ledger.calls == {}


async def test_a_code_that_the_platform_takes_no_more_is_a_page(gateway, sandbox):
    """Its own clock is ahead, say; the grant that was kept before is as it was."""
    async with shop(gateway) as one:
        browser = one.browser()
        await browser.get(await browser.consent("1001"))
        kept = await one.tokens.token("1001")
        back = await browser.consent("1001")
        sandbox.clock.advance(3600)
        assert_page(await browser.get(back), 400, "was not accepted")
        assert await one.tokens.token("1001") == kept


@pytest.mark.parametrize(
    ("fault", "status", "words"),
    [
        ({"kind": "error", "code": "ServiceUnavailable"}, 503, "could not be connected just now"),
        ({"kind": "error", "code": "InvalidCode"}, 400, "was not accepted"),
    ],
)
async def test_a_platform_that_fails_is_a_page(gateway, sandbox, fault, status, words):
    """And the log says why."""
    async with shop(gateway) as one:
        browser = one.browser()
        back = await browser.consent("1001")
        sandbox.fail(**fault, api="/auth/token/create", times=None)
        assert_page(await browser.get(back), status, words)


async def test_a_callback_without_a_code_is_a_page(gateway):
    """Whose state is good, so that somebody cut the code off."""
    async with shop(gateway) as one:
        browser = one.browser()
        back = await browser.consent("1001")
        assert_page(await browser.get(re.sub(r"code=[^&]+&?", "", back)), 400, "not complete")


@pytest.mark.parametrize(
    ("accept", "words", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "店铺已连接", "zh"),
        ("zh-TW", "店铺已连接", "zh"),
        ("es-419, es;q=0.9", "Tu tienda está conectada", "es"),
        ("de-DE,de;q=0.9,es;q=0.5,en;q=0.4", "Tu tienda está conectada", "es"),
        ("de, fr;q=0.5", "Your shop is connected", "en"),
        ("", "Your shop is connected", "en"),
        ("*;q=x,,;q=,es;q=2,zh;q=0", "Your shop is connected", "en"),
    ],
)
async def test_pages_speak_the_browser_s_language(gateway, accept, words, language):
    """English, Chinese and Spanish, by preference."""
    async with shop(gateway) as one:
        response = await one.browser().get("/iop/connected", headers={"accept-language": accept})
        assert_page(response, 200, words)
        assert f'<html lang="{language}">' in response.text


def test_every_page_is_there_in_every_language():
    """And has a status."""
    from iop_async.contrib.starlette._words import AGAIN, PAGES, STATUSES

    assert {language: set(pages) for language, pages in PAGES.items()} == {
        language: set(STATUSES) for language in AGAIN
    }


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"secret": "short"}, ValueError, "fewer than 16 characters"),
        ({"secret": b"0123456789abcdef"}, TypeError, "secret is of type bytes"),
        ({"redirect_uri": "/callback"}, ValueError, "no absolute URL"),
        ({"minutes": 0}, ValueError, "minutes"),
        ({"minutes": None}, TypeError, "minutes is None"),
        ({"push_seconds": "60"}, TypeError, "push_seconds"),
        ({"max_waiting": 0}, ValueError, "max_waiting"),
        ({"on_push": "handler"}, TypeError, "on_push is of type str"),
    ],
)
async def test_bad_settings_say_what_to_give(gateway, options, kind, words):
    """When the routes are made, and not when the first seller comes."""
    with pytest.raises(kind, match=words):
        async with shop(gateway, **options):
            pass


async def test_the_secret_of_the_routes_is_in_no_repr(gateway):
    """Nor that of the app."""
    async with shop(gateway) as one:
        shown = repr(vars(one.routes)) + repr(vars(one.routes._states)) + repr(one.routes)
        assert SECRET not in shown
        assert APP.secret not in shown
