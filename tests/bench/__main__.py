"""`make bench`: Hookpost and the naive design in turn, on this machine, with one receiver that counts.

Every row says what was lost (acknowledged but not received; must be 0) and doubled. Server, PostgreSQL, receiver and
producer share the machine. Prints a table, writes JSON beside it; asserts no time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from hookpost.v1 import webhook_pb2, webhook_service_pb2, webhook_service_pb2_grpc
from hookpost_server.embedded import EmbeddedPostgres

from . import load

RESULTS = Path(__file__).parent / "results"
Producer = Callable[[grpc.aio.Channel], Awaitable[load.Run]]


@dataclass(slots=True)
class Row:
    design: str
    shape: str
    events: int
    emitted_per_second: float
    received_per_second: float
    answer_p50_ms: float
    answer_p99_ms: float
    received_p50_ms: float
    received_p99_ms: float
    lost: int
    doubled: int
    extra: dict[str, Any] = field(default_factory=dict)


class Receiver:
    """The receiver's process."""

    async def __aenter__(self) -> Receiver:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.bench.receiver", stdin=-1, stdout=-1, limit=2**28
        )
        self.port = int(await self._process.stdout.readline())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._process.stdin.close()
        await self._process.wait()

    async def ask(self, command: str) -> Any:
        self._process.stdin.write(command.encode() + b"\n")
        return json.loads(await self._process.stdout.readline())

    async def wait_for(self, events: int, timeout: float = 120) -> float:
        """Until so many events came; returns when the last one was seen, monotonic. Gives up after `timeout`."""
        give_up = time.monotonic() + timeout
        while await self.ask("count") < events and time.monotonic() < give_up:  # noqa: ASYNC110  another process
            await asyncio.sleep(0.02)
        return time.monotonic()


async def measure(design: str, shape: str, channel: grpc.aio.Channel, receiver: Receiver, produce: Producer) -> Row:
    await receiver.ask("take")
    began = time.monotonic()
    run = await produce(channel)
    ended = await receiver.wait_for(run.events)
    got = await receiver.ask("take")
    row = Row(
        design,
        shape,
        run.events,
        run.events / run.seconds,
        got["events"] / (ended - began),
        _at(run.latencies, 0.5),
        _at(run.latencies, 0.99),
        _at(got["latencies"], 0.5),
        _at(got["latencies"], 0.99),
        run.events - got["events"],
        got["requests"] - got["events"],
    )
    print(_line(row), flush=True)
    return row


def _at(microseconds: list[int], share: float) -> float:
    return microseconds[min(len(microseconds) - 1, int(len(microseconds) * share))] / 1000 if microseconds else 0.0


HEAD = (
    f"{'design':<9}{'shape':<16}{'events':>8}{'emit/s':>9}{'recv/s':>9}{'answer p50':>12}{'p99 ms':>9}"
    f"{'received p50':>14}{'p99 ms':>9}{'lost':>6}{'doubled':>9}"
)


def _line(row: Row) -> str:
    return (
        f"{row.design:<9}{row.shape:<16}{row.events:>8}{row.emitted_per_second:>9.0f}{row.received_per_second:>9.0f}"
        f"{row.answer_p50_ms:>12.1f}{row.answer_p99_ms:>9.1f}{row.received_p50_ms:>14.1f}{row.received_p99_ms:>9.1f}"
        f"{row.lost:>6}{row.doubled:>9}"
    )


async def start(*command: str, **environment: str) -> tuple[asyncio.subprocess.Process, str]:
    """A server process and the address that it prints first."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=-1, env={**os.environ, **environment}
    )
    return process, (await process.stdout.readline()).decode().strip()


async def bench(scale: float) -> list[Row]:
    rows = []
    with tempfile.TemporaryDirectory(prefix="hookpost-bench-") as directory:
        settings = {"shared_buffers": "512MB", "max_wal_size": "4GB"}
        async with EmbeddedPostgres(Path(directory), settings=settings) as url, Receiver() as receiver:
            hook = f"http://127.0.0.1:{receiver.port}/hook"
            hookpost, address = await start(
                "-m",
                "tests.bench.hookpost",
                HOOKPOST_DATABASE_URL=url,
                HOOKPOST_GRPC_ADDRESS="127.0.0.1:0",
                HOOKPOST_METRICS_ADDRESS="127.0.0.1:0",
                HOOKPOST_ALLOW_HTTP="true",
                HOOKPOST_ALLOW_NETWORKS="127.0.0.0/8",
                HOOKPOST_LOG_LEVEL="warning",
            )
            naive, naive_address = await start("-m", "tests.bench.naive", url, hook)
            try:
                async with (
                    grpc.aio.insecure_channel(address) as ours,
                    grpc.aio.insecure_channel(naive_address) as theirs,
                ):
                    await subscribe(ours, hook)
                    await load.batch(ours, 2000)  # warm up
                    await load.unary(theirs, 200)
                    await receiver.wait_for(2200)
                    print(HEAD)
                    for _ in range(2):
                        for design, shape, channel, produce in [
                            ("naive", "unary", theirs, lambda c: load.unary(c, int(2000 * scale))),
                            ("hookpost", "unary", ours, lambda c: load.unary(c, int(8000 * scale))),
                            ("hookpost", "stream", ours, lambda c: load.stream(c, int(20000 * scale))),
                            ("hookpost", "batch of 100", ours, lambda c: load.batch(c, int(30000 * scale))),
                            ("naive", "paced 200/s", theirs, lambda c: load.paced(c, 200, 5 * scale)),
                            ("hookpost", "paced 200/s", ours, lambda c: load.paced(c, 200, 5 * scale)),
                            ("hookpost", "paced 1000/s", ours, lambda c: load.paced(c, 1000, 5 * scale)),
                        ]:
                            rows.append(await measure(design, shape, channel, receiver, produce))
            finally:
                for process in (hookpost, naive):
                    process.terminate()
                    await process.wait()
    return rows


async def subscribe(channel: grpc.aio.Channel, url: str) -> None:
    stub = webhook_service_pb2_grpc.WebhookServiceStub(channel)
    webhook = webhook_pb2.Webhook(name="bench", url=url, event_types=[load.TYPE], max_in_flight=64)
    await stub.CreateWebhook(webhook_service_pb2.CreateWebhookRequest(webhook=webhook))


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the numbers of events")
    scale = parser.parse_args().scale
    rows = asyncio.run(bench(scale))
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{time.strftime('%Y%m%dT%H%M%S')}.json"
    machine = {"cpus": os.cpu_count(), "machine": platform.platform(), "python": platform.python_version()}
    file.write_text(json.dumps({"machine": machine, "rows": [_as_dict(row) for row in rows]}, indent=2))
    print(f"\n{file}")


def _as_dict(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__slots__}


if __name__ == "__main__":
    main()
