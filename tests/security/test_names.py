"""C1 to C5: whatever name servers answer, or not."""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import socket
import time

import pytest
import structlog
from aiohttp.abc import ResolveResult

from hookpost_server.delivery import egress, names
from hookpost_server.delivery.gate import Gate
from hookpost_server.domain.addresses import AddressPolicy
from hookpost_server.domain.delivery import Result
from tests.delivery.asking import send
from tests.delivery.conftest import LOCAL, MakeSender
from tests.delivery.wire import answering, receiving

from .name_server import NXDOMAIN, SERVFAIL, Found, name_server

# As if 127.0.0.2 were public and all else of this machine were not.
ONLY_2 = AddressPolicy(allow=(ipaddress.ip_network("127.0.0.2/32"),))


async def test_c1_rebinding(make_sender: MakeSender, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every second answer is loopback, and none is remembered: 1,000 tries, and loopback sees nobody."""
    monkeypatch.setattr(names, "DNS_TTL", 0)
    monkeypatch.setattr(egress, "DNS_TTL", 0)
    turns = itertools.cycle(["127.0.0.2", "127.0.0.2", "127.0.0.1", "127.0.0.1"])
    async with (
        name_server(lambda name: [next(turns)]) as server,
        receiving(answering(keep=False), host="127.0.0.2") as public,
        receiving(port=public.port) as loopback,
    ):
        sender = make_sender(ONLY_2, name_servers=[server.address])
        url = f"http://hooks.example.com:{public.port}/"
        results = [(await send(sender, url)).result for _ in range(1000)]
        assert set(results) == {Result.SUCCEEDED, Result.ADDRESS_REFUSED}
        assert len(public.requests) == results.count(Result.SUCCEEDED) > 100
        assert loopback.connections == 0
        assert server.asked["hooks.example.com"] > 100


async def test_c2_of_a_mixed_answer_only_the_public_ones_are_tried(make_sender: MakeSender) -> None:
    answer = ["10.0.0.1", "127.0.0.1", "127.0.0.2", "::1", "169.254.169.254"]
    async with (
        name_server(lambda name: answer) as server,
        receiving(host="127.0.0.2") as public,
        receiving(port=public.port) as loopback,
    ):
        sender = make_sender(ONLY_2, name_servers=[server.address])
        with structlog.testing.capture_logs() as lines:
            outcome = await send(sender, f"http://hooks.example.com:{public.port}/", timeout=5)
        assert outcome.result is Result.SUCCEEDED
        assert (public.connections, loopback.connections) == (1, 0)
        assert lines == [
            {"event": "names.filtered", "host": "hooks.example.com", "refused": 4, "log_level": "info"},
        ]


async def test_c3_a_few_of_many_addresses_are_tried(make_sender: MakeSender, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    lets = Gate.lets

    def noting(gate: Gate, address: str, port: int) -> bool:
        tried.append(address)
        return lets(gate, address, port)

    monkeypatch.setattr(Gate, "lets", noting)
    many = [str(ipaddress.IPv4Address("127.1.0.0") + n) for n in range(300)]
    async with name_server(lambda name: many) as server, receiving() as taken:
        sender = make_sender(LOCAL, name_servers=[server.address])
        outcome = await send(sender, f"http://hooks.example.com:{taken.port}/")  # nothing listens on the others
        assert outcome.result is Result.CONNECT_FAILED
        assert 1 <= len(set(tried)) <= names.MOST_TRIED
        assert set(tried) <= set(many)


def test_c3_both_families_get_their_turn() -> None:
    def found(host: str) -> ResolveResult:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return ResolveResult(hostname="x", host=host, port=80, family=family, proto=0, flags=0)

    answer = [found(f"2606:4700::{n}") for n in range(1, 9)] + [found("192.0.9.1")]
    turns = [each["host"] for each in names.in_turn(answer)]
    assert turns[:3] == ["2606:4700::1", "192.0.9.1", "2606:4700::2"]
    assert len(turns) == 9
    assert names.in_turn(answer[8:]) == answer[8:]


async def test_c3_ipv6_alone_is_reached(make_sender: MakeSender) -> None:
    async with name_server(lambda name: ["::1"]) as server, receiving(host="::1") as receiver:
        sender = make_sender(LOCAL, name_servers=[server.address])
        outcome = await send(sender, f"http://hooks.example.com:{receiver.port}/", timeout=5)
        assert outcome.result is Result.SUCCEEDED


@pytest.mark.parametrize("code", [SERVFAIL, NXDOMAIN])
async def test_c4_name_servers_that_fail(make_sender: MakeSender, code: int) -> None:
    async with name_server(lambda name: code) as server:
        sender = make_sender(LOCAL, name_servers=[server.address])
        outcome = await send(sender, "http://hooks.example.com/", timeout=5)
        assert (outcome.result, outcome.error) == (Result.DNS_FAILED, "the host's name could not be resolved")


async def test_c4_silence_ends_soon_and_holds_nobody(make_sender: MakeSender) -> None:
    def answer(name: str) -> Found:
        return ["127.0.0.1"] if name == "good.example.com" else None

    async with name_server(answer) as server, receiving() as receiver:
        sender = make_sender(LOCAL, name_servers=[server.address])
        began = time.monotonic()
        silent = [asyncio.create_task(send(sender, f"http://n{n}.example.com/", timeout=20)) for n in range(50)]
        for _ in range(20):
            outcome = await send(sender, f"http://good.example.com:{receiver.port}/")
            assert outcome.result is Result.SUCCEEDED
        assert not any(task.done() for task in silent)
        assert {(await task).result for task in silent} == {Result.DNS_FAILED}
        assert time.monotonic() - began <= names.DNS_LIMIT + 0.5


async def test_c5_a_chain_to_an_address_inside(make_sender: MakeSender) -> None:
    chain = [f"cname=n{n}.example.com" for n in range(8)] + ["127.0.0.1"]
    async with name_server(lambda name: chain) as server, receiving() as receiver:
        sender = make_sender(AddressPolicy(), name_servers=[server.address])
        outcome = await send(sender, f"http://hooks.example.com:{receiver.port}/", timeout=5)
        assert outcome.result is Result.ADDRESS_REFUSED
        assert receiver.connections == 0


async def test_c5_a_loop(make_sender: MakeSender) -> None:
    async with name_server(
        lambda name: ["cname=b.example.com", "cname=a.example.com", "cname=b.example.com"]
    ) as server:
        sender = make_sender(LOCAL, name_servers=[server.address])
        outcome = await send(sender, "http://a.example.com/", timeout=10)
        assert outcome.result is Result.DNS_FAILED
