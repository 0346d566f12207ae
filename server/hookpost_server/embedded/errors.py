"""What can go wrong, said for the person at the prompt."""

import errno
from pathlib import Path

_FREE_SPACE = "Free some disk space, or choose a directory on another disk."
_PERMISSION = "Choose a directory this user may write to, or change its owner."
_HINTS = {
    errno.ENOSPC: _FREE_SPACE,
    errno.EDQUOT: _FREE_SPACE,
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
    errno.EROFS: _PERMISSION,
    errno.ENOTDIR: "A part of the path is a file. Choose another directory.",
    errno.EEXIST: "The path is a file. Choose another directory.",
    errno.ELOOP: "Symbolic links are not followed here. Name the real path.",
    errno.ENOLCK: "The file system cannot lock files. Choose a directory on a local disk.",
}


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL cannot do what was asked. `hint` says what a person can do about it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def from_os_error(error: OSError, directory: Path) -> EmbeddedPostgresError:
    reason = error.strerror or str(error)
    place = error.filename or directory
    hint = _HINTS.get(error.errno or 0, "Choose another directory, or set HOOKPOST_DATABASE_URL.")
    return EmbeddedPostgresError(f"The embedded PostgreSQL cannot use {directory}: {reason} ({place}).", hint)


def from_log(message: str, last_lines: str) -> EmbeddedPostgresError:
    """An error of PostgreSQL's own, explained by what it logged last."""
    hint = (
        _FREE_SPACE if "No space left on device" in last_lines else "The log above names the cause; look there first."
    )
    said = f" It logged last:\n{last_lines}" if last_lines else " It logged nothing."
    return EmbeddedPostgresError(message + said, hint)
