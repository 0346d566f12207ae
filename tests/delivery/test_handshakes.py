"""Turns for TLS handshakes."""

from __future__ import annotations

import asyncio
import ssl

import pytest
import trustme

from hookpost_server.delivery import handshakes
from hookpost_server.delivery.curl_sender import CurlSender
from hookpost_server.delivery.gate import Gate
from hookpost_server.delivery.handshakes import Handshakes
from hookpost_server.delivery.seats import Seats
from hookpost_server.domain.delivery import Result
from tests.store.making import until

from .asking import send
from .conftest import LOCAL, MakeSender
from .test_sender_tls import serving
from .wire import receiving


async def test_so_many_at_once() -> None:
    turns = Handshakes(most=2, spacing=0.0)
    assert await turns.begin()
    assert await turns.begin()
    third = asyncio.create_task(turns.begin())
    await asyncio.sleep(0)
    assert not third.done()
    turns.end()
    assert await third


async def test_they_begin_apart() -> None:
    turns = Handshakes(most=100, spacing=0.01)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.gather(*(turns.begin() for _ in range(10)))
    assert loop.time() - began >= 0.085  # a lower bound only: the tenth must not begin sooner


async def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshakes, "PATIENCE", 0.01)
    turns = Handshakes(most=1, spacing=0.0)
    assert await turns.begin()
    assert not await turns.begin()


async def test_a_cancelled_wait_takes_no_turn() -> None:
    turns = Handshakes(most=1, spacing=10.0)
    assert await turns.begin()
    turns.end()
    waiting = asyncio.create_task(turns.begin())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert not turns._slots.locked()


async def test_every_sender_gives_its_turns_back(
    make_sender: MakeSender, authority: trustme.CA, trusting: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Good and bad handshakes one after the other, more than there are turns; kept connections need none."""
    began = 0
    begin = Handshakes.begin

    async def counted(self: Handshakes) -> bool:
        nonlocal began
        began += 1
        return await begin(self)

    monkeypatch.setattr(Handshakes, "begin", counted)
    monkeypatch.setattr(handshakes, "PATIENCE", 1000.0)
    sender = make_sender(tls=trusting)
    sender._handshakes._slots = asyncio.Semaphore(1)  # type: ignore[attr-defined]
    good, bad = serving(authority.issue_cert("127.0.0.1")), serving(authority.issue_cert("example.org"))
    async with receiving(tls=good) as receiver, receiving(tls=bad) as stranger, receiving() as silent:
        for _ in range(3):
            assert (await send(sender, stranger.url)).result is Result.TLS_FAILED
            mute = await send(sender, silent.url.replace("http://", "https://"), timeout=0.2)
            assert mute.result is Result.TIMED_OUT
        assert began == 6
        for _ in range(5):
            assert (await send(sender, receiver.url)).result is Result.SUCCEEDED
        assert (began, receiver.connections) == (7, 1)
    assert not sender._handshakes._slots.locked()  # type: ignore[attr-defined]


async def test_a_cancelled_wait_delays_nobody() -> None:
    turns = Handshakes(most=100, spacing=0.05)
    assert await turns.begin()
    loop = asyncio.get_running_loop()
    began = loop.time()
    waiting = [asyncio.create_task(turns.begin()) for _ in range(50)]
    await asyncio.sleep(0)
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert await turns.begin()
    assert loop.time() - began < 1  # 2.5 s if each had kept its place


async def test_a_seat_that_is_left_ends_the_wait_for_a_turn() -> None:
    turns, seats = Handshakes(most=1, spacing=0.0), Seats()
    assert await seats.take(turns)
    waiting = [asyncio.create_task(seats.take(turns)) for _ in range(2)]
    await until(lambda: turns._slots._waiters)
    turns.end()  # a turn for the first, and none for the second
    await until(waiting[0].done)
    assert await waiting[0]
    seats.leave(kept=False)
    assert not waiting[1].done()
    seats.leave(kept=True)
    assert not await waiting[1]
    turns.end()
    assert not turns._slots.locked()


async def test_a_seat_is_not_lost_by_a_cancelled_wait() -> None:
    turns, seats = Handshakes(most=1, spacing=0.0), Seats()
    assert await seats.take(turns)
    waiting = asyncio.create_task(seats.take(turns))
    await until(lambda: turns._slots._waiters)
    seats.leave(kept=True)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert not await seats.take(turns), "the seat is free for the next"


async def test_many_requests_to_one_host_need_few_handshakes(authority: trustme.CA, trusting: ssl.SSLContext) -> None:
    """Who waits for a turn goes on as soon as a connection is free: a busy host is not held to the turns' pace."""
    sender = CurlSender(Gate(LOCAL), tls=trusting)
    sender._handshakes = Handshakes(spacing=3600.0)  # one turn, and never another
    async with receiving(tls=serving(authority.issue_cert("127.0.0.1"))) as receiver:
        outcomes = await asyncio.gather(*(send(sender, receiver.url) for _ in range(200)))
        assert {each.result for each in outcomes} == {Result.SUCCEEDED}
        assert receiver.connections == 1
    await sender.close()
