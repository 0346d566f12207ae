"""How long the console's pages take with many webhooks and a long past, and what a browser makes of them."""

from __future__ import annotations

import socket
import time

import aiohttp

from hookpost_server.domain import ids
from tests.console.browser import CHROMIUM, chromium

from ..past import make_counters, make_history
from ..receipt import percentile
from ..stage import Stage

WEBHOOKS = 10_000
BUSY = 100  # of them, which the past belongs to
ROWS = 30_000_000  # events, deliveries and attempts, a third each
CALLS = 100
VISITS = 5
_PAINT = """() => {
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
        await make_history(url, stage.number(ROWS, least=1000), tenant, known[:BUSY])
        await make_counters(url, tenant, known[-BUSY:], others=count)
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
        for name, page in pages.items():
            figures = await _at_the_server(page)
            if CHROMIUM:
                figures |= await _in_a_browser(page)
            stage.add(name, "hookpost", **figures)


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


async def _in_a_browser(page: str) -> dict[str, float]:
    """The median of first visits: nothing is cached, but the browser itself is warm."""
    seen = []
    async with chromium() as browser:
        for _ in range(VISITS):
            context = await browser.new_context()
            tab = await context.new_page()
            await tab.goto(page, wait_until="networkidle")
            seen.append(await tab.evaluate(_PAINT))
            await context.close()
    paint, size = sorted(seen)[len(seen) // 2]
    return {"first paint ms": paint, "loaded kB": size / 1000}
