"""The raw limits, each in a process of its own that does one thing and nothing else.

`python -m tests.bench.limit grpc` serves EmitEvent and BatchEmitEvents without doing anything. `commit DATABASE_URL`
and `send SENDER URL…` work for the seconds that a line on standard input tells, and answer (number done, CPU seconds).
"""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import sys
import time
from collections.abc import Awaitable, Callable

import asyncpg
import grpc

from hookpost.v1 import event_service_pb2, event_service_pb2_grpc
from hookpost_server.delivery.aiohttp_sender import AiohttpSender
from hookpost_server.delivery.gate import Gate
from hookpost_server.delivery.native_sender import NativeSender
from hookpost_server.domain import ids
from hookpost_server.domain.addresses import AddressPolicy
from hookpost_server.domain.request import Request

BATCH = 200  # events of one bare commit
COMMITTERS, REQUESTS = 2, 64  # at once
SENDERS = {"native": NativeSender, "aiohttp": AiohttpSender}
BODY = b'{"n":"0","note":"' + b"x" * 480 + b'"}'
SCHEMA = """
    create table bare_events (id uuid primary key, type text, payload bytea);
    create table bare_deliveries (id uuid primary key, event_id uuid, due_at timestamptz default now());
"""
INSERT = """
    with stored as (insert into bare_events select * from unnest($1::uuid[], $2::text[], $3::bytea[]))
    insert into bare_deliveries (id, event_id) select * from unnest($1::uuid[], $1::uuid[])
"""


class Empty(event_service_pb2_grpc.EventServiceServicer):
    """Answers, and that is all."""

    async def EmitEvent(self, request, context):
        return event_service_pb2.EmitEventResponse(event_id="evt_0")

    async def BatchEmitEvents(self, request, context):
        answer = event_service_pb2.EmitEventResponse(event_id="evt_0")
        return event_service_pb2.BatchEmitEventsResponse(responses=[answer] * len(request.requests))


async def serve() -> None:
    server = grpc.aio.server()
    event_service_pb2_grpc.add_EventServiceServicer_to_server(Empty(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"ready at 127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


async def commit(database_url: str) -> None:
    """Two rows an event in one statement of BATCH events, as group commit does at its best."""
    pool = await asyncpg.create_pool(database_url, min_size=COMMITTERS, max_size=COMMITTERS)
    await pool.execute(SCHEMA)
    types, payloads = ["Bench.H0000"] * BATCH, [BODY] * BATCH

    async def once() -> int:
        await pool.execute(INSERT, [ids.new(time.time()) for _ in range(BATCH)], types, payloads)
        return BATCH

    await _work(COMMITTERS, once)
    await pool.close()


async def send(kind: str, *urls: str) -> None:
    """A sender alone, one URL after the other."""
    sender = SENDERS[kind](Gate(AddressPolicy(allow=(ipaddress.ip_network("127.0.0.0/8"),), deny=())))
    numbers = itertools.count()

    async def once() -> int:
        number = next(numbers)
        headers = (("content-type", "application/json"), ("hookpost-delivery", f"bare-{number}"))
        outcome = await sender.send(Request(urls[number % len(urls)], headers, BODY, 10.0))
        if outcome.status != 200:
            raise RuntimeError(f"{outcome.result.name}: {outcome.error}")
        return 1

    await _work(REQUESTS, once)
    await sender.close()


async def _work(workers: int, once: Callable[[], Awaitable[int]]) -> None:
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    print("ready", flush=True)
    while line := await lines.readline():
        end, done = time.monotonic() + float(line), 0

        async def work(end: float) -> None:
            nonlocal done
            while time.monotonic() < end:
                finished = await once()
                done += finished

        began = time.process_time()
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(work(end))
        print(done, time.process_time() - began, flush=True)


if __name__ == "__main__":
    import uvloop

    uvloop.run({"grpc": serve, "commit": commit, "send": send}[sys.argv[1]](*sys.argv[2:]))
