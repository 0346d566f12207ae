"""The producer as the bench sees it: started, and told what to produce."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import sys
from array import array
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from .load import Order

NUMBERS = 10_000_000  # event numbers set aside for a run
_first_numbers = count(1, NUMBERS)


@dataclass(frozen=True, slots=True)
class Sent:
    """What a run produced, all of it answered."""

    first: int  # number of the first event
    times: array[int]  # microseconds, by number
    seconds: float
    answer_p50: float  # milliseconds
    answer_p99: float
    refused: int  # calls that were told to come again, and did
    cpu: float  # seconds

    @property
    def numbers(self) -> range:
        return range(self.first, self.first + len(self.times))


class Outbox:
    """A producer process. One run at a time."""

    def __init__(self, process: asyncio.subprocess.Process, file: Path) -> None:
        self._process = process
        self._file = file

    @classmethod
    async def start(cls, directory: Path, name: str = "load") -> Outbox:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.bench.load",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "GRPC_VERBOSITY": "NONE"},  # silent about servers that have gone
        )  # fmt: skip
        await process.stdout.readline()
        return cls(process, directory / f"{name}-sent")

    async def stop(self) -> None:
        self._process.stdin.close()
        await self._process.wait()

    async def produce(self, address: str, order: Order) -> Sent:
        """Raises RuntimeError when an event was refused for good, or the server failed; its process tells why."""
        first = next(_first_numbers)
        told = {"address": address, "order": dataclasses.asdict(order), "first": first, "sent": str(self._file)}
        self._process.stdin.write(json.dumps(told).encode() + b"\n")
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("the producer ended: what it met is printed above")
        result = json.loads(line)
        times: array[int] = array("Q")
        times.frombytes(self._file.read_bytes())
        return Sent(first, times, result["seconds"], *result["answers"], result["refused"], result["cpu"])
