"""The browser that pages are shown to."""

import pytest
from browser import LOOKS, chromium, look_at, person


async def test_a_page_is_pictured_in_each_look(tmp_path, monkeypatch):
    """And one that is wider than a phone is found."""
    monkeypatch.delenv("IOP_ASYNC_PICTURES", raising=False)
    async with chromium() as browser, person(browser) as page:
        await page.set_content("<h1>Short</h1>")
        await look_at(page, "short", tmp_path)
        assert {each.name for each in tmp_path.iterdir()} == {f"short-{look}.png" for look in LOOKS}
        await page.set_content('<div style="width: 400px">wide</div>')
        with pytest.raises(AssertionError, match="wider than a window of 360"):
            await look_at(page, "wide", tmp_path)
