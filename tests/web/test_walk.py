"""A real browser walks the authorization: over TLS, the platform's page on another site."""

import re
import socket
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import pytest
import trustme
from browser import chromium, look_at, person
from web_helpers import Shop, served

import iop_async as iop

BACK = re.compile(r"/iop/callback\?")


@pytest.fixture
def certificate(tmp_path):
    """Files of a certificate for loopback."""
    issued = trustme.CA().issue_cert("127.0.0.1")
    key, chain = tmp_path / "key.pem", tmp_path / "chain.pem"
    issued.private_key_pem.write_to_path(key)
    for part in issued.cert_chain_pems:
        part.write_to_path(chain, append=True)
    return {"ssl_keyfile": str(key), "ssl_certfile": str(chain)}


@asynccontextmanager
async def shop_over_tls(gateway, certificate, **options):
    """An app with a real server; gives it and its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"https://127.0.0.1:{listener.getsockname()[1]}"
    redirect_uri = f"{address}/iop/callback"
    one = Shop(gateway, iop.stores.MemoryStore(), redirect_uri=redirect_uri, **options)
    async with one.client, one.tokens, served(one.web, listener, **certificate):
        yield one, address


async def decide(page, address, button, seller="1001"):
    """From connect over the consent page."""
    await page.goto(f"{address}/iop/connect")
    assert "would like to work with your shop" in await page.inner_text("h1")
    await page.check(f"input[value='{seller}']")
    await page.click(f"button:has-text('{button}')")


async def heading(page):
    return await page.inner_text("h1")


async def held_back(page, address, seller="1001"):
    """The callback's URL of a seller who has approved, which the browser has not opened yet."""
    await page.goto(f"{address}/iop/connect")
    async with httpx.AsyncClient() as platform:
        approved = await platform.get(f"{page.url}&auto_approve={seller}")
    return approved.headers["location"]


async def test_a_seller_approves_and_the_callback_works_once(
    gateway, sandbox, certificate, tmp_path
):
    """The cookie comes back from another site, and the code is gone from the address."""
    async with (
        shop_over_tls(gateway, certificate) as (one, address),
        chromium() as browser,
        person(browser) as page,
    ):
        visited = []
        page.on("request", lambda request: visited.append(request.url))
        await decide(page, address, "Authorize", "1002")
        await page.wait_for_url(f"{address}/iop/connected")
        assert await heading(page) == "Your shop is connected"
        await look_at(page, "connected", tmp_path)
        assert [status.seller_id async for status in one.tokens.statuses()] == ["1002"]
        cookie, *others = await page.context.cookies(address)
        assert others == []
        assert cookie["name"] == "__Host-iop-connect"
        assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Lax")
        assert await page.evaluate("document.cookie + document.referrer") == ""
        await page.goto(next(url for url in visited if BACK.search(url)))
        assert await heading(page) == "This link was used already"
        await look_at(page, "used", tmp_path)
        assert sandbox.ledger.calls == {("/auth/token/create", "0"): 1}


async def test_a_seller_declines_and_starts_again(gateway, sandbox, certificate, tmp_path):
    """By the link of the page, from wherever it stands."""
    async with (
        shop_over_tls(gateway, certificate) as (_, address),
        chromium() as browser,
        person(browser) as page,
    ):
        await decide(page, address, "Decline")
        assert await heading(page) == "Your shop was not connected"
        await look_at(page, "declined", tmp_path)
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await page.wait_for_url(re.compile("/oauth/authorize"))
        await page.click("button:has-text('Authorize')")
        await page.wait_for_url(f"{address}/iop/connected")


async def test_nobody_completes_what_another_browser_began(gateway, sandbox, certificate, tmp_path):
    """Neither who has begun nothing nor who has begun another; whoever began it still can."""
    async with (
        shop_over_tls(gateway, certificate) as (_, address),
        chromium() as browser,
        person(browser) as attacker,
        person(browser, language="es-MX") as victim,
    ):
        back = await held_back(attacker, address)
        await victim.goto(back)
        assert await heading(victim) == "Esto no se inició en este navegador"
        await look_at(victim, "foreign", tmp_path)
        await victim.goto(f"{address}/iop/connect")
        await victim.goto(back)
        assert await heading(victim) == "Esto no se inició en este navegador"
        forged = re.sub(r"(?<=state=)\w{3}", "AAA", back)
        await attacker.goto(forged)
        assert await heading(attacker) == "This was not started in this browser"
        assert sandbox.ledger.calls == {}
        await attacker.goto(back)
        assert await heading(attacker) == "Your shop is connected"


async def test_what_took_too_long_is_told_apart(gateway, sandbox, certificate, tmp_path):
    """A state that has expired, a code that the platform takes no more, a platform that is down."""
    async with (
        shop_over_tls(gateway, certificate) as (one, address),
        chromium() as browser,
        person(browser, language="zh-CN") as page,
    ):
        back = await held_back(page, address)
        one.routes._now = lambda: one.client.now() + timedelta(minutes=10, seconds=1)
        await page.goto(back)
        assert await heading(page) == "操作超时"
        await look_at(page, "expired", tmp_path)
        one.routes._now = one.client.now
        sandbox.grants.code_seconds = 0
        await decide(page, address, "Authorize")
        assert await heading(page) == "授权未被接受"
        await look_at(page, "refused", tmp_path)
        sandbox.fail("error", code="ServiceUnavailable", api="/auth/token/create", times=None)
        await decide(page, address, "Authorize")
        assert await heading(page) == "暂时无法连接您的店铺"
