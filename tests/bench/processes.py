"""Child processes, and what they cost: CPU time and memory of a process with all its descendants, from /proc."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

PROC = Path("/proc")
START_SECONDS, STOP_SECONDS = 60.0, 30.0
_TICKS = os.sysconf("SC_CLK_TCK")


class Process:
    """A program that says in its output when it is ready."""

    def __init__(self, child: asyncio.subprocess.Process, output: Path, said: str) -> None:
        self._child = child
        self._output = output
        self.said = said  # what `ready` found

    @classmethod
    async def start(cls, *command: str, ready: str, output: Path, environment: Mapping[str, str]) -> Process:
        """Returns when the output matches `ready`; `said` is the pattern's first group."""
        with output.open("wb") as file:
            child = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.PIPE, stdout=file, stderr=file, env=dict(environment)
            )
        give_up = time.monotonic() + START_SECONDS
        while not (found := re.search(ready, output.read_text())):
            if child.returncode is not None or time.monotonic() > give_up:
                with contextlib.suppress(ProcessLookupError):
                    child.kill()
                raise RuntimeError(f"{' '.join(command)} did not start:\n{output.read_text()}")
            await asyncio.sleep(0.005)
        return cls(child, output, found[1])

    @property
    def pid(self) -> int:
        return self._child.pid

    async def stop(self) -> None:
        """Asks it to end, then ends it."""
        if self._child.returncode is None:
            self._child.terminate()
        try:
            await asyncio.wait_for(self._child.wait(), STOP_SECONDS)
        except TimeoutError:
            self._child.kill()
            await self._child.wait()

    def complaints(self) -> str:
        """What it wrote after it was ready: the server logs warnings and errors only."""
        said = self._output.read_text().partition(self.said)[2].partition("\n")[2]
        return "\n".join(line for line in said.splitlines() if not line.startswith("Stopping"))


def cpu_seconds(pid: int) -> float:
    """CPU time of a process, its descendants, and those of them that have ended. 0 without /proc."""
    return sum(sum(map(int, fields[11:15])) for fields in map(_stat, _tree(pid)) if fields) / _TICKS


def peak_memory(pid: int) -> int:
    """Bytes: peak resident sets of a process and its descendants since `forget_peak`, added up. 0 without /proc."""
    total = 0
    for one in _tree(pid):
        with contextlib.suppress(OSError):
            found = re.search(r"VmHWM:\s+(\d+) kB", (PROC / str(one) / "status").read_text())
            total += int(found[1]) * 1024 if found else 0
    return total


def forget_peak(pid: int) -> None:
    """Lets `peak_memory` begin anew."""
    for one in _tree(pid):
        with contextlib.suppress(OSError):
            (PROC / str(one) / "clear_refs").write_text("5")


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name; none if the process has gone."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for task in (PROC / str(pid) / "task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in task.read_text().split():
                yield from _tree(int(child))
