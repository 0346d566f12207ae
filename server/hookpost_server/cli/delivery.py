"""`hookpost delivery …`: the log, one entry for each event and webhook."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from hookpost_server.cli import delivery_watch, webhook_view
from hookpost_server.cli import output as out
from hookpost_server.cli.delivery_filter import build, filter_options
from hookpost_server.cli.delivery_view import COLUMNS, describe, explanation, pending, succeeded
from hookpost_server.cli.failures import Failure
from hookpost_server.cli.output import output_option
from hookpost_server.cli.remote import remote_command

if TYPE_CHECKING:
    from hookpost.v1.delivery_pb2 import Delivery
    from hookpost_server.cli.channel import Remote

_PATIENCE = 60.0  # seconds; an attempt lasts 30 at most


@click.group()
def delivery() -> None:
    """Look into the delivery log.

    What was sent, how often, and what was answered: one entry for each event and webhook.

    \b
    Example:
      hookpost delivery list --state failed --since 1h
    """


delivery.add_command(delivery_watch.watch)


@delivery.command("list")
@filter_options(times=True)
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Show at most so many.")
@output_option
@remote_command
def list_(remote: Remote, /, limit: int, output: str, **chosen: Any) -> None:
    """List deliveries, newest first.

    \b
    Examples:
      hookpost delivery list --webhook whk_… --state failed --since 2d
      hookpost delivery list --type User.Created --status 5xx --outcome timed-out -o jsonl
      hookpost delivery list --replay rpl_… --state failed
    """
    from hookpost.v1.delivery_service_pb2 import ListDeliveriesRequest

    request = ListDeliveriesRequest(tenant_id=remote.tenant, filter=build(chosen))
    found, more = remote.collect(remote.deliveries.ListDeliveries, request, lambda answer: answer.deliveries, limit)
    out.print_list(output, found, COLUMNS, lambda delivery: delivery.id)
    out.say_rest(
        len(found),
        more,
        "delivery" + ("" if chosen["since"] or chosen["event"] or chosen["replay"] else " of the last 24 h"),
    )


@delivery.command()
@click.argument("id_", metavar="ID")
@click.option("--requests", is_flag=True, help="Also show each request as it was sent.")
@output_option
@remote_command
def get(remote: Remote, id_: str, requests: bool, output: str) -> None:
    """Show one delivery with every attempt: when, how long, what was answered and why it failed.

    \b
    Example:
      hookpost delivery get dlv_01k3pzv3mgfqtsw1nbd4z0k2xr --requests
    """
    found = read(remote, id_, include_requests=requests)
    out.print_one(output, found, found.id, lambda: describe(found))


@delivery.command()
@click.argument("id_", metavar="ID")
@remote_command
def explain(remote: Remote, id_: str) -> None:
    """Say in words how a delivery went, why, and what happens next.

    \b
    Example:
      hookpost delivery explain dlv_01k3pzv3mgfqtsw1nbd4z0k2xr
    """
    found = read(remote, id_)
    click.echo(explanation(found, _why_it_waits(remote, found)))


@delivery.command()
@click.argument("id_", metavar="ID")
@click.option("--wait", is_flag=True, help="Wait for what becomes of it; exit code 1 if it does not succeed.")
@output_option
@remote_command
def resend(remote: Remote, id_: str, wait: bool, output: str) -> None:
    """Try a delivery that has ended once more.

    One more attempt in the same log entry, with the same event id.

    \b
    Example:
      hookpost delivery resend dlv_01k3pzv3mgfqtsw1nbd4z0k2xr --wait
    """
    from hookpost.v1.delivery_service_pb2 import RedeliverDeliveryRequest

    request = RedeliverDeliveryRequest(delivery_id=id_, tenant_id=remote.tenant)
    found = remote.call(remote.deliveries.RedeliverDelivery, request).delivery
    if not wait:
        out.print_one(output, found, found.id, lambda: f"{found.id}  queued once more")
        return
    found = _ended(remote, id_)
    out.print_one(output, found, found.id, lambda: explanation(found, _why_it_waits(remote, found)))
    if not succeeded(found):
        raise Failure("it did not succeed", hint=f"hookpost delivery get {id_} shows every attempt")


def read(remote: Remote, id_: str, *, include_requests: bool = False) -> Delivery:
    """One delivery with its attempts."""
    from hookpost.v1.delivery_service_pb2 import GetDeliveryRequest

    request = GetDeliveryRequest(delivery_id=id_, tenant_id=remote.tenant, include_requests=include_requests)
    return remote.call(remote.deliveries.GetDelivery, request).delivery


def _ended(remote: Remote, id_: str) -> Delivery:
    """Asks until it has ended, or as it is when patience ends."""
    end = time.monotonic() + _PATIENCE
    pause = 0.05
    while pending(found := read(remote, id_)) and time.monotonic() < end:
        time.sleep(pause)
        pause = min(pause * 2, 1)
    return found


def _why_it_waits(remote: Remote, found: Delivery) -> str:
    """What keeps a pending delivery from its next attempt, if something does."""
    from hookpost.v1.webhook_pb2 import WEBHOOK_STATE_ACTIVE
    from hookpost.v1.webhook_service_pb2 import GetWebhookRequest

    if not pending(found):
        return ""
    try:
        request = GetWebhookRequest(webhook_id=found.webhook_id, tenant_id=remote.tenant)
        webhook = remote.call(remote.webhooks.GetWebhook, request).webhook
    except Failure:  # deleted a moment ago, or not for this key to read
        return ""
    if webhook.state == WEBHOOK_STATE_ACTIVE:
        return ""
    return f"its webhook is {webhook_view.state(webhook)}; hookpost webhook enable {webhook.id} lets it go on"
