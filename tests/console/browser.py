"""A real browser: Debian's Chromium by Playwright, watched for errors and for requests to other hosts."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.async_api import Browser, ConsoleMessage, Page, Request, async_playwright

SCREENSHOTS = Path(__file__).parent / "screenshots"
CHROMIUM = os.environ.get("HOOKPOST_TEST_CHROMIUM") or shutil.which("chromium") or ""
needs_browser = pytest.mark.skipif(
    not CHROMIUM,
    reason="no Chromium: apt-get install chromium (make test does it for root), or set HOOKPOST_TEST_CHROMIUM",
)
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 320, "height": 700}
# WCAG 2.2 AA, and what axe's authors call good practice.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM)
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Window:
    """A page, and what must not happen on it."""

    page: Page
    root: str
    scripted: bool = True
    faults: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ()  # parts of console errors that the test provokes

    async def go(self, path: str) -> None:
        """Until scripts have come too, if any run."""
        await self.page.goto(self.root + path)
        if self.scripted:
            await self.page.locator("html[data-ready]").wait_for()

    @property
    def path(self) -> str:
        parts = urlsplit(self.page.url)
        return parts.path + (f"?{parts.query}" if parts.query else "")

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(part in message.text for part in self.expected):
            self.faults.append(f"{self.path}: {message.text}")

    def _asked(self, request: Request) -> None:
        asked = urlsplit(request.url)
        if asked.scheme not in ("data", "blob") and asked.netloc != urlsplit(self.root).netloc:
            self.faults.append(f"{self.path} asked {request.url}")


@asynccontextmanager
async def window(browser: Browser, root: str, **options: Any) -> AsyncIterator[Window]:
    """A fresh profile. Fails at its end if there was an error, or a request to another host."""
    context = await browser.new_context(**({"viewport": WIDE, "reduced_motion": "reduce"} | options))
    context.set_default_timeout(15_000)
    opened = Window(await context.new_page(), root, options.get("java_script_enabled", True))
    opened.page.on("console", opened._said)
    opened.page.on("request", opened._asked)
    opened.page.on("pageerror", lambda error: opened.faults.append(f"{opened.path}: {error}"))
    try:
        yield opened
    finally:
        await context.close()
    assert not opened.faults, "\n".join(opened.faults)


async def violations(page: Page) -> list[str]:
    """What axe finds on the page as it is now: light and narrow everything, dark and wide what a theme can break."""
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(AXE_SCRIPT)
    looks = (
        ("light", NARROW, {"type": "tag", "values": RULES}),
        ("dark", WIDE, {"type": "rule", "values": ["color-contrast", "link-in-text-block", "target-size"]}),
    )
    told = []
    for theme, size, rules in looks:
        await page.emulate_media(color_scheme=theme)
        await page.set_viewport_size(size)
        options = {"resultTypes": ["violations"], "runOnly": rules}
        found = await page.evaluate("options => axe.run(document, options)", options)
        told += [
            f"{theme}: {each['id']}: {[node['html'][:160] for node in each['nodes']]}" for each in found["violations"]
        ]
    return told


async def sideways(page: Page) -> list[int]:
    """The widths at which the page scrolls sideways; 320 px, and 1280 px at 200 %, are WCAG 1.4.10's."""
    wide = []
    for width in (1000, 800, 640, 320):
        await page.set_viewport_size({"width": width, "height": 700})
        if await page.evaluate("document.documentElement.scrollWidth") > width:
            wide.append(width)
    return wide


async def pictures(page: Page, name: str) -> None:
    """Of both themes, wide and narrow, into a folder that git ignores, for people to look at; if they want."""
    if not os.environ.get("HOOKPOST_TEST_SCREENSHOTS"):
        return
    SCREENSHOTS.mkdir(exist_ok=True)
    for kind, size in (("narrow", NARROW), ("wide", WIDE)):
        await page.set_viewport_size(size)
        for theme in THEMES:
            await page.emulate_media(color_scheme=theme)
            await page.screenshot(path=SCREENSHOTS / f"{name}-{kind}-{theme}.png", full_page=True)
