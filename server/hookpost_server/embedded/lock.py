"""One application for a directory: a lock the kernel drops when its holder dies, so that none can be left behind."""

import fcntl
import os
from pathlib import Path

from .errors import EmbeddedPostgresError

_NAME = "hookpost.lock"


class DirectoryLock:
    """Held from construction to `release`. The file names the holder's process id and its runtime directory.

    Raises EmbeddedPostgresError at once when another holds it.
    """

    def __init__(self, directory: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.open(directory / _NAME, flags, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = next(iter(self._read()), "unknown")
            os.close(self._file)
            raise EmbeddedPostgresError(
                f"The directory {directory} is in use by another Hookpost (process {holder}).",
                "Stop that one first, or choose another directory.",
            ) from error
        except BaseException:
            os.close(self._file)
            raise
        # Lines of a holder that was killed; an orderly one leaves the file empty.
        left = self._read()
        self.left_behind = Path(left[1]) if len(left) > 1 else None

    def record(self, runtime: Path) -> None:
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n{runtime}\n".encode(), 0)

    def release(self) -> None:
        """Empties the file and keeps it: a lock on a file that was deleted excludes nobody."""
        os.ftruncate(self._file, 0)
        os.close(self._file)

    def _read(self) -> list[str]:
        return os.pread(self._file, 4096, 0).decode(errors="replace").splitlines()


def holder(directory: Path) -> Path | None:
    """The runtime directory of the application that holds the lock; None if nobody does."""
    try:
        with (directory / _NAME).open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                lines = file.read(4096).splitlines()
                return Path(lines[1]) if len(lines) > 1 else None
    except FileNotFoundError:
        pass
    return None
