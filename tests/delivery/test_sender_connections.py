"""Every sender: connections that break, and what goes over them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hookpost_server.delivery.aiohttp_sender import AiohttpSender
from hookpost_server.delivery.gate import Gate
from hookpost_server.delivery.native_sender import NativeSender
from hookpost_server.delivery.sender import Sender
from hookpost_server.domain.delivery import Result

from .asking import HEADERS, send
from .conftest import LOCAL, MakeSender
from .wire import PATIENCE, Exchange, Receiver, answering, receiving


@contextlib.asynccontextmanager
async def native() -> AsyncIterator[NativeSender]:
    sender = NativeSender(Gate(LOCAL))
    try:
        yield sender
    finally:
        await sender.close()


async def close(exchange: Exchange) -> None:
    """Ends the connection without a word."""


async def reset(exchange: Exchange) -> None:
    exchange.reset()


async def cut_headers(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 OK\r\nx-half: ")


@pytest.mark.case("C8")
async def test_closed_before_the_answer(sender: Sender) -> None:
    for answer in (close, reset):
        async with receiving(answer) as receiver:
            outcome = await send(sender, receiver.url)
            assert (outcome.result, outcome.status) == (Result.CONNECTION_LOST, None)
            assert outcome.error
            assert "127.0.0.1" not in outcome.error
            assert len(receiver.requests) == 1, "a request on a fresh connection is not repeated"


async def test_closed_amid_the_headers(sender: Sender) -> None:
    async with receiving(cut_headers) as receiver:
        outcome = await send(sender, receiver.url)
        assert outcome.result in (Result.INVALID_RESPONSE, Result.CONNECTION_LOST)
        assert outcome.status is None
        assert len(receiver.requests) == 1


@pytest.mark.case("C8")
async def test_closed_right_after_it_was_accepted(sender: Sender) -> None:
    async def drop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    server = await asyncio.start_server(drop, "127.0.0.1")
    async with server:
        outcome = await send(sender, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    assert outcome.result is Result.CONNECTION_LOST


async def test_refused(sender: Sender) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        outcome = await send(sender, f"http://127.0.0.1:{taken.getsockname()[1]}/")
    assert (outcome.result, outcome.error) == (Result.CONNECT_FAILED, "connection refused")


@pytest.mark.case("C8")
async def test_a_black_hole_ends_at_the_deadline(sender: Sender) -> None:
    """A listener whose queue is full drops every SYN."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
            fillers.append(filler)
        try:
            outcome = await send(sender, f"http://127.0.0.1:{full.getsockname()[1]}/", timeout=0.4)
        finally:
            for filler in fillers:
                filler.close()
    assert outcome.result is Result.TIMED_OUT
    assert outcome.error == "timed out after 0.4 s while connecting"


@pytest.mark.case("C4")
async def test_a_name_that_does_not_exist(sender: Sender) -> None:
    outcome = await send(sender, "http://no-such-host.invalid/")
    assert (outcome.result, outcome.error) == (Result.DNS_FAILED, "the host's name could not be resolved")


async def test_connections_are_used_again(sender: Sender) -> None:
    async with receiving() as receiver:
        for _ in range(5):
            assert (await send(sender, receiver.url)).result is Result.SUCCEEDED
        assert receiver.connections == 1


@pytest.mark.case("C9")
async def test_an_idle_connection_that_the_receiver_closed(sender: Sender) -> None:
    async with receiving(answering(keep=False)) as receiver:
        for count in range(1, 6):
            assert (await send(sender, receiver.url)).result is Result.SUCCEEDED
            await receiver.until(lambda r, count=count: r.closed == count)  # type: ignore[misc]
        assert len(receiver.requests) == 5


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.case("C9")
async def test_an_idle_connection_that_is_closed_while_the_request_is_on_its_way(sender: Sender, how: str) -> None:
    """The receiver never takes the second request from the old connection; it gets it once, by a fresh one."""
    taken = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        while True:
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(len(b'{"n": 1.0}'))
            taken += 1
            await Exchange(None, reader, writer).send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")  # type: ignore[arg-type]
            if taken > 1:
                break
            await reader.readexactly(1)  # the next request is here, and this side ends without having read it
            if how == "reset":
                Exchange(None, reader, writer).reset()  # type: ignore[arg-type]
            break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1")
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        first, second = await send(sender, url), await send(sender, url)
    assert (first.result, second.result, taken) == (Result.SUCCEEDED, Result.SUCCEEDED, 2)


@pytest.mark.case("C9")
async def test_all_idle_connections_may_be_dead(sender: Sender) -> None:
    """As after a receiver's restart. libcurl goes through them one by one, aiohttp takes a fresh one at once."""

    async def answer(exchange: Exchange) -> object:
        await receiver.until(lambda r: r.connections >= 3)
        if exchange.request.connection <= 3 and len(receiver.requests) > 3:
            return None
        return await answering()(exchange)

    async with receiving() as receiver:
        receiver.answer = answer
        first = await asyncio.gather(*(send(sender, receiver.url) for _ in range(3)))
        assert {outcome.result for outcome in first} == {Result.SUCCEEDED}
        assert (await send(sender, receiver.url)).result is Result.SUCCEEDED
        assert receiver.requests[-1].connection == 4
        assert len(receiver.requests) <= (5 if isinstance(sender, AiohttpSender) else 7)


async def test_an_answer_too_many_is_not_the_next_ones(sender: Sender) -> None:
    async def twice(exchange: Exchange) -> object:
        answer = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n%d"
        await exchange.send(answer % len(receiver.requests) + answer % 9)
        return "keep"

    async with receiving(twice) as receiver:
        for number in (1, 2, 3):
            assert (await send(sender, receiver.url)).body == b"%d" % number


async def test_what_an_idle_connection_says_ends_it() -> None:
    """The native sender only: aiohttp and libcurl take it for the next answer."""
    more = asyncio.Event()

    async def twice(exchange: Exchange) -> object:
        await answering(200, b"%d" % len(receiver.requests))(exchange)
        await asyncio.wait_for(more.wait(), PATIENCE)
        return await answering(200, b"9")(exchange)

    async with receiving(twice) as receiver, native() as sender:
        assert (await send(sender, receiver.url)).body == b"1"
        more.set()
        await receiver.until(lambda r: r.closed == 1)
        assert (await send(sender, receiver.url)).body == b"2"


async def test_an_answer_to_half_a_request_ends_the_connection() -> None:
    """What is left of the request would be the beginning of the next one."""

    async def answer_early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        with contextlib.closing(writer), contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                await answered.wait()
                await reader.readexactly(int(head.rpartition(b": ")[2]))

    connections, answered = 0, asyncio.Event()
    server = await asyncio.start_server(answer_early, "127.0.0.1")
    async with server, native() as sender:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        for count, body in ((1, b"x" * 20_000_000), (2, b"{}"), (2, b"{}")):
            assert (await send(sender, url, body=body)).result is Result.SUCCEEDED
            assert connections == count
            answered.set()


async def test_a_header_is_one_line() -> None:
    async with receiving() as receiver, native() as sender:
        for value in ("a\r\nx-more: b", "a\nb", "a\rb"):
            with pytest.raises(ValueError, match="line break"):
                await send(sender, receiver.url, headers=(("x-one", value),))
        assert receiver.connections == 0


async def test_a_fresh_connection_that_fails_too_is_a_failure(sender: Sender) -> None:
    async with receiving() as receiver:
        await send(sender, receiver.url)
        receiver.answer = close
        outcome = await send(sender, receiver.url)
        assert outcome.result is Result.CONNECTION_LOST
        assert [request.connection for request in receiver.requests] == [1, 1, 2]


async def test_a_slow_answer_on_a_kept_connection_is_not_repeated(sender: Sender) -> None:
    async with receiving() as receiver:
        await send(sender, receiver.url)
        receiver.answer = Exchange.left
        outcome = await send(sender, receiver.url, timeout=0.4)
        assert outcome.result is Result.TIMED_OUT
        assert len(receiver.requests) == 2


async def test_exact_bytes(sender: Sender) -> None:
    """What was composed, `host` and `content-length`, and nothing else."""
    body = '{"b":1.0, "a":"ü\\u00fc"}\n'.encode()
    given = (*HEADERS, ("X-Custom", 'a "b" ~'), ("accept-encoding", "identity"), ("user-agent", "Hookpost/9"))
    async with receiving() as receiver:
        url = f"http://127.0.0.1:{receiver.port}/a%2fb%20c/%C3%BC/%41?x=%7B1%7D&y=+&z"
        for number in range(2):
            assert (await send(sender, url, body=body, headers=given)).result is Result.SUCCEEDED
            request = receiver.requests[number]
            assert request.line == "POST /a%2fb%20c/%C3%BC/%41?x=%7B1%7D&y=+&z HTTP/1.1"
            assert request.body == body
            others = {name.lower(): value for name, value in request.headers if (name, value) not in given}
            assert others == {"host": f"127.0.0.1:{receiver.port}", "content-length": str(len(body))}
            assert len(request.headers) == len(given) + 2


async def test_an_empty_body(sender: Sender) -> None:
    async with receiving() as receiver:
        assert (await send(sender, receiver.url, body=b"")).result is Result.SUCCEEDED
        assert receiver.requests[0].header("content-length") == "0"
        assert receiver.requests[0].header("transfer-encoding") is None


async def test_a_large_body(sender: Sender) -> None:
    body = bytes(n % 251 for n in range(300 * 1024))
    async with receiving() as receiver:
        assert (await send(sender, receiver.url, body=body)).result is Result.SUCCEEDED
        assert receiver.requests[0].body == body


@pytest.mark.case("D8")
async def test_cookies_are_not_kept(sender: Sender) -> None:
    async with receiving(answering(200, b"", "set-cookie: a=1; path=/\r\nset-cookie: b=2\r\n")) as receiver:
        for path in ("hook", "hook", "other"):
            await send(sender, receiver.url.replace("hook", path))
        assert [request.header("cookie") for request in receiver.requests] == [None] * 3


@pytest.mark.case("C6")
async def test_the_environment_has_no_say(
    make_sender: MakeSender, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password secret\n")
    netrc.chmod(0o600)
    async with receiving() as proxy, receiving() as receiver:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            monkeypatch.setenv(name.lower(), f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NETRC", str(netrc))
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.delenv("NO_PROXY", raising=False)
        outcome = await send(make_sender(), receiver.url)
        assert outcome.result is Result.SUCCEEDED
        assert receiver.requests[0].header("authorization") is None
        assert proxy.connections == 0


@pytest.mark.case("C8")
async def test_one_slow_receiver_holds_nobody_else(sender: Sender) -> None:
    """There is no common pool of connections to wait for: 150 hang, and the next one is served at once."""
    async with receiving(Exchange.left) as slow, receiving() as fast:
        hanging = [asyncio.create_task(send(sender, slow.url, timeout=600)) for _ in range(150)]
        await slow.got(150)
        assert (await send(sender, fast.url)).result is Result.SUCCEEDED
        assert not any(task.done() for task in hanging)
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
        await slow.until(lambda r: r.closed == 150)  # a cancelled attempt leaves no connection behind


async def test_faults_of_ours_are_values_too(sender: Sender) -> None:
    """A URL that no rule let in: no connection, and no exception."""
    async with receiving() as receiver:
        for url in ("http://", "nonsense", f"ftp://127.0.0.1:{receiver.port}/", "http://127.0.0.1:99999/", "http://[/"):
            try:
                outcome = await send(sender, url)
            except ValueError:
                continue  # a bug of ours; the courier makes it INTERNAL
            assert outcome.result in (Result.INTERNAL, Result.DNS_FAILED), url
        assert receiver.connections == 0


async def test_every_connection_is_closed_at_the_end(make_sender: MakeSender) -> None:
    sender = make_sender()
    async with receiving() as receiver, receiving() as other:
        for each in (receiver, other):
            await send(sender, each.url)
        await sender.close()
        await receiver.until(lambda r: r.closed == 1)
        await other.until(lambda r: r.closed == 1)
    assert isinstance(receiver, Receiver)
