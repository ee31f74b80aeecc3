"""A real browser without a window, for the pages that people look at: Debian's Chromium.

Playwright drives the one that is installed, and downloads none. Where there is none the test is
skipped, or fails where every server must be there.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, BrowserContext, Page, async_playwright
from services import binary

LOOKS = {
    "light": ("light", 1280, 900),
    "dark": ("dark", 1280, 900),
    "phone": ("light", 360, 740),
}
"""The ways in which each page is looked at: colour scheme, width and height of the window."""


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser; ``new_context()`` of it is one person's, with cookies of its own."""
    path = binary("chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--disable-gpu"])
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def person(browser: Browser, *, language: str = "en-US") -> AsyncIterator[Page]:
    """A page in a browser of one person's; what its scripts and its policy complain of fails.

    It takes certificates of anybody's.
    """
    context: BrowserContext = await browser.new_context(locale=language, ignore_https_errors=True)
    context.set_default_timeout(20_000)
    page = await context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda message: (
            complaints.append(message.text) if "Content Security Policy" in message.text else None
        ),
    )
    try:
        yield page
    finally:
        await context.close()
    assert complaints == []


async def look_at(page: Page, name: str, folder: Path) -> None:
    """Take a picture in each of ``LOOKS``, of a page that must not scroll sideways.

    The pictures are ``NAME-LOOK.png`` in ``folder``, or in ``IOP_ASYNC_PICTURES`` where that is
    set, for an eye to look at.
    """
    folder = Path(os.environ.get("IOP_ASYNC_PICTURES") or folder)
    for look, (scheme, width, height) in LOOKS.items():
        await page.emulate_media(color_scheme=scheme)
        await page.set_viewport_size({"width": width, "height": height})
        wide = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, f"{name} is {wide} px wider than a window of {width}"
        await page.screenshot(path=folder / f"{name}-{look}.png", full_page=True)
    await page.emulate_media(color_scheme="light")
