"""Which addresses may be called, at every edge of every range."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookpost_server.domain import addresses
from hookpost_server.domain.addresses import Address, AddressPolicy

PUBLIC = AddressPolicy()
EVERYTHING = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))


def policy(*, allow: str = "", deny: str = "") -> AddressPolicy:
    return AddressPolicy(
        tuple(ipaddress.ip_network(text) for text in allow.split()),
        tuple(ipaddress.ip_network(text) for text in deny.split()),
    )


def permits(text: str, rules: AddressPolicy = PUBLIC) -> bool:
    return rules.permits(ipaddress.ip_address(text))


# Range, whether the address just before it may be called, whether the one just after it may. From RFC 6890 and the
# IANA registries, not from the code.
RANGES = [
    ("0.0.0.0/8", None, True),
    ("10.0.0.0/8", True, True),
    ("100.64.0.0/10", True, True),
    ("127.0.0.0/8", True, True),
    ("168.63.129.16/32", True, True),
    ("169.254.0.0/16", True, True),
    ("172.16.0.0/12", True, True),
    ("192.0.0.0/24", True, True),
    ("192.0.2.0/24", True, True),
    ("192.88.99.0/24", True, True),
    ("192.168.0.0/16", True, True),
    ("198.18.0.0/15", True, True),
    ("198.51.100.0/24", True, True),
    ("203.0.113.0/24", True, True),
    ("224.0.0.0/4", True, False),
    ("240.0.0.0/4", False, None),
    ("255.255.255.255/32", False, None),
    ("::/128", None, False),
    ("::1/128", False, False),
    ("::/8", None, False),
    ("64:ff9b::/96", False, False),
    ("64:ff9b:1::/48", False, False),
    ("100::/64", False, False),
    ("1000::/4", False, True),
    ("2001::/23", True, True),
    ("2001:db8::/32", True, True),
    ("2002::/16", True, True),
    ("3fff::/20", True, True),
    ("4000::/2", True, False),
    ("5f00::/16", False, False),
    ("8000::/1", False, None),
    ("fc00::/7", False, False),
    ("fd00:ec2::254/128", False, False),
    ("fe80::/10", False, False),
    ("fec0::/10", False, False),
    ("ff00::/8", False, None),
]


@pytest.mark.parametrize(("network", "before", "after"), RANGES, ids=[row[0] for row in RANGES])
@pytest.mark.case("A3")
def test_the_edges_of_every_denied_range(network: str, before: bool | None, after: bool | None) -> None:
    first, last = ipaddress.ip_network(network)[0], ipaddress.ip_network(network)[-1]
    assert not PUBLIC.permits(first)
    assert not PUBLIC.permits(last)
    assert not PUBLIC.permits(type(first)((int(first) + int(last)) // 2))
    if before is not None:
        assert PUBLIC.permits(first - 1) is before
    if after is not None:
        assert PUBLIC.permits(last + 1) is after


@pytest.mark.parametrize(
    "text",
    [
        "1.0.0.0",
        "1.1.1.1",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "223.255.255.255",
        "2000::",
        "2001:200::",
        "2001:4860:4860::8888",
        "2606:4700::1111",
        "2a00::1",
        "3fff:1000::",
        "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "::ffff:8.8.8.8",
    ],
)
def test_public_addresses(text: str) -> None:
    assert permits(text)


METADATA = ["169.254.169.254", "169.254.170.2", "fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16"]
NEVER = [*METADATA, "::ffff:169.254.169.254", "fe80::1", "ff02::1", "224.0.0.1", "239.255.255.250", "255.255.255.255"]


@pytest.mark.parametrize("text", NEVER)
@pytest.mark.case("A2")
def test_no_allowance_opens_these(text: str) -> None:
    address = ipaddress.ip_address(text)
    for allow in (EVERYTHING, (ipaddress.ip_network(text),)):
        assert not AddressPolicy(allow=allow).permits(address)


CARRIERS = {
    "mapped": lambda v4: int(ipaddress.IPv6Address("::ffff:0:0")) | v4,
    "compatible": lambda v4: v4,
    "translated": lambda v4: int(ipaddress.IPv6Address("::ffff:0:0:0")) | v4,
    "NAT64": lambda v4: int(ipaddress.IPv6Address("64:ff9b::")) | v4,
    "local NAT64": lambda v4: int(ipaddress.IPv6Address("64:ff9b:1::")) | v4,
    "6to4": lambda v4: int(ipaddress.IPv6Address("2002::")) | v4 << 80,
    "6to4 with a host": lambda v4: int(ipaddress.IPv6Address("2002::1")) | v4 << 80,
    "Teredo server": lambda v4: int(ipaddress.IPv6Address("2001::")) | v4 << 64,
    "Teredo client": lambda v4: int(ipaddress.IPv6Address("2001::")) | v4 ^ 0xFFFFFFFF,
}
DENIED_V4 = [ipaddress.ip_network(row[0]) for row in RANGES if ":" not in row[0]]
V4_OF_DENIED = st.sampled_from(DENIED_V4).flatmap(
    lambda network: st.integers(int(network[0]), int(network[-1])).map(ipaddress.IPv4Address)
)


@pytest.mark.parametrize("carrier", CARRIERS.values(), ids=CARRIERS)
@settings(max_examples=250)  # 2,250 in all
@given(address=V4_OF_DENIED)
@pytest.mark.case("A11")
def test_no_carrier_brings_a_denied_address_through(carrier: object, address: ipaddress.IPv4Address) -> None:
    assert not PUBLIC.permits(address)
    assert not PUBLIC.permits(ipaddress.IPv6Address(carrier(int(address))))  # type: ignore[operator]


@pytest.mark.parametrize("carrier", CARRIERS.values(), ids=CARRIERS)
@pytest.mark.parametrize("text", [text for text in NEVER if ":" not in text])
def test_no_allowance_opens_metadata_in_a_carrier(carrier: object, text: str) -> None:
    address = ipaddress.IPv6Address(carrier(int(ipaddress.IPv4Address(text))))  # type: ignore[operator]
    assert not AddressPolicy(allow=EVERYTHING).permits(address)
    assert not AddressPolicy(allow=(ipaddress.ip_network(address),)).permits(address)


def test_an_allowed_carrier_carries_the_rest() -> None:
    nat64 = policy(allow="64:ff9b::/96", deny="9.9.9.9/32")
    assert permits("64:ff9b::8.8.8.8", nat64)
    assert not permits("64:ff9b::9.9.9.9", nat64)
    assert not permits("64:ff9b:1::8.8.8.8", nat64)


@settings(max_examples=300)
@given(st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address) | st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address))
def test_what_is_permitted_is_global(address: Address) -> None:
    if PUBLIC.permits(address) and getattr(address, "ipv4_mapped", None) is None:
        assert address.is_global
        assert not (address.is_multicast or address.is_loopback or address.is_link_local or address.is_private)
        assert address.version == 4 or int(address) >> 125 == 1


def test_allowances_open_what_the_table_denies() -> None:
    rules = policy(allow="127.0.0.0/8 ::1/128 10.1.0.0/16")
    assert permits("127.0.0.1", rules)
    assert permits("::ffff:127.0.0.1", rules)
    assert permits("::1", rules)
    assert permits("10.1.255.255", rules)
    assert not permits("10.2.0.0", rules)
    assert not permits("192.168.0.1", rules)


@pytest.mark.case("A10")
def test_the_operators_denials_are_stronger_than_allowances() -> None:
    rules = policy(allow="10.0.0.0/8", deny="10.0.0.5/32 8.8.8.0/24 2606:4700::/32")
    assert permits("10.0.0.4", rules)
    assert not permits("10.0.0.5", rules)
    assert not permits("8.8.8.8", rules)
    assert not permits("::ffff:8.8.8.8", rules)
    assert not permits("2606:4700::1111", rules)
    assert permits("8.8.9.8", rules)


def test_what_opens_loopback() -> None:
    assert not PUBLIC.opens_loopback
    assert policy(allow="127.0.0.0/8").opens_loopback
    assert policy(allow="0.0.0.0/0").opens_loopback
    assert not policy(allow="10.0.0.0/8").opens_loopback
    assert not policy(allow="127.0.0.0/8", deny="127.0.0.0/8").opens_loopback


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("fe80::1%25eth0", "fe80::1"),
        ("::ffff:127.0.0.1", "::ffff:127.0.0.1"),
    ],
)
def test_parse(text: str, address: str) -> None:
    assert addresses.parse(text) == ipaddress.ip_address(address)


@pytest.mark.parametrize("text", ["", "localhost", "v1.fe80::a", "127.1", "0x7f000001", "0177.0.0.1", "[::1]", "%eth0"])
def test_what_is_no_address_is_not_parsed(text: str) -> None:
    with pytest.raises(ValueError):
        addresses.parse(text)
