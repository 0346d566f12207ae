"""The producer, a process of its own: `python -m tests.bench.load` reads orders as lines of JSON and answers each.

Closed loop (`rate` 0): so many calls at once as told, each followed by the next, until the time is up. Paced: at a
steady rate whatever the answers take, with a bound on what is unanswered; an event counts as sent when it was due, so
that a queue at the producer is part of the latency.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from array import array
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import grpc

from hookpost.v1 import event_service_pb2

from .template import Template

SERVICE = "/hookpost.v1.EventService/"
MAX_OPEN = 800  # calls; the server takes 1000 streams on a connection
MAX_UNANSWERED = 10_000  # events on a paced stream
TICK = 0.005  # seconds between paced batches
CALL_TIMEOUT = 60.0  # seconds
AGAIN = 0.05  # seconds until a refused call is made again


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to produce. It ends after `seconds`, or after `events` if any are given."""

    shape: str  # unary, stream or batch
    tenant: str
    seconds: float
    types: tuple[int, int] = (0, 1)  # indices of event types, from and to
    events: int = 0
    rate: int = 0  # a second; 0: closed loop
    at_once: int = 64  # calls, or unanswered events of a stream, in the closed loop
    batch: int = 100  # events of a call


class Producer:
    """One run."""

    def __init__(self, channel: grpc.aio.Channel, order: Order, first: int) -> None:
        self.order = order
        self.template = Template(order.tenant, range(*order.types), first)
        self.sent = array("Q")  # by number: when it was sent or due, microseconds
        self.answers: list[int] = []  # microseconds from there to the answer, one for each call or streamed event
        self.refused = 0  # calls or streamed events that were told to come again
        self._first = first
        self._unary = channel.unary_unary(SERVICE + "EmitEvent")
        self._batch = channel.unary_unary(SERVICE + "BatchEmitEvents")
        self._stream = channel.stream_stream(
            SERVICE + "StreamEmitEvents",
            response_deserializer=event_service_pb2.StreamEmitEventsResponse.FromString,
        )
        self._end = time.monotonic() + order.seconds

    async def run(self) -> None:
        """Produces, and returns when everything is answered."""
        match self.order.shape, self.order.rate:
            case "stream", _:
                await self._streamed()
            case _, 0:
                await self._closed_loop()
            case _, rate:
                await self._paced(rate)

    def _more(self) -> bool:
        limit = self.order.events
        return len(self.sent) < limit if limit else time.monotonic() < self._end

    def _next_call(self, events: int, when: int) -> Awaitable[None]:
        self.sent.extend([when] * events)
        if self.order.shape == "unary":
            return self._call(self._unary, self.template.one(), when)
        return self._call(self._batch, self.template.batch(events), when)

    async def _call(self, method: Callable[..., Awaitable[object]], request: bytes, when: int) -> None:
        while True:
            try:
                await method(request, timeout=CALL_TIMEOUT)
                break
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                    raise
            self.refused += 1
            await asyncio.sleep(AGAIN)
        self.answers.append(_now() - when)

    async def _closed_loop(self) -> None:
        events = 1 if self.order.shape == "unary" else self.order.batch

        async def produce() -> None:
            while self._more():
                await self._next_call(events, _now())

        async with asyncio.TaskGroup() as group:
            for _ in range(self.order.at_once):
                group.create_task(produce())

    async def _paced(self, rate: int) -> None:
        room = asyncio.Semaphore(MAX_OPEN)
        events = 1 if self.order.shape == "unary" else max(1, round(rate * TICK))
        due = _now()

        async def call(when: int) -> None:
            try:
                await self._next_call(events, when)
            finally:
                room.release()

        async with asyncio.TaskGroup() as group:
            while self._more():
                if (wait := due - _now()) > 0:
                    await asyncio.sleep(wait / 1e6)
                await room.acquire()
                group.create_task(call(due))
                due += round(events * 1e6 / rate)

    async def _streamed(self) -> None:
        call = self._stream()
        rate = self.order.rate
        room = asyncio.Semaphore(MAX_UNANSWERED if rate else self.order.at_once)

        async def write() -> None:
            began = _now()
            while self._more():
                due = began + len(self.sent) * 1_000_000 // rate if rate else 0
                if (wait := due - _now()) > 0:
                    await asyncio.sleep(wait / 1e6)
                await room.acquire()
                self.sent.append(due or _now())
                await call.write(self.template.in_stream())
            await call.done_writing()

        async def read() -> None:
            async for answer in call:
                now = _now()
                for result in answer.results:
                    if result.HasField("error"):
                        raise RuntimeError(f"refused in the stream: {result.error.message}")
                    self.answers.append(now - self.sent[result.sequence - self._first])
                    room.release()

        async with asyncio.TaskGroup() as group:
            group.create_task(write())
            group.create_task(read())
        if len(self.answers) < len(self.sent):
            raise RuntimeError(f"the stream ended with {len(self.sent) - len(self.answers)} events unanswered")


def _now() -> int:
    return time.monotonic_ns() // 1000


async def main() -> None:
    channels: dict[str, grpc.aio.Channel] = {}
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    print("ready", flush=True)
    while line := await lines.readline():
        told = json.loads(line)
        order = Order(**told["order"])
        channel = channels.setdefault(told["address"], grpc.aio.insecure_channel(told["address"]))
        began, cpu = time.monotonic(), time.process_time()
        producer = Producer(channel, order, told["first"])
        await producer.run()
        seconds, cpu = time.monotonic() - began, time.process_time() - cpu
        Path(told["sent"]).write_bytes(producer.sent.tobytes())
        answers = sorted(producer.answers)
        result = {"events": len(producer.sent), "refused": producer.refused, "seconds": seconds, "cpu": cpu}
        print(json.dumps(result | {"answers": [_at(answers, 0.5), _at(answers, 0.99)]}), flush=True)
    for channel in channels.values():
        await channel.close()


def _at(values: list[int], share: float) -> float:
    """Milliseconds."""
    return values[min(len(values) - 1, int(len(values) * share))] / 1000 if values else 0.0


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
