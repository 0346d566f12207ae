"""The short private directory of the Unix socket, and of a copy of the binaries where one is needed."""

import os
import shutil
import stat
import tempfile
from pathlib import Path

from .errors import EmbeddedPostgresError

PREFIX = "hookpost-pg-"
# sockaddr_un holds 108 bytes on Linux, 104 on macOS, the final NUL included.
_LONGEST_PATH = 103
_SOCKET = ".s.PGSQL.5432"


def make() -> Path:
    """A new directory of mode 0700, reachable by an unprivileged account when we are root."""
    for parent in (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")):  # noqa: S108 - mkdtemp makes it private
        length = len(os.fsencode(parent)) + len(f"/{PREFIX}12345678/{_SOCKET}")
        if length > _LONGEST_PATH or "," in str(parent) or '"' in str(parent):
            continue
        if not parent.is_dir() or (os.geteuid() == 0 and not _open_to_all(parent)):
            continue
        try:
            return Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        except PermissionError:
            continue
    raise EmbeddedPostgresError(
        "Found no directory for PostgreSQL's socket: neither TMPDIR nor /tmp is writable and short enough.",
        f"Set TMPDIR to a writable directory with a path of at most {_LONGEST_PATH - 35} bytes.",
    )


def remove(directory: Path) -> None:
    """Only what `make` made; a socket directory that cannot be removed keeps nobody from working."""
    if directory.name.startswith(PREFIX) and not directory.is_symlink():
        shutil.rmtree(directory, ignore_errors=True)


def _open_to_all(directory: Path) -> bool:
    resolved = directory.resolve()
    return all(stat.S_IXOTH & path.stat().st_mode for path in (resolved, *resolved.parents))
