"""What an experiment is, and the list of all of them."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .postgres import Postgres
from .stage import Finding, Stage, staged

SETTLING = 150.0  # seconds that an experiment may take beside its rounds


class NotHere(Exception):
    """This machine can't do that; the text says what it would need."""


@dataclass(frozen=True)
class Experiment:
    """Something that fails, a number of times."""

    reference: str  # in the list of reliability experiments
    name: str
    run: Callable[[Stage, int], Awaitable[None]]
    rounds: int  # in `make faults`
    quick: int  # in `make test`; 0: not there
    seconds: float  # that a round may take
    postgres: Mapping[str, str] | None  # settings of a PostgreSQL of its own, which the experiment may break

    async def perform(self, url: str, rounds: int) -> Finding:
        """Plays it on the empty database at `url`, or on its own. Raises NotHere, TimeoutError."""
        with tempfile.TemporaryDirectory(prefix="hookpost-faults-") as name:
            directory = Path(name)
            async with asyncio.timeout(SETTLING + rounds * self.seconds):
                if self.postgres is None:
                    return await self._play(url, directory, rounds)
                async with Postgres(directory / "postgres", self.postgres) as postgres:
                    return await self._play(postgres.url, directory, rounds, postgres)

    async def _play(self, url: str, directory: Path, rounds: int, postgres: Postgres | None = None) -> Finding:
        async with staged(url, directory) as stage:
            stage.postgres = postgres
            await self.run(stage, rounds)
            finding = await stage.settle()
            finding.runs = finding.runs or rounds
            return finding


EXPERIMENTS: list[Experiment] = []


def experiment(
    reference: str,
    name: str,
    *,
    rounds: int,
    quick: int = 0,
    seconds: float = 60.0,
    postgres: Mapping[str, str] | None = None,
) -> Callable[[Callable[[Stage, int], Awaitable[None]]], Callable[[Stage, int], Awaitable[None]]]:
    """Adds a function to the list."""

    def add(run: Callable[[Stage, int], Awaitable[None]]) -> Callable[[Stage, int], Awaitable[None]]:
        EXPERIMENTS.append(Experiment(reference, name, run, rounds, quick, seconds, postgres))
        return run

    return add
