"""D2, D3, D5, D6, D9: whatever comes back, the process that asked grows by a few MiB at most."""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.delivery.conftest import SENDERS
from tests.delivery.wire import Answer, Exchange, answering, receiving, saying

MiB = 1024 * 1024
MOST = {"D5": 6 * MiB}  # else 2 MiB; aiohttp takes apart at once all that one read brings: some thousand answers
ROOT = Path(__file__).parents[2]

Hoarder = asyncio.subprocess.Process


@pytest.fixture(params=SENDERS)
async def hoarder(request: pytest.FixtureRequest) -> AsyncIterator[Hoarder]:
    """A process with a sender in it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.security.hoarder", request.param),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    yield process
    assert process.stdin
    process.stdin.close()
    assert await asyncio.wait_for(process.wait(), 20) == 0


async def told(process: Hoarder, url: str, timeout: float) -> dict[str, object]:
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps({"url": url, "timeout": timeout}).encode() + b"\n")
    async with asyncio.timeout(30):
        return json.loads(await process.stdout.readline())  # type: ignore[no-any-return]


def endless(head: bytes, part: bytes) -> Answer:
    async def answer(exchange: Exchange) -> None:
        await exchange.send(head)
        while True:
            await exchange.send(part)

    return answer


OK = b"HTTP/1.1 200 OK\r\n"
BOMB = gzip.compress(gzip.compress(bytes(200 * 1024 * 1024), 1), 1)
ANSWERS: dict[str, tuple[Answer, str]] = {
    "D2": (answering(200, BOMB * 40, "content-encoding: gzip, gzip\r\n"), "SUCCEEDED"),
    "D3": (endless(OK + b"transfer-encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65536 + b"\r\n"), "SUCCEEDED"),
    "D5": (endless(b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 100), "TIMED_OUT INVALID_RESPONSE"),
    "D6": (endless(OK, b"x-more: " + b"y" * 4000 + b"\r\n"), "INVALID_RESPONSE"),
    "D9": (saying(OK + b"retry-after: " + b"9" * 4_000_000 + b"\r\n\r\n"), "INVALID_RESPONSE"),
}


@pytest.mark.case("D2", "D3", "D5", "D6", "D9")
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_no_answer_fills_the_memory(hoarder: Hoarder) -> None:
    async with receiving() as receiver:
        for _ in range(20):
            assert (await told(hoarder, receiver.url, 5))["result"] == "SUCCEEDED"
        for case, (answer, result) in ANSWERS.items():
            receiver.answer = answer
            outcome = await told(hoarder, receiver.url, 1)
            assert outcome["result"] in result, (case, outcome)
            assert outcome["grown"] <= MOST.get(case, 2 * MiB), (case, outcome)  # type: ignore[operator]
            receiver.answer = answering()
            assert (await told(hoarder, receiver.url, 5))["result"] == "SUCCEEDED"
