"""What is counted and timed. deploy/monitoring/README.md lists it; a test compares the two.

Labels never carry an id, a tenant, a URL or an event type: their values come from enums, from the API's methods and
from the error reasons. So a process has some hundred series, whatever is sent through it.
"""

from __future__ import annotations

import functools
import platform
import time
from collections.abc import Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.process_collector import ProcessCollector

from .. import __version__
from ..domain.delivery import Record, Result, State
from .instruments import Counter, Gauge, Histogram, Labels, Series

CALL_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
EXCHANGE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
WAIT_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 15, 60, 300, 1800, 3600)
BATCH_EVENTS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000)
LAG_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_ENDED = ((), *((state.name.lower(),) for state in State))  # by the state's number


class Metrics:
    """The figures of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._events = Counter(
            "hookpost_events",
            "Events at the door, by outcome: accepted, duplicate, refused.",
            ("outcome",),
            from_zero=[("accepted",), ("duplicate",), ("refused",)],
        )
        self._refusals = Counter("hookpost_events_refused", "Events refused, by the error's reason.", ("reason",))
        self._calls = Counter("hookpost_rpcs", "Finished calls, by method and gRPC code.", ("method", "code"))
        self._call_seconds = Histogram(
            "hookpost_rpc_duration_seconds", "Duration of calls; of streams, their whole life.", CALL_SECONDS, "method"
        )
        self._commit_seconds = Histogram(
            "hookpost_commit_duration_seconds", "Duration of the statements that store events.", CALL_SECONDS
        )
        self._commit_events = Histogram("hookpost_commit_events", "Events stored by one statement.", BATCH_EVENTS)
        self._attempts = Counter(
            "hookpost_attempts",
            "Recorded attempts, by result and by the answer's class: 1xx to 5xx, or none.",
            ("result", "answer"),
        )
        self._attempt_seconds = Histogram(
            "hookpost_attempt_duration_seconds", "Duration of attempts, from request to outcome.", EXCHANGE_SECONDS
        )
        self._wait_seconds = Histogram(
            "hookpost_queue_wait_seconds", "From an event's acceptance to the start of a first attempt.", WAIT_SECONDS
        )
        self._ended = Counter(
            "hookpost_deliveries_ended",
            "Deliveries ended by an attempt, by state.",
            ("state",),
            from_zero=[_ENDED[State.SUCCEEDED], _ENDED[State.FAILED]],
        )
        self._retries = Counter("hookpost_retries_scheduled", "Attempts that another one will follow.")
        self._claimed = Counter("hookpost_claimed_deliveries", "Deliveries claimed from the queue in the database.")
        self._claim_seconds = Histogram(
            "hookpost_claim_duration_seconds", "Duration of claims, those included that found nothing.", CALL_SECONDS
        )
        self._lag_seconds = Histogram(
            "hookpost_event_loop_lag_seconds", "How late the event loop ran a timer, measured each 0.25 s.", LAG_SECONDS
        )
        self._last_claim = time.time()
        for instrument in vars(self).copy().values():
            if isinstance(instrument, Counter | Histogram):
                self.registry.register(instrument)
        self._commit_series, self._commit_size = self._commit_seconds.of(""), self._commit_events.of("")
        self._attempt_series, self._wait_series = self._attempt_seconds.of(""), self._wait_seconds.of("")
        self._claim_series, self._lag_series = self._claim_seconds.of(""), self._lag_seconds.of("")
        self._call_series: dict[str, Series] = {}
        self.add(
            Gauge(
                "hookpost_last_claim_timestamp_seconds",
                "When the queue was last looked at, unix time; from the process's start on.",
                lambda: self._last_claim,
            )
        )
        build = (__version__, platform.python_version())
        self.add(Gauge("hookpost_build_info", "1, with the versions.", lambda: {build: 1.0}, ("version", "python")))
        ProcessCollector(registry=self.registry)

    def add(self, gauge: Gauge) -> None:
        """Adds what is read at each scrape."""
        self.registry.register(gauge)

    def called(self, method: str, code: str, seconds: float) -> None:
        """A call ended. `method` is one of the API's, so there are few."""
        self._calls.add((method, code))
        series = self._call_series.get(method)
        if series is None:
            series = self._call_series[method] = self._call_seconds.of(method)
        series.observe(seconds)

    def refused(self, reason: str, events: int) -> None:
        """Events were refused. `reason` is an error's."""
        self._events.add(("refused",), events)
        self._refusals.add((reason,), events)

    def committed(self, accepted: int, duplicates: int, seconds: float) -> None:
        """A statement stored events."""
        self._commit_series.observe(seconds)
        self._commit_size.observe(accepted + duplicates)
        self._events.add(("accepted",), accepted)
        if duplicates:
            self._events.add(("duplicate",), duplicates)

    def claimed(self, deliveries: int, seconds: float) -> None:
        """The queue was looked at."""
        self._last_claim = time.time()
        self._claim_series.observe(seconds)
        self._claimed.add(amount=deliveries)

    def recorded(self, records: Sequence[Record]) -> None:
        """Outcomes were written."""
        for record in records:
            outcome, state = record.outcome, record.conclusion.state
            self._attempts.add(_attempt_labels(outcome.result * 10 + (outcome.status or 0) // 100))
            self._attempt_series.observe(record.latency)
            if (wait := record.queue_wait) is not None:
                self._wait_series.observe(wait)
            if state is State.PENDING:
                self._retries.add()
            else:
                self._ended.add(_ENDED[state])

    def lagged(self, seconds: float) -> None:
        """The event loop was so late."""
        self._lag_series.observe(seconds)


@functools.cache
def _attempt_labels(number: int) -> Labels:
    """Result and class of the answer, from the digits of `number`: to hash an enum's member takes longer."""
    result, answer = divmod(number, 10)
    return Result(result).name.lower(), f"{answer}xx" if answer else "none"
