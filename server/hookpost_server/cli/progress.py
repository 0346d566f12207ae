"""Shows how far a long command is: one line that is rewritten on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TextIO

import click

_CLEAR = "\r\x1b[K"
_PAUSE = 1.0  # seconds between plain lines; a log needs no more


class Progress:
    """Talk on stderr: `done` lines stay, `live` ones are replaced by what follows."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._last, self._said = "", 0.0

    def live(self, text: str) -> None:
        if text == self._last:
            return
        if self._terminal:
            click.echo(f"{_CLEAR}  {text}", nl=False, file=self._stream, color=True)
        elif time.monotonic() - self._said >= _PAUSE:
            click.echo(f"  {text}", file=self._stream)
            self._said = time.monotonic()
        self._last = text

    def done(self, text: str) -> None:
        click.echo((_CLEAR if self._terminal else "") + text, file=self._stream, color=True if self._terminal else None)
        self._last, self._said = "", time.monotonic()
