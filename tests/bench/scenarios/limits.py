"""What the parts do when they are alone: nothing built of them can be faster."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator

from ..inbox import HOSTS
from ..load import Order
from ..processes import Process, cpu_seconds
from ..stage import Stage

SECONDS = 2.0


class Worker:
    """A process of limit.py that works when told."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    @contextlib.asynccontextmanager
    async def start(cls, stage: Stage, *command: str) -> AsyncIterator[Worker]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.bench.limit", *command,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "SSL_CERT_FILE": str(stage.directory / "ca.pem")},
        )  # fmt: skip
        await process.stdout.readline()
        try:
            yield cls(process)
        finally:
            process.stdin.close()
            await process.wait()

    async def work(self, seconds: float) -> tuple[int, float]:
        """(number done, CPU seconds)"""
        self._process.stdin.write(f"{seconds}\n".encode())
        done, cpu = (await self._process.stdout.readline()).split()
        return int(done), float(cpu)


async def limits(stage: Stage) -> None:
    """Empty gRPC handlers, bare inserts of 200 events, a sender alone: each at its own best, on this machine."""
    hosts = [stage.inbox.url(host, tls=True) for host in range(HOSTS)]
    server = await Process.start(
        sys.executable, "-m", "tests.bench.limit", "grpc",
        ready=r"ready at (\S+)\n", output=stage.directory / "limit.log", environment=os.environ,
    )  # fmt: skip
    try:
        async with contextlib.AsyncExitStack() as stack:
            committer = await stack.enter_async_context(Worker.start(stage, "commit", await stage.database()))
            senders = {
                f"{kind} sender alone, {case}": await stack.enter_async_context(
                    Worker.start(stage, "send", kind, *urls)
                )
                for kind in ("native", "aiohttp")
                for case, urls in {"1 plain": [stage.inbox.url()], "1 TLS": hosts[:1], f"{HOSTS} TLS": hosts}.items()
            }
            for _ in range(stage.options.rounds):
                await _calls(stage, server, "unary", 64)
                await _calls(stage, server, "batch", 4)
                await _work(stage, "commits of 200 events", committer, stage.postgres_pid, "postgres µs")
                for case, sender in senders.items():
                    await sender.work(stage.seconds(0.5))  # connections are made
                    await _work(stage, case, sender, stage.inbox.process.pid, "receiver µs")
    finally:
        await server.stop()


async def _calls(stage: Stage, server: Process, shape: str, at_once: int) -> None:
    order = Order(shape=shape, tenant=stage.tenant(), seconds=stage.seconds(SECONDS), at_once=at_once)
    before = cpu_seconds(server.pid)
    sent = await stage.outbox.produce(server.said, order)
    events = len(sent.times)
    stage.add(
        f"empty gRPC handler, {shape}", "raw", **{
            "done/s": events / sent.seconds,
            "process µs": (cpu_seconds(server.pid) - before) / events * 1e6,
            "load µs": sent.cpu / events * 1e6,
        },
    )  # fmt: skip


async def _work(stage: Stage, case: str, worker: Worker, other: int, other_name: str) -> None:
    before, began = cpu_seconds(other), time.monotonic()
    done, cpu = await worker.work(stage.seconds(SECONDS))
    stage.add(
        case, "raw", **{
            "done/s": done / (time.monotonic() - began),
            "process µs": cpu / done * 1e6,
            other_name: (cpu_seconds(other) - before) / done * 1e6,
        },
    )  # fmt: skip
