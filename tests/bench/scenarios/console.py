"""How long the console's pages take with many webhooks and a long past, and what a browser makes of them."""

from __future__ import annotations

import socket
import time
from statistics import median

import aiohttp
import asyncpg
from playwright.async_api import BrowserContext

from hookpost_server.domain import ids
from tests.console.browser import CHROMIUM, chromium

from ..past import make_counters, make_log
from ..receipt import percentile
from ..stage import Stage

WEBHOOKS = 10_000
BUSY = 100  # of them, which the past belongs to
OTHERS = 1000  # webhooks that have counters too
DELIVERIES = 10_000_000
CALLS = 100
VISITS = 5
# What Chromium needs to show one line of text from the same server, without style or script: nobody can be faster.
FLOOR = "a line of text"
_PAINT = """async () => {
    while (!performance.getEntriesByName("first-contentful-paint").length) await new Promise(requestAnimationFrame);
    const loaded = [performance.getEntriesByType("navigation")[0], ...performance.getEntriesByType("resource")];
    return [performance.getEntriesByName("first-contentful-paint")[0].startTime,
            loaded.reduce((sum, each) => sum + each.transferSize, 0)];
}"""


async def console(stage: Stage) -> None:
    """Each page at the server, and as a first visit in Chromium: first paint, and bytes with style and script."""
    tenant = stage.tenant()
    url = await stage.database()
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    async with stage.hookpost(url, HOOKPOST_CONSOLE_ADDRESS=address, HOOKPOST_MAX_WEBHOOKS=str(WEBHOOKS)) as server:
        count = stage.number(WEBHOOKS, least=BUSY)
        webhooks = await server.subscribe(tenant, [stage.inbox.url()] * count)
        known = [ids.parse(ids.WEBHOOK, webhook) for webhook in webhooks]
        began = time.monotonic()
        made = await make_log(url, stage.number(DELIVERIES, least=1000), tenant, known[:BUSY])
        await make_counters(url, tenant, known[-BUSY:], others=stage.number(OTHERS))
        stage.add("the past", "postgres", deliveries=made, seconds=time.monotonic() - began, GB=await _size(url) / 1e9)
        root, one = f"http://{address}/t/{tenant}/webhooks", f"{webhooks[0]}"
        pages = {
            "list": root,
            "list, searched": f"{root}?q=bench+77",
            "list, nothing found": f"{root}?q=nothing",
            "create": f"{root}/new",
            "settings": f"{root}/{one}/settings",
            "requests": f"{root}/{one}/requests?range=7d",
            "requests, failed": f"{root}/{one}/requests?range=7d&state=failed",
            "requests, no answer": f"{root}/{one}/requests?range=7d&code=none",
            "health": f"{root}/{webhooks[-1]}/health",
        }
        seen = await _in_a_browser({FLOOR: f"http://{address}/static/nothing"} | pages) if CHROMIUM else {}
        for name in (*seen.keys() - pages.keys(), *pages):
            at_the_server = await _at_the_server(pages[name]) if name in pages else {}
            stage.add(name, "hookpost" if name in pages else "chromium", **at_the_server, **seen.get(name, {}))


async def _size(url: str) -> int:
    """Bytes on disk."""
    connection = await asyncpg.connect(url)
    try:
        size: int = await connection.fetchval("select pg_database_size(current_database())")
        return size
    finally:
        await connection.close()


async def _at_the_server(page: str) -> dict[str, float]:
    times = []
    async with aiohttp.ClientSession() as session:
        for _ in range(CALLS):
            began = time.monotonic_ns()
            async with session.get(page) as answer:
                answer.raise_for_status()
                size = len(await answer.read())
            times.append((time.monotonic_ns() - began) // 1000)
    first, *rest = times
    rest.sort()
    return {
        "first ms": first / 1000,
        "p50 ms": percentile(rest, 0.5),
        "p99 ms": percentile(rest, 0.99),
        "page kB": size / 1000,
    }


async def _in_a_browser(pages: dict[str, str]) -> dict[str, dict[str, float]]:
    """Medians of visits to one page after the other, each by a browser that is warm but has nothing cached, then again.

    In turns, so that what else the machine does befalls all pages alike.
    """
    seen: dict[str, list[tuple[float, float, float]]] = {name: [] for name in pages}
    async with chromium() as browser:
        for _ in range(VISITS):
            for name, page in pages.items():
                context = await browser.new_context()
                first, size = await _paint(context, page)
                again, _ = await _paint(context, page)
                seen[name].append((first, again, size))
                await context.close()
    return {
        name: {"first paint ms": first, "next visit ms": again, "loaded kB": size / 1000}
        for name, visits in seen.items()
        for first, again, size in [map(median, zip(*visits, strict=True))]
    }


async def _paint(context: BrowserContext, page: str) -> tuple[float, float]:
    """Milliseconds to the first paint, and bytes loaded."""
    tab = await context.new_page()
    await tab.goto(page, wait_until="networkidle")
    paint, size = await tab.evaluate(_PAINT)
    await tab.close()
    return paint, size
