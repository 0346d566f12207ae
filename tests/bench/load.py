"""Producers: unary, batch, stream and paced, over a given channel. Times are the producer's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import grpc

from hookpost.v1 import event_service_pb2, event_service_pb2_grpc

TYPE = "User.Created"
BATCH = 100  # events of one BatchEmitEvents
MAX_OPEN = 800  # paced calls under way; the server takes 1000 streams on a connection
PADDING = "x" * 380  # makes a payload of about 500 bytes


@dataclass(frozen=True, slots=True)
class Run:
    """What a producer saw."""

    events: int
    seconds: float
    latencies: list[int]  # microseconds from the call to its answer, sorted


def request() -> event_service_pb2.EmitEventRequest:
    """One event; `t0` is when it was made, by the clock that the receiver reads too."""
    now = time.monotonic_ns() // 1000
    text = (
        f'{{"t0":{now},"userAgent":"Mozilla/5.0","ip":"203.0.113.9","data":{{"id":"u758hu661ovk","note":"{PADDING}"}}}}'
    )
    return event_service_pb2.EmitEventRequest(type=TYPE, json=text)


async def _closed_loop(producers: int, calls: int, call: Callable[[], Awaitable[None]]) -> list[int]:
    """`producers` that call one after the other, `calls` in all; returns sorted latencies."""
    latencies: list[int] = []
    left = iter(range(calls))

    async def produce() -> None:
        for _ in left:
            began = time.monotonic_ns()
            await call()
            latencies.append((time.monotonic_ns() - began) // 1000)

    async with asyncio.TaskGroup() as group:
        for _ in range(producers):
            group.create_task(produce())
    return sorted(latencies)


async def unary(channel: grpc.aio.Channel, events: int, producers: int = 64) -> Run:
    stub = event_service_pb2_grpc.EventServiceStub(channel)

    async def call() -> None:
        await stub.EmitEvent(request(), timeout=60)

    began = time.monotonic()
    latencies = await _closed_loop(producers, events, call)
    return Run(events, time.monotonic() - began, latencies)


async def batch(channel: grpc.aio.Channel, events: int, producers: int = 4) -> Run:
    stub = event_service_pb2_grpc.EventServiceStub(channel)

    async def call() -> None:
        requests = [request() for _ in range(BATCH)]
        await stub.BatchEmitEvents(event_service_pb2.BatchEmitEventsRequest(requests=requests), timeout=60)

    began = time.monotonic()
    latencies = await _closed_loop(producers, events // BATCH, call)
    return Run(events // BATCH * BATCH, time.monotonic() - began, latencies)


async def stream(channel: grpc.aio.Channel, events: int, window: int = 500) -> Run:
    """One stream with at most `window` events unanswered."""
    stub = event_service_pb2_grpc.EventServiceStub(channel)
    call = stub.StreamEmitEvents()
    room = asyncio.Semaphore(window)
    sent: dict[int, int] = {}
    latencies: list[int] = []

    async def write() -> None:
        for sequence in range(events):
            await room.acquire()
            sent[sequence] = time.monotonic_ns()
            await call.write(event_service_pb2.StreamEmitEventsRequest(sequence=sequence, event=request()))
        await call.done_writing()

    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        async for answer in call:
            now = time.monotonic_ns()
            for result in answer.results:
                if result.WhichOneof("result") != "response":
                    raise RuntimeError(f"refused: {result.error.message}")
                latencies.append((now - sent.pop(result.sequence)) // 1000)
                room.release()
    return Run(events, time.monotonic() - began, sorted(latencies))


async def paced(channel: grpc.aio.Channel, rate: int, seconds: float) -> Run:
    """Unary calls at a steady rate, whatever the answers take; at most MAX_OPEN are open at once."""
    stub = event_service_pb2_grpc.EventServiceStub(channel)
    latencies: list[int] = []
    room = asyncio.Semaphore(MAX_OPEN)

    async def call() -> None:
        began = time.monotonic_ns()
        async with room:
            await stub.EmitEvent(request(), timeout=60)
        latencies.append((time.monotonic_ns() - began) // 1000)

    began = time.monotonic()
    events = int(rate * seconds)
    async with asyncio.TaskGroup() as group:
        for number in range(events):
            if (wait := began + number / rate - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            group.create_task(call())
    return Run(events, time.monotonic() - began, sorted(latencies))
