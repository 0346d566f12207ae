"""Every sender, against receivers that answer well, badly, too much, too slowly, or nonsense."""

from __future__ import annotations

import asyncio
import gzip

import pytest

from hookpost_server.delivery.sender import BODY_CAP, HEADER_CAP, MAX_HEADERS, Sender
from hookpost_server.domain.delivery import Result

from .asking import send
from .wire import Answer, Exchange, answering, receiving, saying

OK = b"HTTP/1.1 200 OK\r\n"
SOON = 0.4  # seconds: a deadline that is meant to pass


def endless(head: bytes, part: bytes, pause: float = 0.0) -> Answer:
    """Sends `part` again and again until the other side goes."""

    async def answer(exchange: Exchange) -> None:
        await exchange.send(head)
        while True:
            await exchange.send(part)
            await asyncio.sleep(pause)

    return answer


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (200, Result.SUCCEEDED),
        (201, Result.SUCCEEDED),
        (204, Result.SUCCEEDED),
        (299, Result.SUCCEEDED),
        (300, Result.REDIRECTED),
        (304, Result.REDIRECTED),
        (400, Result.BAD_STATUS),
        (404, Result.BAD_STATUS),
        (410, Result.BAD_STATUS),
        (429, Result.BAD_STATUS),
        (500, Result.BAD_STATUS),
        (503, Result.BAD_STATUS),
        (599, Result.BAD_STATUS),
    ],
)
async def test_status(sender: Sender, status: int, result: Result) -> None:
    body = b"" if status in (204, 304) else b"said \0\xff"
    async with receiving(answering(status, body, "x-one: 1\r\nX-Two: 2\r\nx-one: 3\r\n")) as receiver:
        outcome = await send(sender, receiver.url)
    assert (outcome.result, outcome.status, outcome.body) == (result, status, body)
    assert not outcome.truncated
    assert outcome.headers == (("content-length", str(len(body))), ("x-one", "1"), ("x-two", "2"), ("x-one", "3"))
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.case("D1")
async def test_redirects_are_not_followed(sender: Sender, status: int) -> None:
    async with receiving() as elsewhere:
        for location in (elsewhere.url, "/hook", "//127.0.0.1/", "http://169.254.169.254/"):
            async with receiving(answering(status, b"", f"location: {location}\r\n")) as receiver:
                outcome = await send(sender, receiver.url)
                assert (outcome.result, outcome.status) == (Result.REDIRECTED, status)
                assert ("location", location) in outcome.headers
                assert len(receiver.requests) == 1
    assert elsewhere.connections == 0


@pytest.mark.parametrize("size", [0, 1, BODY_CAP - 1, BODY_CAP + 1, 3 * BODY_CAP])
async def test_the_body_is_cut_at_the_cap(sender: Sender, size: int) -> None:
    body = bytes(n % 251 for n in range(size))
    async with receiving(answering(200, body)) as receiver:
        outcome = await send(sender, receiver.url)
    assert (outcome.result, outcome.body, outcome.truncated) == (Result.SUCCEEDED, body[:BODY_CAP], size > BODY_CAP)


@pytest.mark.parametrize(
    ("head", "part"),
    [
        (OK + b"transfer-encoding: chunked\r\n\r\n", b"1000\r\n" + b"x" * 4096 + b"\r\n"),
        (OK + b"\r\n", b"x" * 4096),
        (OK + b"content-length: 99999999999\r\n\r\n", b"x" * 4096),
    ],
)
@pytest.mark.case("D3")
async def test_an_endless_body_is_left(sender: Sender, head: bytes, part: bytes) -> None:
    async with receiving(endless(head, part)) as receiver:
        outcome = await send(sender, receiver.url)
        assert (outcome.result, outcome.status, outcome.truncated) == (Result.SUCCEEDED, 200, True)
        assert outcome.body == b"x" * BODY_CAP
        await receiver.until(lambda r: r.closed == 1)  # and the connection with it
        receiver.answer = answering()
        assert (await send(sender, receiver.url)).body == b"ok"
        assert receiver.connections == 2


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "nonsense"])
@pytest.mark.case("D2")
async def test_nothing_is_decompressed(sender: Sender, encoding: str) -> None:
    bomb = gzip.compress(bytes(20_000_000))
    async with receiving(answering(200, bomb, f"content-encoding: {encoding}\r\n")) as receiver:
        outcome = await send(sender, receiver.url)
    assert (outcome.result, outcome.body) == (Result.SUCCEEDED, bomb[:BODY_CAP])


@pytest.mark.case("D4")
async def test_a_drip_in_the_headers_ends_at_the_deadline(sender: Sender) -> None:
    async with receiving(endless(OK, b"x", 0.02)) as receiver:
        outcome = await send(sender, receiver.url, timeout=SOON)
        assert (outcome.result, outcome.status) == (Result.TIMED_OUT, None)
        assert outcome.error == "timed out after 0.4 s while waiting for the answer"
        await receiver.until(lambda r: r.closed == 1)


@pytest.mark.case("D4")
async def test_a_drip_in_the_body_is_a_success_by_its_status(sender: Sender) -> None:
    async with receiving(endless(OK + b"content-length: 5000\r\n\r\n", b"x", 0.02)) as receiver:
        outcome = await send(sender, receiver.url, timeout=SOON)
        assert (outcome.result, outcome.status, outcome.truncated) == (Result.SUCCEEDED, 200, True)
        assert set(outcome.body) <= {ord("x")}
        await receiver.until(lambda r: r.closed == 1)
    async with receiving(endless(b"HTTP/1.1 503 No\r\ncontent-length: 5000\r\n\r\n", b"x", 0.02)) as receiver:
        outcome = await send(sender, receiver.url, timeout=SOON)
        assert (outcome.result, outcome.status, outcome.truncated) == (Result.BAD_STATUS, 503, True)


@pytest.mark.case("C8")
async def test_silence_ends_at_the_deadline(sender: Sender) -> None:
    async with receiving(Exchange.left) as receiver:
        outcome = await send(sender, receiver.url, timeout=SOON)
        assert outcome.result is Result.TIMED_OUT
        await receiver.until(lambda r: r.closed == 1)


@pytest.mark.case("D11")
async def test_a_body_that_breaks_off_is_decided_by_its_status(sender: Sender) -> None:
    for head, body in (
        (b"content-length: 50\r\n\r\n", b"12345"),
        (b"transfer-encoding: chunked\r\n\r\n", b"5\r\n12345"),
    ):
        async with receiving(saying(OK + head + body)) as receiver:
            outcome = await send(sender, receiver.url)
            assert (outcome.result, outcome.status) == (Result.SUCCEEDED, 200)
            assert outcome.truncated
            assert outcome.body in (b"12345", b"")
            assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage\r\n\r\n",
        b"\0\1\2\3\r\n\r\n",
        b"<html>HTTP/0.9</html>",
        b"HTTP/9.9 what\r\n\r\n",
        b"HTTP/1.1 -1 No\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 042 No\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 999 No\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 600 No\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 2000 No\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 20 No\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"x-%d: y\r\n" % n for n in range(500)) + b"\r\n",
        b"HTTP/1.1 200 OK\r\nx-huge: " + b"y" * 20_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"y" * 20_000 + b": x\r\n\r\n",
        b"HTTP/1.1 200 " + b"y" * 20_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: minus\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
    ],
    ids=lambda answer: repr(answer[:36]),
)
@pytest.mark.case("D6")
async def test_nonsense_is_an_invalid_response(sender: Sender, answer: bytes) -> None:
    async with receiving(saying(answer)) as receiver:
        outcome = await send(sender, receiver.url)
        assert (outcome.result, outcome.status) == (Result.INVALID_RESPONSE, None), outcome
        assert outcome.error
        assert "127.0.0.1" not in outcome.error
        assert len(receiver.requests) == 1
        receiver.answer = answering()
        assert (await send(sender, receiver.url)).result is Result.SUCCEEDED


async def test_odd_but_valid_answers(sender: Sender) -> None:
    for answer, header in (
        (b"HTTP/1.0 200\r\n\r\nok", None),
        (b"HTTP/1.1 200 \xff\r\ncontent-length: 2\r\n\r\nok", None),
        (b"HTTP/1.1 200 OK\r\nX-High: \xe9\xff\r\ncontent-length: 2\r\n\r\nok", ("x-high", "��")),
        (b"HTTP/1.1 200 OK\r\nx:\r\ncontent-length: 2\r\n\r\nok", ("x", "")),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", None),
    ):
        async with receiving(saying(answer)) as receiver:
            outcome = await send(sender, receiver.url)
        assert (outcome.result, outcome.status, outcome.body) == (Result.SUCCEEDED, 200, b"ok"), answer
        assert not outcome.truncated
        assert header is None or header in outcome.headers


@pytest.mark.case("D5")
async def test_endless_interim_answers_end_at_the_deadline(sender: Sender) -> None:
    for interim in (b"HTTP/1.1 102 Processing\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"):
        async with receiving(endless(b"", interim, 0.001)) as receiver:
            outcome = await send(sender, receiver.url, timeout=SOON)
            assert (outcome.result, outcome.status) == (Result.TIMED_OUT, None)
            await receiver.until(lambda r: r.closed == 1)


@pytest.mark.case("D5")
async def test_switching_protocols_is_a_failure(sender: Sender) -> None:
    async with receiving(saying(b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n")) as receiver:
        outcome = await send(sender, receiver.url, timeout=SOON)
        assert outcome.result in (Result.BAD_STATUS, Result.INVALID_RESPONSE)
        await receiver.until(lambda r: r.closed == 1)


async def test_headers_are_kept_within_bounds(sender: Sender) -> None:
    many = "".join(f"x-{n}: {n}\r\n" for n in range(100))
    async with receiving(answering(200, b"", many)) as receiver:
        outcome = await send(sender, receiver.url)
    assert len(outcome.headers) == MAX_HEADERS
    large = "".join(f"x-{n}: {'y' * 4000}\r\n" for n in range(10))
    async with receiving(answering(200, b"", large)) as receiver:
        outcome = await send(sender, receiver.url)
    assert outcome.result is Result.SUCCEEDED
    assert 2 <= len(outcome.headers) <= 5
    assert sum(len(name) + len(value) for name, value in outcome.headers) <= HEADER_CAP


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("-1", None),
        ("NaN", None),
        ("1e309", None),
        ("99999999999999", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("Fri, 21 Aug 1998 10:00:00 GMT", 0.0),
    ],
)
@pytest.mark.case("D9")
async def test_retry_after(sender: Sender, value: str, seconds: float | None) -> None:
    async with receiving(answering(503, b"", f"retry-after: {value}\r\n")) as receiver:
        outcome = await send(sender, receiver.url)
    assert (outcome.status, outcome.retry_after) == (503, seconds)


@pytest.mark.case("D9")
async def test_retry_after_twice_or_far_away(sender: Sender) -> None:
    async with receiving(answering(429, b"", "retry-after: 5\r\nretry-after: 9\r\n")) as receiver:
        assert (await send(sender, receiver.url)).retry_after in (5.0, 9.0)
    async with receiving(answering(429, b"", "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n")) as receiver:
        after = (await send(sender, receiver.url)).retry_after
    assert after is not None
    assert after > 24 * 3600
    async with receiving(answering(200)) as receiver:
        assert (await send(sender, receiver.url)).retry_after is None


@pytest.mark.case("D10")
async def test_an_answer_before_the_request_was_read(sender: Sender) -> None:
    """413 and the end while the body is still on its way: its status if it arrived, else a lost connection."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1")
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        for _ in range(5):
            outcome = await send(sender, url, body=b"x" * 1_000_000)
            assert (outcome.result, outcome.status) in ((Result.BAD_STATUS, 413), (Result.CONNECTION_LOST, None))
