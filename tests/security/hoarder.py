"""A process of its own that sends to each URL it is told and says by how much its memory grew. See test_memory.py."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path

from hookpost_server.delivery.gate import Gate
from tests.delivery.asking import send
from tests.delivery.conftest import LOCAL, SENDERS


def _peak() -> int:
    """Bytes; since the last `_forget_peak`."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


async def main(kind: str) -> None:
    sender = SENDERS[kind](Gate(LOCAL))
    for line in sys.stdin:
        given = json.loads(line)
        _forget_peak()
        before = _peak()
        outcome = await send(sender, given["url"], timeout=given["timeout"])
        answer = {"result": outcome.result.name, "body": len(outcome.body), "grown": _peak() - before}
        print(json.dumps(answer), flush=True)
    await sender.close()


asyncio.run(main(sys.argv[1]))
