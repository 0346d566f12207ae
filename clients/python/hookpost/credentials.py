"""A client's API key: from its environment or a file, never from an argument, which every process list shows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

VARIABLE = "HOOKPOST_API_KEY"
FILE_VARIABLE = "HOOKPOST_API_KEY_FILE"


def api_key(environ: Mapping[str, str]) -> str:
    """The key in HOOKPOST_API_KEY, else in the file that HOOKPOST_API_KEY_FILE names; empty if neither is set.

    Raises ValueError when that file can't be read, or when what is given can't be sent: it is no key then.
    """
    if given := environ.get(VARIABLE, "").strip():
        return _sendable(given, VARIABLE)
    if not (name := environ.get(FILE_VARIABLE, "")):
        return ""
    try:
        given = Path(name).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "it is not ASCII"
        raise ValueError(f"{FILE_VARIABLE}={name}: can't be read: {cause}") from None
    return _sendable(given, f"{FILE_VARIABLE}={name}")


def _sendable(key: str, source: str) -> str:
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ValueError(f"{source}: is no API key: it must be one line of ASCII without spaces")
    return key


def bearer(key: str) -> tuple[tuple[str, str], ...]:
    """The metadata that a call carries a key in; nothing for an empty one."""
    return (("authorization", f"Bearer {key}"),) if key else ()
