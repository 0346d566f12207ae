"""How a webhook looks on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hookpost_server.cli.output import Column, card, clock, word
from hookpost_server.cli.webhook_settings import retry_text, timeout_text

if TYPE_CHECKING:
    from hookpost.v1.webhook_pb2 import Webhook

_WIDEST = 40  # characters of event types in a list


def state(webhook: Webhook) -> str:
    from hookpost.v1.webhook_pb2 import WebhookState

    return word(WebhookState.Name(webhook.state), "WEBHOOK_STATE_")


def _events(webhook: Webhook) -> str:
    text = ", ".join(webhook.event_types)
    if len(text) <= _WIDEST:
        return text
    return f"{webhook.event_types[0]} and {len(webhook.event_types) - 1} more"


COLUMNS: Sequence[Column[Webhook]] = (
    Column("WEBHOOK", lambda webhook: webhook.id),
    Column("NAME", lambda webhook: webhook.name),
    Column("STATE", state),
    Column("EVENTS", _events),
    Column("URL", lambda webhook: webhook.url),
)


def describe(webhook: Webhook, more: Sequence[tuple[str, str]] = ()) -> str:
    """Everything about one webhook; `more` rows come first after its URL."""
    from hookpost.v1.webhook_pb2 import PayloadFormat

    reason = f": {webhook.state_reason}" if webhook.state_reason else ""
    keys = [
        f"{key.id}" + (f", signs until {clock(key.expire_time)}" if key.HasField("expire_time") else "")
        for key in webhook.signing_keys
    ]
    return card(
        [
            ("webhook", webhook.id),
            ("name", webhook.name),
            ("url", webhook.url),
            *more,
            ("state", state(webhook) + reason),
            ("events", "\n".join(webhook.event_types)),
            ("headers", "\n".join(f"{name}: {value}" for name, value in sorted(webhook.headers.items()))),
            ("labels", "\n".join(f"{name}={value}" for name, value in sorted(webhook.labels.items()))),
            ("format", word(PayloadFormat.Name(webhook.payload_format), "PAYLOAD_FORMAT_")),
            ("timeout", timeout_text(webhook)),
            ("retries", retry_text(webhook.retry_policy)),
            ("in flight", f"{webhook.max_in_flight} at most" if webhook.max_in_flight else ""),
            ("rate limit", f"{webhook.rate_limit:g} a second" if webhook.rate_limit else ""),
            ("keys", "\n".join(keys)),
            ("created", clock(webhook.create_time)),
            ("changed", clock(webhook.update_time) if webhook.update_time != webhook.create_time else ""),
            ("etag", webhook.etag),
        ]
    )
