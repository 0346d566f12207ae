"""How a webhook has been doing: figures, a chart of its requests, how fast it answers; each chart as a table too."""

from __future__ import annotations

from aiohttp import web

from ...domain.health import BOUNDS
from ..charts import bars, columns
from ..route import get
from ..visit import Visit
from ..webhook_page import asked_for, webhook_page

WINDOWS = {"1h": 3600.0, "24h": 86400.0, "7d": 604_800.0}  # seconds
WIDTH, HEIGHT = 960, 160


async def show(visit: Visit) -> web.Response:
    """Of the last 24 hours unless another window is chosen."""
    webhook = await asked_for(visit)
    window = visit.query.get("window", "")
    window = window if window in WINDOWS else "24h"
    seconds = WINDOWS[window]
    figures = (await visit.parts.health.of(visit.tenant_id, [webhook.id], seconds))[webhook.id]
    points = await visit.parts.health.series(visit.tenant_id, webhook.id, seconds, by_hour=window != "1h")
    return await webhook_page(
        visit,
        webhook,
        "health",
        window=window,
        windows=list(WINDOWS),
        figures=figures,
        points=points,
        chart=bars(points, WIDTH, HEIGHT, gap=2),
        ticks=_ticks(len(points)),
        by_hour=window != "1h",
        latencies=list(zip((*BOUNDS, None), figures.latencies, strict=False)),
        latency_chart=columns(list(figures.latencies), WIDTH, HEIGHT - 60),
        held_for=visit.parts.held_for(webhook.id),
    )


def _ticks(count: int) -> list[int]:
    """Which bars have their time below them: about six."""
    return list(range(0, count, max(1, round(count / 6))))


ROUTES = [get("/webhooks/{id}/health", show)]
