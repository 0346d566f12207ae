"""`hookpost delivery …`: the log, one entry for each event and webhook."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from hookpost_server.cli import output as out
from hookpost_server.cli.delivery_view import COLUMNS, describe
from hookpost_server.cli.duration import MOMENT
from hookpost_server.cli.output import output_option
from hookpost_server.cli.remote import remote_command

if TYPE_CHECKING:
    from hookpost_server.cli.channel import Remote

STATES = ("pending", "succeeded", "failed", "cancelled")
CLASSES = ("2xx", "3xx", "4xx", "5xx")


@click.group()
def delivery() -> None:
    """Look into the delivery log.

    What was sent, how often, and what was answered: one entry for each event and webhook.

    \b
    Example:
      hookpost delivery list --state failed --since 1h
    """


@delivery.command("list")
@click.option("--webhook", default="", metavar="ID", help="Only of this webhook.")
@click.option("--event", default="", metavar="ID", help="Only of this event.")
@click.option("--type", "type_", default="", metavar="TYPE", help="Only of this event type.")
@click.option("--state", multiple=True, type=click.Choice(STATES), help="Only in this state, repeatable.")
@click.option("--status", multiple=True, type=click.Choice(CLASSES), help="Only if last answered so, repeatable.")
@click.option("--since", type=MOMENT, help="Only since then: 24h (the default), 10m, or 2026-08-21T10:00:00Z.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Show at most so many.")
@output_option
@remote_command
def list_(
    remote: Remote,
    webhook: str,
    event: str,
    type_: str,
    state: tuple[str, ...],
    status: tuple[str, ...],
    since: datetime | None,
    limit: int,
    output: str,
) -> None:
    """List deliveries, newest first.

    \b
    Examples:
      hookpost delivery list --webhook whk_… --state failed --since 2d
      hookpost delivery list --type User.Created --status 5xx -o jsonl
    """
    from hookpost.v1.delivery_pb2 import DeliveryState
    from hookpost.v1.delivery_service_pb2 import DeliveryFilter, ListDeliveriesRequest

    chosen = DeliveryFilter(
        webhook_id=webhook,
        event_id=event,
        event_type=type_,
        states=[DeliveryState.Value(f"DELIVERY_STATE_{name.upper()}") for name in state],
        status_classes=[int(name[0]) for name in status],
    )
    if since:
        chosen.start_time.FromDatetime(since)
    request = ListDeliveriesRequest(tenant_id=remote.tenant, filter=chosen)
    found, more = remote.collect(remote.deliveries.ListDeliveries, request, lambda answer: answer.deliveries, limit)
    out.print_list(output, found, COLUMNS, lambda delivery: delivery.id)
    out.say_rest(len(found), more, "delivery" + ("" if since else " of the last 24 h"))


@delivery.command()
@click.argument("id_", metavar="ID")
@output_option
@remote_command
def get(remote: Remote, id_: str, output: str) -> None:
    """Show one delivery with every attempt: when, how long, what was answered and why it failed.

    \b
    Example:
      hookpost delivery get dlv_01k3pzv3mgfqtsw1nbd4z0k2xr
    """
    from hookpost.v1.delivery_service_pb2 import GetDeliveryRequest

    request = GetDeliveryRequest(delivery_id=id_, tenant_id=remote.tenant)
    found = remote.call(remote.deliveries.GetDelivery, request).delivery
    out.print_one(output, found, found.id, lambda: describe(found))
