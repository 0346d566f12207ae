"""The producer: emits at a steady rate and notes every acknowledgement in a file, one JSON line each.

A process of its own: `python -m tests.faults.producer JSON`, see `Orders`. It repeats each event under its idempotency
key until it is acknowledged. When its standard input ends it begins no new event, brings to an end what it began,
prints a summary as JSON and exits.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

import grpc

from hookpost.v1 import event_service_pb2, event_service_pb2_grpc

PASSING = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.CANCELLED,
    }
)
SOON = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200)]


@dataclass(frozen=True)
class Orders:
    """What to emit, and where."""

    addresses: list[str]  # servers, taken in turn
    tenant: str
    acks: str  # the file
    name: str = "p"  # distinguishes the keys of two producers
    rate: float = 50.0  # calls a second
    workers: int = 8  # calls at once
    batch: int = 0  # events of a BatchEmitEvents; 0: EmitEvent
    deadline: float = 10.0  # seconds for one call
    patience: float = 60.0  # seconds for which an event is repeated after the end was announced


@dataclass
class Summary:
    """What the producer saw."""

    acknowledged: int = 0
    given_up: list[str] = field(default_factory=list)  # keys never acknowledged
    refusals: Counter[str] = field(default_factory=Counter)  # by code; each was repeated
    errors: Counter[str] = field(default_factory=Counter)  # codes that no fault excuses
    slowest: float = 0.0  # seconds from a call to its answer


class Producer:
    """Emits until `stopping` is set."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._file = os.open(orders.acks, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._channels = [grpc.aio.insecure_channel(address, options=SOON) for address in orders.addresses]
        self._stubs = [event_service_pb2_grpc.EventServiceStub(channel) for channel in self._channels]
        self._numbers = 0
        self._next = time.monotonic()
        self._give_up = float("inf")
        self.stopping = asyncio.Event()
        self.summary = Summary()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(self._orders.workers):
                group.create_task(self._work())
            await self.stopping.wait()
            self._give_up = time.monotonic() + self._orders.patience
        for channel in self._channels:
            await channel.close()

    async def _work(self) -> None:
        while not self.stopping.is_set():
            now = time.monotonic()
            self._next = max(self._next, now - 0.2) + 1 / self._orders.rate
            await asyncio.sleep(self._next - now)
            keys = []
            for _ in range(self._orders.batch or 1):
                self._numbers += 1
                keys.append(f"{self._orders.name}-{self._numbers}")
            await self._emit(keys)

    async def _emit(self, keys: list[str]) -> None:
        tenant = self._orders.tenant
        requests = [
            event_service_pb2.EmitEventRequest(
                type="User.Created", tenant_id=tenant, json=f'{{"key":"{key}"}}', idempotency_key=key
            )
            for key in keys
        ]
        turn = self._numbers
        while True:
            stub = self._stubs[turn % len(self._stubs)]
            turn += 1
            began = time.monotonic()
            try:
                if self._orders.batch:
                    batch = event_service_pb2.BatchEmitEventsRequest(tenant_id=tenant, requests=requests)
                    answers = (await stub.BatchEmitEvents(batch, timeout=self._orders.deadline)).responses
                else:
                    answers = [await stub.EmitEvent(requests[0], timeout=self._orders.deadline)]
            except grpc.aio.AioRpcError as error:
                self._saw(began)
                if error.code() not in PASSING:
                    self.summary.errors[error.code().name] += 1
                    print(error, file=sys.stderr)
                else:
                    self.summary.refusals[error.code().name] += 1
                if error.code() not in PASSING or time.monotonic() > self._give_up:
                    self.summary.given_up += keys
                    return
                await asyncio.sleep(0.05)
            else:
                self._saw(began)
                self._note(keys, [answer.event_id for answer in answers])
                return

    def _saw(self, began: float) -> None:
        self.summary.slowest = max(self.summary.slowest, time.monotonic() - began)

    def _note(self, keys: list[str], events: list[str]) -> None:
        lines = [
            json.dumps({"time": time.time(), "key": key, "event": event})
            for key, event in zip(keys, events, strict=True)
        ]
        os.write(self._file, ("\n".join(lines) + "\n").encode())
        self.summary.acknowledged += len(keys)


async def main(orders: Orders) -> None:
    producer = Producer(orders)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with asyncio.TaskGroup() as group:
        group.create_task(producer.run())
        await lines.read()
        producer.stopping.set()
    print(json.dumps(vars(producer.summary)), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Orders(**json.loads(sys.argv[1]))))
