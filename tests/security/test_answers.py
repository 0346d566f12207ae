"""D: what is left over once the senders' own tests have had their say."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from hookpost_server.delivery.sender import BODY_CAP, Sender
from hookpost_server.domain.delivery import Result
from tests.delivery.asking import send
from tests.delivery.wire import Exchange, answering, receiving, saying

LIMIT = 0.05  # seconds


async def test_d1_a_redirect_to_itself_is_one_request(sender: Sender) -> None:
    async with receiving() as receiver:
        receiver.answer = answering(308, b"", f"location: {receiver.url}\r\n")
        assert (await send(sender, receiver.url)).result is Result.REDIRECTED
        assert len(receiver.requests) == 1


async def test_d8_no_cookie_on_another_path_of_a_shared_host(sender: Sender) -> None:
    async with receiving(answering(200, b"", "set-cookie: tenant=a; path=/; domain=127.0.0.1\r\n")) as receiver:
        await send(sender, receiver.url.replace("hook", "tenant-a"))
        await send(sender, receiver.url.replace("hook", "tenant-b"))
        assert [request.header("cookie") for request in receiver.requests] == [None, None]


@pytest.mark.parametrize("value", ["9" * 8000, "9" * 1_000_000, "Fri, 31 Dec 9999 23:59:59 -9999", "Fri, 31 Dec 0000"])
async def test_d9_retry_after_that_would_overflow(sender: Sender, value: str) -> None:
    """Longer than a header may be: no HTTP at all. Else a 503 without a hint."""
    answer = f"HTTP/1.1 503 Busy\r\nretry-after: {value}\r\ncontent-length: 0\r\n\r\n".encode()
    async with receiving(saying(answer)) as receiver:
        outcome = await send(sender, receiver.url)
        assert outcome.result is (Result.INVALID_RESPONSE if len(value) > 8190 else Result.BAD_STATUS)
        assert outcome.retry_after is None


async def test_d7_hostile_bodies_are_kept_as_they_are(sender: Sender) -> None:
    for body in (b"\0\xff\xfe\xc3(", "\u202e<script>alert(1)</script>".encode(), b"x" * BODY_CAP):
        async with receiving(answering(500, body)) as receiver:
            assert (await send(sender, receiver.url)).body == body


async def test_d12_an_answer_at_the_very_deadline_has_one_outcome(sender: Sender) -> None:
    """1,000 answers within 10 ms of it: each is a success with a status or a timeout without one."""
    chance = random.Random(12)

    async def answer(exchange: Exchange) -> object:
        await asyncio.sleep(LIMIT + chance.uniform(-0.01, 0.01))
        return await answering()(exchange)

    async with receiving(answer) as receiver:
        outcomes = []
        for _ in range(20):
            outcomes += await asyncio.gather(*(send(sender, receiver.url, timeout=LIMIT) for _ in range(50)))
    kinds = Counter((outcome.result, outcome.status) for outcome in outcomes)
    assert set(kinds) <= {(Result.SUCCEEDED, 200), (Result.TIMED_OUT, None)}
    assert kinds[Result.TIMED_OUT, None] > 0
    assert sum(kinds.values()) == 1000
