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


def stop_orphans(data: Path) -> None:
    """Asks what is left of a server to stop whose application is gone, and returns at once.

    The caller holds the directory's lock, so no application uses it. A living postmaster is stopped only if its socket
    directory is one of ours: a server that a person started there is left alone.
    """
    lines = _lines(data)
    pid = _number(lines[_PID]) if lines else 0
    if _program_of(pid) != "postgres":
        _end_workers(data)
    elif len(lines) > _SOCKET_DIRECTORY and Path(lines[_SOCKET_DIRECTORY]).name.startswith(runtime.PREFIX):
        os.kill(pid, signal.SIGINT)


def _end_workers(data: Path) -> None:
    """Those of a dead postmaster: one in a long query notices nothing, and keeps a new server from starting.

    They are PostgreSQL's processes at work in this directory, found on Linux only. SIGQUIT ends them at once, without
    a trace in the data; the next server recovers from the log anyway.
    """
    for directory in Path("/proc").glob("[0-9]*"):
        pid = int(directory.name)
        try:
            if _program_of(pid) == "postgres" and (directory / "cwd").samefile(data):
                os.kill(pid, signal.SIGQUIT)
        except (FileNotFoundError, ProcessLookupError, PermissionError):  # it ended just now, or is not ours
            continue


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
    """A server that a person runs without a postmaster writes its process id as a negative number."""
    digits = text.removeprefix("-")
    return int(digits) if digits.isdecimal() else 0


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
