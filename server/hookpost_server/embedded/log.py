"""PostgreSQL's log in the directory: this run's and the one before."""

import os
from pathlib import Path
from typing import IO

_KEPT_LINES = 20
_KEPT_BYTES = 16_384


class Log:
    """`postgres.log`, begun anew; the last run's becomes `postgres.log.1`."""

    def __init__(self, directory: Path) -> None:
        path = directory / "postgres.log"
        if path.exists():
            path.replace(directory / "postgres.log.1")
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self.file: IO[bytes] = os.fdopen(os.open(path, flags, 0o640), "r+b", buffering=0)

    def mark(self) -> int:
        return self._size()

    def since(self, mark: int = 0) -> str:
        """The last lines written after `mark`."""
        size = self._size()
        start = max(mark, size - _KEPT_BYTES)
        text = os.pread(self.file.fileno(), size - start, start).decode(errors="replace")
        return "\n".join(text.splitlines()[-_KEPT_LINES:])

    def close(self) -> None:
        self.file.close()

    def _size(self) -> int:
        return os.fstat(self.file.fileno()).st_size
