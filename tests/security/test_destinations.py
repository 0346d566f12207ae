"""A and B at the socket: what a name leads to is judged like an address that is written out."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import AsyncIterator

import pytest

from hookpost_server import supervisor
from hookpost_server.config import Address, Config
from hookpost_server.delivery.gate import Gate
from hookpost_server.domain.addresses import AddressPolicy
from hookpost_server.domain.delivery import Result
from tests.delivery.asking import send
from tests.delivery.conftest import LOCAL, MakeSender
from tests.delivery.wire import Receiver, receiving

from .name_server import name_server

PUBLIC = AddressPolicy()
ANSWERS = {
    "A1": ["127.0.0.1", "127.255.255.254", "::1"],
    "A2": ["169.254.169.254", "169.254.170.2", "fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16"],
    "A4": ["0.0.0.0", "0.1.2.3", "::"],
    "A5": ["::ffff:127.0.0.1", "::127.0.0.1", "::ffff:0:127.0.0.1"],
    "A6": ["64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1"],
    "A7": ["2002:7f00:1::", "2002:a9fe:a9fe::", "2001:0:a9fe:a9fe::1"],
    "A8": ["fe80::1", "fec0::1", "fd12::1", "ff02::1", "5f00::1", "3fff::1"],
}


@contextlib.asynccontextmanager
async def this_machine() -> AsyncIterator[list[Receiver]]:
    """Listeners on all addresses of both families."""
    async with receiving(host="0.0.0.0") as four, receiving(host="::", port=four.port) as six:
        yield [four, six]


@pytest.mark.parametrize(
    "address",
    [pytest.param(each, marks=pytest.mark.case(case)) for case, found in ANSWERS.items() for each in found],
)
async def test_a_name_that_leads_there(make_sender: MakeSender, address: str) -> None:
    async with name_server(lambda name: [address]) as names, this_machine() as receivers:
        sender = make_sender(PUBLIC, name_servers=[names.address])
        outcome = await send(sender, f"http://hooks.example.com:{receivers[0].port}/")
        assert outcome.result is Result.ADDRESS_REFUSED
        assert names.asked["hooks.example.com"] == 1
        assert [receiver.connections for receiver in receivers] == [0, 0]


async def test_a2_everything_allowed_opens_no_metadata_address(make_sender: MakeSender) -> None:
    everything = AddressPolicy(allow=(ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")))
    for address in ANSWERS["A2"]:
        async with name_server(lambda name, address=address: [address]) as names:  # type: ignore[misc]
            sender = make_sender(everything, name_servers=[names.address])
            assert (await send(sender, "http://hooks.example.com/")).result is Result.ADDRESS_REFUSED


@pytest.mark.parametrize("name", ["127.0.0.1.nip.example", "localtest.example", "app.localtest.example"])
async def test_b6_public_names_of_loopback(make_sender: MakeSender, name: str) -> None:
    async with name_server(lambda name: ["127.0.0.1", "::1"]) as names, this_machine() as receivers:
        sender = make_sender(PUBLIC, name_servers=[names.address])
        outcome = await send(sender, f"http://{name}:{receivers[0].port}/")
        assert (outcome.result, outcome.error) == (
            Result.ADDRESS_REFUSED,
            "the address is not one that may be reached",
        )
        assert [receiver.connections for receiver in receivers] == [0, 0]


def own_addresses() -> list[str]:
    """This machine's addresses, the one that it has for others too where there is such."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return ["127.0.0.1", "127.0.0.2", "0.0.0.0"]
        return ["127.0.0.1", "127.0.0.2", "0.0.0.0", probe.getsockname()[0]]


async def test_a9_own_ports_are_closed_on_every_address_of_this_machine(make_sender: MakeSender) -> None:
    everything = AddressPolicy(allow=(ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")))
    async with this_machine() as receivers, receiving() as other:
        port = receivers[0].port
        sender = make_sender(everything, own_ports=[port])
        for host in [*own_addresses(), "[::1]", "[::ffff:127.0.0.1]", "localhost"]:
            assert (await send(sender, f"http://{host}:{port}/")).result is Result.ADDRESS_REFUSED, host
        assert [receiver.connections for receiver in receivers] == [0, 0]
        assert (await send(sender, other.url)).result is Result.SUCCEEDED
        assert (await send(make_sender(everything), f"http://127.0.0.1:{port}/")).result is Result.SUCCEEDED


def test_a9_the_same_ports_elsewhere_are_open() -> None:
    gate = Gate(PUBLIC, own_ports=[443])
    assert gate.lets("192.0.9.1", 443)
    assert gate.lets("2606:4700::1111", 443)
    assert not Gate(LOCAL, own_ports=[443]).lets("127.0.0.1", 443)
    assert Gate(LOCAL, own_ports=[443]).lets("127.0.0.1", 444)


def test_a9_of_several_processes_none_calls_anothers_figures() -> None:
    config = Config(processes=3, metrics_address=Address("127.0.0.1", 9000), own_ports=(8080,))
    assert supervisor.own_ports(config) == [8080, 9000, 9001, 9002]
    assert supervisor.own_ports(Config(processes=3, metrics_address=None)) == []


async def test_a10_what_the_operator_denies(make_sender: MakeSender) -> None:
    """As if 127.0.0.2 were a public address."""
    denying = AddressPolicy(allow=LOCAL.allow, deny=(ipaddress.ip_network("127.0.0.2/32"),))
    async with receiving(host="0.0.0.0") as receiver, name_server(lambda name: ["127.0.0.2"]) as names:
        sender = make_sender(denying, name_servers=[names.address])
        for host in ("127.0.0.2", "[::ffff:127.0.0.2]", "db.example.com"):
            assert (await send(sender, f"http://{host}:{receiver.port}/")).result is Result.ADDRESS_REFUSED
        assert receiver.connections == 0
        assert (await send(sender, f"http://127.0.0.1:{receiver.port}/")).result is Result.SUCCEEDED
