"""What is measured, by name, in the order in which it runs."""

from collections.abc import Awaitable, Callable

from ..stage import Stage
from . import backlog, console, fan_out, health, herd, history, hosts, isolation, latency, limits, start_up, throughput

Scenario = Callable[[Stage], Awaitable[None]]

SCENARIOS: dict[str, Scenario] = {
    "limits": limits.limits,
    "throughput": throughput.throughput,
    "latency": latency.latency,
    "fan-out": fan_out.fan_out,
    "hosts": hosts.hosts,
    "isolation": isolation.isolation,
    "herd": herd.herd,
    "history": history.history,
    "backlog": backlog.backlog,
    "health": health.health,
    "console": console.console,
    "start-up": start_up.start_up,
}
