"""`--profile`: where a server's time went, by py-spy if it is installed (pip install py-spy; may need root)."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

SHOWN = 12  # functions


class Profile(contextlib.AbstractContextManager[None]):
    """Samples a process while it is open, then prints the functions on top of the stack most often."""

    def __init__(self, pid: int, title: str, wanted: bool) -> None:
        self._title = title
        self._pid = pid
        self._program = _program() if wanted else None

    def __enter__(self) -> None:
        if self._program:
            self._file = Path(tempfile.mkstemp(prefix="hookpost-profile-")[1])
            self._process = subprocess.Popen(
                [self._program, "record", "--native", "--format", "raw", "--output", str(self._file), "--rate", "100",
                 "--duration", "unlimited", "--pid", str(self._pid)],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip

    def __exit__(self, *_: object) -> None:
        if not self._program:
            return
        self._process.send_signal(signal.SIGINT)
        self._process.wait(timeout=60)
        samples: Counter[str] = Counter()
        for line in self._file.read_text().splitlines():
            stack, _, count = line.rpartition(" ")
            samples[stack.rpartition(";")[2]] += int(count)
        self._file.unlink()
        total = max(1, samples.total())
        print(f"  {self._title}: {total} samples")
        for function, count in samples.most_common(SHOWN):
            print(f"    {count / total:5.1%}  {function}")


def _program() -> str | None:
    beside = Path(sys.executable).with_name("py-spy")
    found = str(beside) if beside.exists() else shutil.which("py-spy")
    if not found:
        print("--profile needs py-spy: pip install py-spy")
    return found
