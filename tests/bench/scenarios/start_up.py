"""How long a start takes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

from ..designs import CLEAN, COMMAND, Hookpost
from ..load import Order
from ..processes import Process
from ..stage import Stage


async def start_up(stage: Stage) -> None:
    """`serve` until it takes calls, on an empty and on a migrated database; `dev` until a first delivery has come."""
    for _ in range(stage.options.rounds):
        database = await stage.database()
        for case in ("serve, empty database", "serve, migrated database"):
            began = time.monotonic()
            async with stage.hookpost(database):
                stage.add(case, "hookpost", **{"ready s": time.monotonic() - began})
        directory = stage.directory / f"dev-{stage.tenant()}"
        for case in ("dev, new directory", "dev, directory with data"):
            began = time.monotonic()
            async with _dev(directory) as server:
                ready = time.monotonic() - began
                await _first_delivery(stage, server)
                stage.add(case, "hookpost", **{"ready s": ready, "first delivery s": time.monotonic() - began})


@contextlib.asynccontextmanager
async def _dev(directory: Path) -> AsyncIterator[Hookpost]:
    process = await Process.start(
        COMMAND, "dev", "--data-dir", str(directory), "--grpc-address", "127.0.0.1:0",
        ready=r"gRPC +(\S+)", output=directory.with_suffix(".log"),
        environment=CLEAN | {"HOOKPOST_EVENT_TYPES": "open"},
    )  # fmt: skip
    server = Hookpost("dev", process, "")
    try:
        yield server
    finally:
        await server.stop()


async def _first_delivery(stage: Stage, server: Hookpost) -> None:
    tenant = stage.tenant()
    await server.subscribe(tenant, [stage.inbox.url()])
    mark = stage.inbox.tally.count
    sent = await stage.outbox.produce(server.address, Order(shape="unary", tenant=tenant, seconds=0, events=1))
    await stage.inbox.wait_for(mark, sent.numbers, 1, 30)
    if stage.inbox.tally.count == mark:
        raise RuntimeError("nothing was delivered")
