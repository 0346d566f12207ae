"""Who asks whether the server is well is told the truth, and a port that is taken is named."""

from __future__ import annotations

import asyncio

import pytest

from hookpost_server import app
from tests.faults.proxy import Proxy
from tests.rpc.serving import config, connected, eventually, serving

from .conftest import ANY_PORT
from .scraping import get, scrape


async def test_ready_while_the_database_answers(database_url: str) -> None:
    proxy = Proxy(database_url)
    await proxy.open()
    try:
        async with serving(config(proxy.url, metrics_address=ANY_PORT)) as server:
            assert (await get(server.metrics_address, "/readyz"))[0] == 200

            async def answers(status: int) -> bool | None:
                return True if (await get(server.metrics_address, "/readyz"))[0] == status else None

            await proxy.close()
            await eventually(lambda: answers(503))
            assert (await get(server.metrics_address, "/healthz"))[0] == 200
            assert (await scrape(server.metrics_address)).value("hookpost_database_up") == 0
            await proxy.open()
            await eventually(lambda: answers(200))
            assert (await scrape(server.metrics_address)).value("hookpost_database_up") == 1
    finally:
        await proxy.close()


async def test_not_ready_while_it_stops(database_url: str) -> None:
    """A balancer sends no more calls, and the last figures can still be had."""
    async with serving(config(database_url, metrics_address=ANY_PORT)) as server, connected(server.address) as client:
        watch = client.watch()
        await watch.read()
        server.stop.set()

        async def stopping() -> bool | None:
            return True if (await get(server.metrics_address, "/readyz"))[0] == 503 else None

        await eventually(stopping)
        assert (await get(server.metrics_address, "/healthz"))[0] == 200
        watch.cancel()


async def test_off(database_url: str) -> None:
    async with serving(config(database_url)) as server, connected(server.address) as client:
        assert server.metrics_address is None
        assert (await client.emit()).event_id


async def test_a_taken_port_is_named(database_url: str) -> None:
    async with serving(config(database_url, metrics_address=ANY_PORT)) as server:
        taken = config(database_url, metrics_address=server.metrics_address)
        with pytest.raises(app.StartError, match=str(server.metrics_address)) as caught:
            await app.serve(taken, ready=lambda running: None, stop=asyncio.Event())
    assert "HOOKPOST_METRICS_ADDRESS" in caught.value.hint
