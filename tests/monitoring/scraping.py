"""A scrape as Prometheus makes it, read by the client library's own parser."""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from hookpost_server.config import Address


@dataclass(frozen=True)
class Scrape:
    """What `/metrics` said."""

    text: str
    families: list[Metric]

    def value(self, sample: str, **labels: str) -> float | None:
        """Of one sample, by its whole name and all its labels; None if it is not there."""
        found = [
            each.value
            for family in self.families
            for each in family.samples
            if (each.name, each.labels) == (sample, labels)
        ]
        assert len(found) <= 1
        return found[0] if found else None

    def by(self, sample: str, label: str) -> dict[str, float]:
        """The sums of a metric's samples by the values of one label."""
        sums: dict[str, float] = {}
        for family in self.families:
            for each in family.samples:
                if each.name == sample:
                    sums[each.labels[label]] = sums.get(each.labels[label], 0) + each.value
        return sums

    @property
    def labels(self) -> dict[str, set[str]]:
        """The label names of every sample."""
        found: dict[str, set[str]] = {}
        for family in self.families:
            for each in family.samples:
                found.setdefault(each.name, set()).update(each.labels)
        return found


async def get(address: Address | None, path: str) -> tuple[int, str]:
    assert address is not None
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}{path}") as answer:
        return answer.status, await answer.text()


async def scrape(address: Address | None) -> Scrape:
    status, text = await get(address, "/metrics")
    assert status == 200
    return Scrape(text, list(text_string_to_metric_families(text)))
