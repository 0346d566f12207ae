"""No file descriptor left: this machine's fault, never the receiver's."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import resource
import socket
from collections.abc import Callable, Iterator

import pytest
import structlog

from hookpost_server.delivery import courier
from hookpost_server.delivery.curl_sender import CurlSender
from hookpost_server.delivery.gate import Gate
from hookpost_server.delivery.sender import Sender
from hookpost_server.domain import errors
from hookpost_server.domain.delivery import Result, State
from hookpost_server.listening import open_files, raise_file_limit
from hookpost_server.store.database import Database
from tests.store import making

from .asking import send
from .conftest import LOCAL, SENDERS, MakeSender
from .engine import Engine
from .wire import answering, receiving


@contextlib.contextmanager
def descriptors_left(count: int) -> Iterator[None]:
    """This process can open `count` files more."""
    gc.collect()  # else it might give some back in the midst
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, before[1]))  # noqa: PTH208
    held: list[int] = []
    try:
        with contextlib.suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        for _ in range(count):
            os.close(held.pop())
        yield
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextlib.contextmanager
def listening() -> Iterator[int]:
    """A port whose listener needs no descriptor for a connection: the system makes it, and nobody takes it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "no-such-host.invalid"])
async def test_a_sender_says_so(make_sender: MakeSender, host: str) -> None:
    sender = make_sender()
    with listening() as port, descriptors_left(0), pytest.raises(errors.NoSocket):
        pytest.fail(repr(await send(sender, f"http://{host}:{port}/", timeout=1)))
    if host != "no-such-host.invalid":
        async with receiving() as receiver:
            assert (await send(sender, f"http://{host}:{receiver.port}/")).result is Result.SUCCEEDED


async def test_the_last_descriptor(make_sender: MakeSender) -> None:
    """aiohttp makes do with it; libcurl works on a duplicate of the socket that it is given."""
    sender = make_sender()
    with listening() as port, descriptors_left(1):
        try:
            assert (await send(sender, f"http://127.0.0.1:{port}/", timeout=0.3)).result is Result.TIMED_OUT
        except errors.NoSocket:
            assert isinstance(sender, CurlSender)


@pytest.mark.parametrize("kind", SENDERS.values(), ids=SENDERS)
async def test_a_shortage_that_is_over_at_once_is_none_of_the_receivers_either(kind: Callable[..., Sender]) -> None:
    class Short(Gate):
        def lets(self, address: str, port: int) -> bool:
            raise OSError(errno.ENFILE, "as a probe of an own port may")

    sender = kind(Short(LOCAL))
    try:
        with pytest.raises(errors.NoSocket):
            await send(sender, "http://127.0.0.1:9/")
    finally:
        await sender.close()


async def test_the_delivery_goes_back_and_is_attempted_later(
    make_sender: MakeSender, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier, "SHORTAGE_PAUSE", 0.1)
    engine = Engine(database, sender=make_sender())
    async with receiving(answering(keep=False)) as receiver, engine.running():
        webhook = await engine.webhook(receiver.url)
        with structlog.testing.capture_logs() as lines:
            with descriptors_left(0):
                (event,) = await engine.emit()
                await making.until(lambda: any(line["event"] == "delivery.postponed" for line in lines))
            found = await engine.ended(event, webhook)
        assert (found.state, found.attempt_count) == (State.SUCCEEDED, 1)
        assert len(receiver.requests) == 1
        assert "limit of open files" in next(line["error"] for line in lines if line["event"] == "delivery.postponed")


def test_the_limit_is_raised() -> None:
    gc.collect()  # else it might give some back in the midst
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before[1] - 1, before[1]))
        raise_file_limit()
        assert open_files() == before[1]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
