"""A bound on how often one address may try without being let in. Nobody who has a key that works meets it."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict

from ..domain import errors

RATE, BURST = 10.0, 20.0  # failures a second, and at once
MOST = 10_000  # addresses remembered; the one heard of longest ago is forgotten first


class FailureLimit:
    """A bucket for each address; a network of IPv6, which one host has to itself, is one address."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # (what is left, when), monotonic

    def count(self, address: str) -> None:
        """Notes a failure. Raises TooManyFailures beyond the rate."""
        name, now = _network(address), time.monotonic()
        left, at = self._buckets.pop(name, (BURST, now))
        left = min(BURST, left + (now - at) * RATE)
        self._buckets[name] = (max(0.0, left - 1), now)
        if len(self._buckets) > MOST:
            self._buckets.popitem(last=False)
        if left < 1:
            raise errors.TooManyFailures


def _network(address: str) -> str:
    if ":" not in address:
        return address
    return str(ipaddress.ip_network((address.partition("%")[0], 64), strict=False))
