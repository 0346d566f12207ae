"""Which addresses may be called. Checked where the socket is made, so that no spelling, resolver or redirect matters.

Order: never-open addresses → the operator's denials → the operator's allowances → the table. The table is our own:
`ipaddress.is_private` and `is_global` miss NAT64, 6to4, CGNAT and metadata services, and change between Python
releases. IPv6 is allowed positively: only global unicast 2000::/3, so that future special ranges are denied by default.
Sources: the IANA special-purpose address registries, RFC 6890.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


# Never opened by an allowance: instance metadata, link-local, multicast, broadcast.
NEVER = _networks(
    "169.254.0.0/16",  # link-local; metadata of AWS, Azure, GCP, ECS
    "168.63.129.16/32",  # Azure's wire server
    "100.100.100.200/32",  # Alibaba's metadata
    "192.0.0.192/32",  # Oracle's metadata
    "224.0.0.0/4",
    "255.255.255.255/32",
    "fd00:ec2::254/128",  # AWS's metadata
    "fe80::/10",
    "ff00::/8",
)

DENIED_IPV4 = _networks(
    "0.0.0.0/8",  # "this network"; Linux connects 0.0.0.0 to itself
    "10.0.0.0/8",
    "100.64.0.0/10",  # carrier-grade NAT
    "127.0.0.0/8",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "240.0.0.0/4",
)

GLOBAL_IPV6 = ipaddress.IPv6Network("2000::/3")
DENIED_IPV6 = _networks(
    "2001::/23",  # Teredo and other protocol assignments
    "2001:db8::/32",
    "2002::/16",  # 6to4
    "3fff::/20",
)


# IPv6 ranges whose last 32 bits are an IPv4 address that a gateway goes on to: compatible, translated (SIIT), NAT64
# and its local-use range.
_CARRIERS = _networks("::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48")


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def _carried(address: ipaddress.IPv6Address) -> Iterable[ipaddress.IPv4Address]:
    """The IPv4 addresses that an IPv6 address may stand for."""
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if _within(address, _CARRIERS):
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)


def parse(text: str) -> Address:
    """An address as the operating system writes it, zone id and all. Raises ValueError."""
    return ipaddress.ip_address(text.partition("%")[0])


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Decides by address. An IPv4 address mapped into IPv6 (::ffff:0:0/96) is judged as what it reaches.

    The other ways to carry IPv4 in IPv6 are denied by the table; where an allowance opens one (NAT64 on a host without
    IPv4), the IPv4 address within still must not be a never-open or an operator-denied one.
    """

    allow: tuple[Network, ...] = ()
    deny: tuple[Network, ...] = ()

    def permits(self, address: Address) -> bool:
        """Whether a connection to this address may be made."""
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            return self.permits(address.ipv4_mapped)
        if self._is_barred(address):
            return False
        if _within(address, self.allow):
            return True
        if isinstance(address, ipaddress.IPv6Address):
            return address in GLOBAL_IPV6 and not _within(address, DENIED_IPV6)
        return not _within(address, DENIED_IPV4)

    def _is_barred(self, address: Address) -> bool:
        """Whether no allowance can open it."""
        if _within(address, NEVER) or _within(address, self.deny):
            return True
        return isinstance(address, ipaddress.IPv6Address) and any(map(self._is_barred, _carried(address)))

    @property
    def opens_loopback(self) -> bool:
        """Whether local receivers are allowed, as in `hookpost dev`."""
        return self.permits(ipaddress.IPv4Address("127.0.0.1"))
