"""The gate that every connection to a receiver goes through, and what to do when no socket can be made."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable, Sequence

from ..domain import addresses, errors
from ..domain.addresses import Address, AddressPolicy

_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})


class Gate:
    """Which connections may be made, and whom names are asked of.

    This server's own ports are closed on every address of this machine, whatever the policy opens.
    """

    def __init__(
        self, policy: AddressPolicy, *, own_ports: Iterable[int] = (), name_servers: Sequence[str] = ()
    ) -> None:
        """`name_servers`: ADDRESS or ADDRESS:PORT; empty: the system's."""
        self._policy = policy
        self.own_ports = set(own_ports)  # more are added as the server's parts begin to listen
        self.name_servers = name_servers

    def lets(self, address: str, port: int) -> bool:
        """Whether this connection may be made; not to what can't be parsed. Raises OSError, see `is_shortage`."""
        try:
            parsed = addresses.parse(address)
        except ValueError:
            return False
        return self._policy.permits(parsed) and not (port in self.own_ports and _is_of_this_machine(parsed))

    def permits(self, address: str) -> bool:
        """Whether connections to this address may be made at all."""
        try:
            return self._policy.permits(addresses.parse(address))
        except ValueError:
            return False


def _is_of_this_machine(address: Address) -> bool:
    """Only what an interface has can be bound to; interfaces come and go, so they are asked each time."""
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    with socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                return False
            raise
    return True


def is_shortage(error: OSError) -> bool:
    """Whether this process, or this machine, has nothing left to make a socket of: no fault of the receiver."""
    return error.errno in _SHORTAGES


def check_shortage() -> None:
    """Tells a receiver's failure from a shortage of ours after the fact. Raises NoSocket."""
    try:
        for each in socket.socketpair():  # two: libcurl works on a duplicate of the one it is given
            each.close()
    except OSError as error:
        if is_shortage(error):
            raise errors.NoSocket from error
