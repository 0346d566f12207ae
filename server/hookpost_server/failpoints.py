"""Places where a process can be made to die, stop or hang, to prove that nothing is lost there.

A testing aid, off unless HOOKPOST_FAILPOINT names a place. `tests/faults` goes through all of them.
"""

from __future__ import annotations

import os
import re
import signal
import time
from dataclasses import dataclass

POINTS = {
    "emit.unsent": "before the statement that stores events",
    "emit.uncommitted": "in the transaction of an atomic batch, its statement done",
    "emit.committed": "events are committed, their producers not yet answered",
    "claim.committed": "deliveries are claimed, no attempt has begun",
    "attempt.unsent": "before the first byte of an attempt",
    "attempt.answered": "the receiver has answered, nobody knows yet",
    "record.uncommitted": "in the transaction that records outcomes, its statement done",
    "record.committed": "outcomes are recorded, nothing has followed from them yet",
    "rotate.uncommitted": "in the transaction of RotateSigningKey, the new key written",
    "rotate.committed": "the key is rotated, the caller not yet answered",
    "drain.begun": "at shutdown: what waited is given back, attempts are still under way",
}
_FORM = re.compile(
    r"(?P<point>[a-z.]+):(?:(?P<deed>kill|stop)|sleep\((?P<ms>[0-9]{1,6})\))(?:@(?P<turn>[1-9][0-9]{0,5}))?"
)


@dataclass(frozen=True, slots=True)
class Failpoint:
    """What happens at a place: `kill` (SIGKILL), `stop` (SIGSTOP) or a sleep that blocks the whole process."""

    point: str
    number: signal.Signals | None  # None: a sleep
    seconds: float
    turn: int  # it happens at the n-th passage, once

    @classmethod
    def parse(cls, text: str) -> Failpoint:
        """Reads `point:kill`, `point:stop` or `point:sleep(ms)`, and `@n` for the n-th passage. Raises ValueError."""
        match = _FORM.fullmatch(text)
        if not match or match["point"] not in POINTS:
            raise ValueError(
                f"must be POINT:kill, POINT:stop or POINT:sleep(MS), with @N for the N-th passage; "
                f"POINT is one of {', '.join(POINTS)}"
            )
        number = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, None: None}[match["deed"]]
        return cls(match["point"], number, int(match["ms"] or 0) / 1000, int(match["turn"] or 1))

    def __str__(self) -> str:
        deed = f"sleep({self.seconds * 1000:g})" if self.number is None else self.number.name[3:].lower()
        return f"{self.point}:{deed}@{self.turn}"


_armed: Failpoint | None = None
_passages = 0


def arm(failpoint: Failpoint | None) -> None:
    """Sets what `hit` does from now on in this process; None: nothing."""
    global _armed, _passages
    _armed, _passages = failpoint, 0


def hit(point: str) -> None:
    """Marks a place. Costs a comparison unless a failpoint is armed."""
    if _armed is not None and _armed.point == point:
        _pass(_armed)


def _pass(failpoint: Failpoint) -> None:
    global _passages
    _passages += 1
    if _passages != failpoint.turn:
        return
    if failpoint.number is None:
        time.sleep(failpoint.seconds)
    else:
        os.kill(os.getpid(), failpoint.number)
