"""What this process can say of itself. Each process of a server knows only its own figures."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ..domain.retention import Lifetimes
from ..store.database import Usage


class Readings(Protocol):
    """How full each bounded queue is at the moment; `readings.py` fills it in."""

    @property
    def queued_events(self) -> Callable[[], int]: ...
    @property
    def max_queued_events(self) -> int: ...
    @property
    def handed_off(self) -> Callable[[], int]: ...
    @property
    def max_handed_off(self) -> int: ...
    @property
    def in_flight(self) -> Callable[[], int]: ...
    @property
    def max_in_flight(self) -> int: ...
    @property
    def outcomes_waiting(self) -> Callable[[], int]: ...
    @property
    def breakers(self) -> Callable[[], Mapping[str, int]]: ...
    @property
    def pool(self) -> Callable[[], Usage]: ...


@dataclass(frozen=True, slots=True)
class Node:
    """One process of the server."""

    readings: Readings
    lifetimes: Lifetimes
    grpc: str  # HOST:PORT as it is set, for commands to copy
    tls: bool  # whether gRPC wants it
    started: float = field(default_factory=time.monotonic)

    @property
    def bodies_kept(self) -> float | None:
        """Seconds for which payloads and answers are kept, which is never longer than their entries; None: for ever."""
        limits = [each.seconds for each in (self.lifetimes.entries, self.lifetimes.bodies) if each.seconds is not None]
        return min(limits, default=None)

    @property
    def uptime(self) -> float:
        """Seconds."""
        return time.monotonic() - self.started
