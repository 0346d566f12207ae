"""Option values that come from an argument, a file or standard input."""

from __future__ import annotations

import sys
from pathlib import Path

from hookpost_server.cli.failures import ExitCode, Failure

LONGEST = 1 << 20  # a payload is 256 KiB at most; this only keeps a wrong file out of memory


def read_text(argument: str, what: str) -> str:
    """`@file` is the file's text, `-` is standard input, anything else is itself; nothing is added or removed."""
    try:
        if argument == "-":
            raw = sys.stdin.buffer.read(LONGEST + 1)
        elif argument.startswith("@"):
            with Path(argument[1:]).open("rb") as file:
                raw = file.read(LONGEST + 1)
        else:
            raw = argument.encode("utf-8", "surrogateescape")
    except OSError as error:
        raise Failure(f"can't read the {what} from {argument[1:]}: {error.strerror}", code=ExitCode.USAGE) from None
    if len(raw) > LONGEST:
        raise Failure(f"the {what} is longer than 1 MiB", code=ExitCode.USAGE)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise Failure(f"the {what} is not UTF-8: wrong byte at position {error.start}", code=ExitCode.USAGE) from None


def pairs(values: tuple[str, ...], separator: str, example: str) -> dict[str, str]:
    """Splits repeated NAME<separator>VALUE options."""
    result: dict[str, str] = {}
    for value in values:
        name, found, rest = value.partition(separator)
        if not found or not name.strip():
            raise Failure(f'"{value}" must look like "{example}"', code=ExitCode.USAGE)
        if name.strip() in result:
            raise Failure(f'"{name.strip()}" is given twice', code=ExitCode.USAGE)
        result[name.strip()] = rest.strip()
    return result
