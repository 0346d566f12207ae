"""Every sender: no connection to an address that is not allowed, however it is spelled."""

from __future__ import annotations

import ipaddress
import socket

import pytest

from hookpost_server.delivery.egress import socket_factory
from hookpost_server.delivery.gate import Gate
from hookpost_server.domain.addresses import AddressPolicy
from hookpost_server.domain.delivery import Result

from .asking import send
from .conftest import MakeSender
from .wire import receiving

REFUSED = "the address is not one that may be reached"
LITERALS = ["127.0.0.1", "127.255.255.254", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"]
ELSEWHERE = ["169.254.169.254", "10.0.0.1", "[fe80::1]", "[fe80::1%25lo]", "[fd00:ec2::254]", "[64:ff9b::7f00:1]"]
NAMES = ["localhost", "LOCALHOST", "localhost.", "a.localhost"]
ODD = [
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "017700000001",
    "0177.0.0.1",
    "127.1",
    "0",
    "127.0.0.1.",
    "①②⑦.0.0.1",
    "１２７.0.0.1",
    "127。0。0。1",
    "١٢٧.0.0.1",
    "[v1.fe80::a]",
    "[127.0.0.1]",
]


@pytest.mark.parametrize("host", LITERALS + NAMES + ODD)
@pytest.mark.case("A1", "A4", "A5", "B1", "B2", "B5", "B12")
async def test_this_machine_is_not_reached(make_sender: MakeSender, host: str) -> None:
    """Listeners on all addresses of both families would see it."""
    sender = make_sender(AddressPolicy())
    async with receiving(host="0.0.0.0") as receiver, receiving(host="::1", port=receiver.port) as receiver6:
        try:
            outcome = await send(sender, f"http://{host}:{receiver.port}/")
        except ValueError:
            assert host in ODD  # no URL at all: the courier makes it INTERNAL
        else:
            if host in LITERALS or host == "localhost":
                assert (outcome.result, outcome.error) == (Result.ADDRESS_REFUSED, REFUSED)
            else:
                assert outcome.result in (Result.ADDRESS_REFUSED, Result.DNS_FAILED, Result.INTERNAL)
            assert outcome.status is None
        assert (receiver.connections, receiver6.connections) == (0, 0)


@pytest.mark.parametrize("host", ELSEWHERE)
@pytest.mark.case("A2", "A6", "A8")
async def test_private_addresses_are_refused(make_sender: MakeSender, host: str) -> None:
    everything = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))
    for policy in (AddressPolicy(), AddressPolicy(allow=everything, deny=everything)):
        outcome = await send(make_sender(policy), f"http://{host}:8080/")
        assert (outcome.result, outcome.error) == (Result.ADDRESS_REFUSED, REFUSED)


async def test_what_is_allowed_is_reached(make_sender: MakeSender) -> None:
    """The same ways lead to a receiver when they may."""
    policy = AddressPolicy(allow=(ipaddress.ip_network("127.0.0.0/8"),))
    async with receiving() as receiver:
        for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]"):
            if host.startswith("["):
                continue  # not every system routes it
            assert (await send(make_sender(policy), f"http://{host}:{receiver.port}/")).result is Result.SUCCEEDED
    denying = AddressPolicy(allow=policy.allow, deny=(ipaddress.ip_network("127.0.0.1/32"),))
    async with receiving() as receiver:
        outcome = await send(make_sender(denying), receiver.url)
        assert (outcome.result, receiver.connections) == (Result.ADDRESS_REFUSED, 0)


@pytest.mark.case("D1")
async def test_a_redirect_is_no_way_around(make_sender: MakeSender) -> None:
    only = AddressPolicy(allow=(ipaddress.ip_network("127.0.0.1/32"),))
    async with receiving(host="127.0.0.2") as forbidden, receiving() as receiver:

        async def redirect(exchange) -> None:  # type: ignore[no-untyped-def]
            await exchange.send(f"HTTP/1.1 307 X\r\nlocation: {forbidden.url}\r\ncontent-length: 0\r\n\r\n".encode())

        receiver.answer = redirect
        assert (await send(make_sender(only), receiver.url)).result is Result.REDIRECTED
        assert forbidden.connections == 0


@pytest.mark.parametrize("address", ["v1.fe80::a", "localhost", "", "127.0.0.1/8", "0x7f.0.0.1"])
@pytest.mark.case("B12")
def test_what_can_not_be_parsed_is_refused(address: str) -> None:
    make = socket_factory(Gate(AddressPolicy(allow=(ipaddress.ip_network("0.0.0.0/0"),))))
    with pytest.raises(OSError, match="refused"):
        make((socket.AF_INET, socket.SOCK_STREAM, 0, "", (address, 80)))
