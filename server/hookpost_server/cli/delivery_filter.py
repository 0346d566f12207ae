"""The options that choose deliveries, and the filter they make."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hookpost_server.cli.duration import MOMENT

if TYPE_CHECKING:
    from hookpost.v1.delivery_service_pb2 import DeliveryFilter

F = TypeVar("F", bound=Callable[..., Any])

STATES = ("pending", "succeeded", "failed", "cancelled")
CLASSES = ("2xx", "3xx", "4xx", "5xx")
OUTCOMES = (
    "succeeded",
    "bad-status",
    "redirected",
    "invalid-response",
    "timed-out",
    "dns-failed",
    "connect-failed",
    "tls-failed",
    "connection-lost",
    "address-refused",
    "internal",
)


def filter_options(*, times: bool) -> Callable[[F], F]:
    """The options of list and replay; watch has none for times."""
    options = [
        click.option("--webhook", default="", metavar="ID", help="Only of this webhook."),
        click.option("--event", default="", metavar="ID", help="Only of this event."),
        click.option("--replay", default="", metavar="ID", help="Only what this replay sent again."),
        click.option("--type", "type_", default="", metavar="TYPE", help="Only of this event type."),
        click.option("--state", multiple=True, type=click.Choice(STATES), help="Only in this state, repeatable."),
        click.option("--status", multiple=True, type=click.Choice(CLASSES), help="Only if last answered so."),
        click.option("--outcome", multiple=True, type=click.Choice(OUTCOMES), help="Only if last ended so."),
    ]  # fmt: skip
    if times:
        options += [
            click.option(
                "--since", type=MOMENT, help="Only since then: 24h (the default), 10m, or 2026-08-21T10:00:00Z."
            ),
            click.option("--until", type=MOMENT, help="Only before then."),
        ]

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def build(values: dict[str, Any]) -> DeliveryFilter:
    """The message with the conditions that were given."""
    from hookpost.v1.delivery_pb2 import AttemptOutcome, DeliveryState
    from hookpost.v1.delivery_service_pb2 import DeliveryFilter

    chosen = DeliveryFilter(
        webhook_id=values["webhook"],
        event_id=values["event"],
        replay_id=values["replay"],
        event_type=values["type_"],
        states=[DeliveryState.Value(f"DELIVERY_STATE_{name.upper()}") for name in values["state"]],
        status_classes=[int(name[0]) for name in values["status"]],
        outcomes=[
            AttemptOutcome.Value(f"ATTEMPT_OUTCOME_{name.upper().replace('-', '_')}") for name in values["outcome"]
        ],
    )
    if values.get("since"):
        chosen.start_time.FromDatetime(values["since"])
    if values.get("until"):
        chosen.end_time.FromDatetime(values["until"])
    return chosen
