"""How a command fails: one exception that carries the message, the hint and the exit code."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What scripts may rely on."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    DENIED = 4
    UNREACHABLE = 5
    UNSAFE = 78  # EX_CONFIG: open to strangers, or without the master key of its database


class Failure(Exception):
    """Ends the command. `hint` says what to do about it; main() prints both on stderr."""

    def __init__(self, message: str, *, hint: str = "", code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
