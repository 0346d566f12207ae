"""The options that describe a webhook, and the message they make."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hookpost_server.cli.duration import DURATION
from hookpost_server.cli.failures import ExitCode, Failure
from hookpost_server.cli.inputs import pairs
from hookpost_server.domain.duration import format_duration, parse_duration

if TYPE_CHECKING:
    from hookpost.v1.webhook_pb2 import RetryPolicy, Webhook

F = TypeVar("F", bound=Callable[..., Any])

FORMATS = ("flat", "standard", "cloudevents", "raw")
SCHEDULES = ("default", "standard-webhooks", "none")
FIELDS = {  # option → field of Webhook; the update mask is made of those that were given
    "name": "name",
    "url": "url",
    "event": "event_types",
    "header": "headers",
    "label": "labels",
    "format_": "payload_format",
    "timeout": "timeout",
    "retry": "retry_policy",
    "max_in_flight": "max_in_flight",
    "rate_limit": "rate_limit",
}
RESETTABLE = ("headers", "labels", "payload_format", "timeout", "retry_policy", "max_in_flight", "rate_limit")


def settings_options(*, required: bool) -> Callable[[F], F]:
    """The options of create (some required) and of update (none)."""
    options = (
        click.option("--name", required=required, help="A name for people, e.g. crm."),
        click.option("--url", required=required, help="Where to POST, e.g. https://crm.example/hook."),
        click.option(
            "--event",
            multiple=True,
            required=required,
            metavar="TYPE",
            help="What to send, repeatable: User.Created, 'User.*' or '*'.",
        ),
        click.option("--header", multiple=True, metavar="'NAME: VALUE'", help="A further request header, repeatable."),
        click.option("--label", multiple=True, metavar="KEY=VALUE", help="A label to find it by, repeatable."),
        click.option("--format", "format_", type=click.Choice(FORMATS), help="Shape of the body; flat if not given."),
        click.option("--timeout", type=DURATION, help="Limit for one attempt, 100ms to 30s; 10s if not given."),
        click.option(
            "--retry",
            metavar="SCHEDULE",
            help="default (after 5s, 30s, 3m), standard-webhooks (three days), none, or a list such as 1s,10s,5m.",
        ),
        click.option("--max-in-flight", type=int, help="Attempts under way at once, 1 to 1000; 16 if not given."),
        click.option("--rate-limit", type=float, help="Attempts started a second at most; no limit if not given."),
    )

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def build(values: dict[str, Any]) -> Webhook:
    """The message with the settings that were given; the others stay unset."""
    from hookpost.v1.webhook_pb2 import PayloadFormat, Webhook

    webhook = Webhook(
        name=values["name"] or "",
        url=values["url"] or "",
        event_types=values["event"],
        headers=pairs(values["header"], ":", "Name: value"),
        labels=pairs(values["label"], "=", "key=value"),
        max_in_flight=_number(values["max_in_flight"], "--max-in-flight"),
        rate_limit=values["rate_limit"] or 0,
    )
    if values["format_"]:
        webhook.payload_format = PayloadFormat.Value(f"PAYLOAD_FORMAT_{values['format_'].upper()}")
    if values["timeout"] is not None:
        webhook.timeout.FromTimedelta(values["timeout"])
    if values["retry"]:
        webhook.retry_policy.CopyFrom(retry_policy(values["retry"]))
    return webhook


def given(values: dict[str, Any]) -> list[str]:
    """The fields whose options were given, in the order of the message."""
    return [field for option, field in FIELDS.items() if values[option] not in (None, ())]


def retry_policy(text: str) -> RetryPolicy:
    """A schedule by name, or "1s,10s,5m"."""
    from hookpost.v1.webhook_pb2 import RetryPolicy, RetrySchedule

    if text in SCHEDULES:
        name = f"RETRY_SCHEDULE_{text.upper().replace('-', '_')}"
        return RetryPolicy(schedule=RetrySchedule.Value(name))
    try:
        delays = [parse_duration(part.strip()) for part in text.split(",")]
    except ValueError as error:
        raise Failure(
            f"--retry: {error}", hint=f"{', '.join(SCHEDULES)}, or a list: 1s,10s,5m", code=ExitCode.USAGE
        ) from None
    policy = RetryPolicy()
    for delay in delays:
        policy.delays.add().FromTimedelta(delay)
    return policy


def retry_text(policy: RetryPolicy) -> str:
    """A policy in a line: "after 5s, 30s, 3m (±20 %)"."""
    from hookpost.v1.webhook_pb2 import RETRY_SCHEDULE_NONE

    if policy.schedule == RETRY_SCHEDULE_NONE:
        return "none"
    delays = ", ".join(format_duration(delay.ToTimedelta()) for delay in policy.delays)
    jitter = policy.jitter if policy.HasField("jitter") else 0.2
    return f"after {delays}" + (f" (±{jitter:.0%})" if jitter else "") if delays else ""


def timeout_text(webhook: Webhook) -> str:
    return format_duration(webhook.timeout.ToTimedelta() if webhook.HasField("timeout") else timedelta(0))


def _number(value: int | None, option: str) -> int:
    if value is not None and not -(1 << 31) <= value < 1 << 31:
        raise Failure(f"{option}: {value} is out of range", code=ExitCode.USAGE)
    return value or 0
