"""The sink's receiver: what it answers, what it remembers, what it prints."""

from __future__ import annotations

import gzip
import hmac
from collections.abc import AsyncIterator, Sequence

import aiohttp
import pytest

from hookpost_server.cli.receiver import Received, Receiver
from hookpost_server.cli.script import Script
from hookpost_server.cli.sink import line, points_at
from hookpost_server.cli.verdict import Verdict

KEY = "0123456789abcdef"


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        yield session


def test_scripts() -> None:
    script = Script.parse(" 500, 503,Slow,200 ")
    assert [script.step(attempt) for attempt in range(6)] == [500, 503, "slow", 200, 200, 200]
    assert str(script) == "500,503,slow,200"


@pytest.mark.parametrize("text", ["", "200,", "99", "100", "600", "fast", "2oo", "²00", ",".join(["200"] * 101)])
def test_scripts_that_make_no_sense(text: str) -> None:
    with pytest.raises(ValueError, match=r"neither|at most"):
        Script.parse(text)


async def test_each_delivery_plays_the_script_from_its_start(client: aiohttp.ClientSession) -> None:
    async with Receiver(script_for=lambda headers: Script.parse("500,410,204")) as receiver:
        url = f"http://127.0.0.1:{await receiver.start()}/hook?x=1"
        answered = []
        for delivery in ("dlv_a", "dlv_b", "dlv_a", "dlv_a", "dlv_a", "dlv_b"):
            async with client.post(url, data=b"{}", headers={"hookpost-delivery": delivery}) as response:
                answered.append(response.status)
    assert answered == [500, 500, 410, 204, 204, 410]
    assert [received.answered for received in receiver.received] == answered
    assert {received.path for received in receiver.received} == {"/hook?x=1"}


async def test_redirect_and_reset(client: aiohttp.ClientSession) -> None:
    async with Receiver(script_for=lambda headers: Script.parse("redirect,reset,200")) as receiver:
        url = f"http://127.0.0.1:{await receiver.start()}/"
        async with client.post(url, data=b"{}", allow_redirects=False) as response:
            assert response.status == 302
        with pytest.raises((ConnectionResetError, aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
            await client.post(url, data=b"{}")
        async with client.post(url, data=b"{}") as response:
            assert response.status == 200


async def test_a_hanging_answer_ends_with_the_receiver(client: aiohttp.ClientSession) -> None:
    async with Receiver(script_for=lambda headers: Script.parse("hang")) as receiver:
        url = f"http://127.0.0.1:{await receiver.start()}/"
        with pytest.raises(TimeoutError):
            await client.post(url, data=b"{}", timeout=aiohttp.ClientTimeout(0.2))
    assert receiver.received[0].answered == "hang"


async def test_the_body_is_kept_as_it_came(client: aiohttp.ClientSession) -> None:
    packed = gzip.compress(b"{}")
    async with Receiver() as receiver:
        url = f"http://127.0.0.1:{await receiver.start()}/"
        async with client.post(url, data=packed, headers={"content-encoding": "gzip"}) as response:
            assert response.status == 200
    assert receiver.received[0].body == packed


async def test_memory_is_bounded(client: aiohttp.ClientSession) -> None:
    async with Receiver(keep=3, keep_bytes=50) as receiver:
        url = f"http://127.0.0.1:{await receiver.start()}/"
        for size in (10, 10, 10, 10, 45):
            async with client.post(url, data=b"x" * size):
                pass
    assert receiver.count == 5
    assert [len(received.body) for received in receiver.received] == [45]


async def test_keys_are_looked_for_when_those_known_do_not_fit(client: aiohttp.ClientSession) -> None:
    asked = 0

    async def find_keys() -> Sequence[str]:
        nonlocal asked
        asked += 1
        return [KEY]

    async with Receiver(find_keys=find_keys) as receiver:
        url = f"http://127.0.0.1:{await receiver.start()}/"
        for signature in ("", hmac.new(KEY.encode(), b"{}", "sha256").hexdigest()):
            async with client.post(url, data=b"{}", headers={"hookpost-signature-sha-256": signature}):
                pass
    assert asked == 1, "an unsigned request is no reason to ask"
    assert [received.verdicts.hex for received in receiver.received] == [Verdict.MISSING, Verdict.RIGHT]


async def test_a_request_is_one_line_whatever_it_holds(client: aiohttp.ClientSession) -> None:
    lines: list[str] = []

    def on_received(received: Received) -> None:
        lines.append(line(received))

    async with Receiver(on_received=on_received) as receiver:
        url = f"http://127.0.0.1:{await receiver.start()}/"
        headers = {"hookpost-event": "User.Created", "hookpost-attempt": "2", "webhook-id": "evt_1"}
        async with client.post(url, data=b'{"a":\n"\x1b[2J\xff"}' + b"x" * 500, headers=headers):
            pass
    assert "\n" not in lines[0]
    assert "\x1b[2J" not in lines[0]
    assert "User.Created  evt_1  attempt 2" in lines[0]
    assert lines[0].endswith("…")


@pytest.mark.parametrize(
    ("url", "host", "answer"),
    [
        ("http://127.0.0.1:9000/hook", "127.0.0.1", True),
        ("http://localhost:9000", "127.0.0.1", True),
        ("http://[::1]:9000/", "localhost", True),
        ("http://127.0.0.1:9001/", "127.0.0.1", False),
        ("https://example.org:9000/", "127.0.0.1", False),
        ("https://example.org:9000/", "0.0.0.0", True),
        ("http://127.0.0.1/:9000", "127.0.0.1", False),
        ("http://127.0.0.1:99999/", "127.0.0.1", False),
    ],
)
def test_which_webhooks_point_at_a_sink(url: str, host: str, answer: bool) -> None:
    assert points_at(url, host, 9000) is answer
