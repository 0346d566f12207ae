"""What a receiver saw: a file in memory that it writes and the bench reads, so that asking costs it nothing.

Unsigned 64-bit words: a header (`COUNT` … below), then a ring of records: hash of the delivery's id, time of arrival
(microseconds, monotonic), the number that the producer put into the payload (0: none), and the status answered (0:
none). `receiver.c` and `receiver.py` write the same.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

COUNT, DOWN, MALFORMED, ACCEPTED, OPEN = range(5)  # words of the header
HEADER_WORDS, RECORD_WORDS = 8, 4
CAPACITY = 4_000_000  # records; one measurement must stay below


class Arrival(NamedTuple):
    """One request."""

    identity: int
    time: int  # microseconds, monotonic
    number: int
    status: int


class Tally:
    """The file, seen from either side."""

    def __init__(self, path: Path, capacity: int = CAPACITY, *, make: bool = False) -> None:
        size = (HEADER_WORDS + capacity * RECORD_WORDS) * 8
        if make:
            with path.open("wb") as file:
                file.truncate(size)
        with path.open("r+b") as file:
            self._words = memoryview(mmap.mmap(file.fileno(), size)).cast("Q")
        self._capacity = capacity

    @property
    def count(self) -> int:
        """Requests since the receiver began."""
        return self._words[COUNT]

    @property
    def malformed(self) -> int:
        """Connections that were cut because what came was not a delivery."""
        return self._words[MALFORMED]

    @property
    def open_connections(self) -> int:
        return self._words[OPEN]

    @property
    def down(self) -> bool:
        """Whether the receiver answers 503 at /switch."""
        return bool(self._words[DOWN])

    @down.setter
    def down(self, value: bool) -> None:
        self._words[DOWN] = value

    def since(self, mark: int) -> Iterator[Arrival]:
        """The requests after the first `mark`, in order."""
        end = self.count
        if end - mark > self._capacity:
            raise RuntimeError(f"{end - mark:,} requests are more than the tally keeps ({self._capacity:,})")
        for index in range(mark, end):
            at = HEADER_WORDS + index % self._capacity * RECORD_WORDS
            yield Arrival(*self._words[at : at + RECORD_WORDS])

    def note(self, arrival: Arrival) -> None:
        """For the receiver."""
        at = HEADER_WORDS + self.count % self._capacity * RECORD_WORDS
        for offset, value in enumerate(arrival):
            self._words[at + offset] = value
        self._words[COUNT] += 1

    def add(self, word: int, difference: int) -> None:
        """For the receiver: changes a number of the header."""
        self._words[word] += difference
