"""The receivers count right: a bench that miscounts proves nothing."""

from __future__ import annotations

import asyncio
import ssl
import uuid
from array import array
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from .inbox import Built, Inbox, build
from .outbox import Sent
from .receipt import percentile, reckon
from .tally import Arrival


@pytest.fixture(scope="module", params=["C", "Python"])
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Built:
    made = build(tmp_path_factory.mktemp("receiver"), compiled=request.param == "C")
    if not made.kind.startswith(request.param):
        pytest.skip("no C compiler with OpenSSL here")
    return made


@pytest.fixture
async def inbox(built: Built) -> AsyncIterator[Inbox]:
    started = await Inbox.start(built, f"hookpost-test-{uuid.uuid4().hex}", capacity=16)
    yield started
    await started.stop()


def post(delivery: str, number: int, path: str = "/hook", *, padding: int = 1) -> bytes:
    body = b'{"event":"Bench.H0000","n":"%012d","note":"%b"}' % (number, b"x" * padding)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(body)}\r\nHookpost-Delivery: {delivery}\r\n\r\n"
    )
    return head.encode() + body


async def exchange(url: str, *pieces: bytes, answers: int, tls: ssl.SSLContext | None = None) -> list[bytes]:
    """Status lines of the answers to what was written piece by piece."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=tls)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)  # so that it is read on its own; passes either way
        got = []
        for _ in range(answers):
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            got.append(head.split(b" ", 2)[1])
            await reader.readexactly(2 if b"content-length: 2" in head else 0)
        return got
    finally:
        writer.close()


async def test_counts_each_request_once(inbox: Inbox) -> None:
    whole = post("dlv_1", 1)
    assert await exchange(inbox.url(), whole[:9], whole[9:70], whole[70:-20], whole[-20:], answers=1) == [b"200"]
    assert await exchange(inbox.url(7), post("dlv_2", 2) + post("dlv_3", 3), answers=2) == [b"200"] * 2
    assert await exchange(inbox.url(), post("dlv_1", 1), answers=1) == [b"200"]  # again
    arrivals = list(inbox.tally.since(0))
    assert [(a.number, a.status) for a in arrivals] == [(1, 200), (2, 200), (3, 200), (1, 200)]
    assert arrivals[0].identity == arrivals[3].identity
    assert len({a.identity for a in arrivals}) == 3
    assert sorted(a.time for a in arrivals) == [a.time for a in arrivals]


async def test_speaks_tls_at_every_address(inbox: Inbox, built: Built) -> None:
    tls = ssl.create_default_context(cafile=str(built.directory / "ca.pem"))
    whole = post("dlv_1", 1) + post("dlv_2", 2, padding=12_000)  # a record larger than what is read at once
    assert await exchange(inbox.url(499, tls=True), whole[:50], whole[50:], answers=2, tls=tls) == [b"200"] * 2
    assert [a.number for a in inbox.tally.since(0)] == [1, 2]


async def test_answers_by_path(inbox: Inbox) -> None:
    assert await exchange(inbox.url(), post("dlv_1", 1, "/fail"), answers=1) == [b"500"]
    inbox.tally.down = True
    assert await exchange(inbox.url(), post("dlv_2", 2, "/switch"), answers=1) == [b"503"]
    inbox.tally.down = False
    assert await exchange(inbox.url(), post("dlv_2", 2, "/switch"), answers=1) == [b"200"]
    await exchange(inbox.url(), post("dlv_3", 3, "/hang"), answers=0)
    async with asyncio.timeout(5):
        while inbox.tally.count < 4:  # noqa: ASYNC110  another process
            await asyncio.sleep(0.01)
    assert [a.status for a in inbox.tally.since(0)] == [500, 503, 200, 0]


async def test_cuts_what_is_no_delivery(inbox: Inbox) -> None:
    with pytest.raises(asyncio.IncompleteReadError):
        await exchange(inbox.url(), b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n", answers=1)
    assert (inbox.tally.malformed, inbox.tally.count) == (1, 0)


async def test_refuses_to_read_a_ring_that_went_round(inbox: Inbox) -> None:
    await exchange(inbox.url(), b"".join(post(f"dlv_{n}", n) for n in range(1, 18)), answers=17)
    with pytest.raises(RuntimeError, match="17 requests are more than the tally keeps"):
        list(inbox.tally.since(0))
    assert [a.number for a in inbox.tally.since(1)] == list(range(2, 18))


def test_reckons_loss_doubles_and_latencies() -> None:
    sent = Sent(100, array("Q", [1000, 2000, 3000]), 1.0, 0.0, 0.0, 0, 0.0)
    arrivals = [
        Arrival(identity=1, time=1500, number=100, status=200),
        Arrival(identity=2, time=3900, number=101, status=503),  # an attempt that failed
        Arrival(identity=1, time=4000, number=100, status=200),  # twice
        Arrival(identity=2, time=4500, number=101, status=200),
        Arrival(identity=9, time=4600, number=99, status=200),  # of another run
        Arrival(identity=9, time=4700, number=103, status=200),
    ]
    receipt = reckon(arrivals, sent, fan_out=1)
    assert (receipt.received, receipt.lost, receipt.doubled) == (2, 1, 1)
    assert receipt.latencies == [500, 2500]
    assert receipt.seconds == 0.0035
    assert reckon(arrivals, sent, fan_out=10).lost == 28


def test_percentiles_of_nothing_little_and_much() -> None:
    assert percentile([], 0.99) == 0
    assert percentile([1000], 0.99) == 1
    assert percentile(range(1, 101), 0.99) == 0.1
