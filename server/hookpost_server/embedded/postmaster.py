"""What `postmaster.pid` in the data directory tells: of our own server, or one a killed application left."""

import os
import signal
import subprocess
from pathlib import Path

from . import runtime

# Its lines, counted from 0.
_PID, _SOCKET_DIRECTORY, _STATUS = 0, 4, 7


def is_ready(data: Path, pid: int) -> bool:
    """The process id is compared because after a crash the old file still says `ready`."""
    lines = _lines(data)
    return len(lines) > _STATUS and lines[_PID] == str(pid) and lines[_STATUS] == "ready"


def stop_orphan(data: Path) -> None:
    """Asks a server to stop whose application is gone. The caller holds the directory's lock, so nobody uses it.

    Only one with a socket directory of ours: a server that a person started there is left alone.
    """
    lines = _lines(data)
    if len(lines) <= _SOCKET_DIRECTORY or not Path(lines[_SOCKET_DIRECTORY]).name.startswith(runtime.PREFIX):
        return
    pid = _number(lines[_PID])
    if _program_of(pid) == "postgres":
        os.kill(pid, signal.SIGINT)


def mistaken_for_postmaster(data: Path) -> int | None:
    """A living process that got a dead postmaster's id (common in containers), or its unreaped remains.

    PostgreSQL would refuse to start because of it, unless told in PG_GRANDPARENT_PID that it is no postmaster.
    """
    lines = _lines(data)
    pid = _number(lines[_PID]) if lines else 0
    if pid <= 0 or _program_of(pid) == "postgres":
        return None
    return pid


def _lines(data: Path) -> list[str]:
    try:
        return [line.strip() for line in (data / "postmaster.pid").read_text().splitlines()]
    except FileNotFoundError:
        return []


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _program_of(pid: int) -> str:
    """The name of the program the process runs; empty when there is none, or only a zombie."""
    if pid <= 0:
        return ""
    if Path("/proc/self/stat").exists():
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return ""
        name, _, rest = stat.partition("(")[2].rpartition(")")
        return "" if rest.split()[0] in {"Z", "X"} else name
    listed = subprocess.run(
        ["ps", "-p", str(pid), "-o", "comm="], capture_output=True, text=True, timeout=10, check=False
    )
    return Path(listed.stdout.strip()).name
