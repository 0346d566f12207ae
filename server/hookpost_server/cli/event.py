"""`hookpost event …`: the events that were accepted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click

from hookpost_server.cli import delivery_view
from hookpost_server.cli import output as out
from hookpost_server.cli.duration import MOMENT
from hookpost_server.cli.output import Column, output_option
from hookpost_server.cli.remote import remote_command

if TYPE_CHECKING:
    from hookpost.v1.event_pb2 import Event
    from hookpost.v1.event_service_pb2 import GetEventResponse
    from hookpost_server.cli.channel import Remote

_PREVIEW = 60  # characters of the payload in a list

COLUMNS: Sequence[Column[Event]] = (
    Column("EVENT", lambda event: event.id),
    Column("TYPE", lambda event: event.type),
    Column("ACCEPTED", lambda event: out.ago(event.create_time)),
    Column("PAYLOAD", lambda event: _payload(event)[:_PREVIEW] + ("…" if len(event.json) > _PREVIEW else "")),
)


@click.group()
def event() -> None:
    """Look up accepted events.

    \b
    Example:
      hookpost event list --type User.Created
    """


@event.command("list")
@click.option("--type", "type_", default="", metavar="TYPE", help="Only of this type.")
@click.option("--since", type=MOMENT, help="Only since then: 24h, 10m, or 2026-08-21T10:00:00Z.")
@click.option("--until", type=MOMENT, help="Only before then.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Show at most so many.")
@output_option
@remote_command
def list_(remote: Remote, type_: str, since: datetime | None, until: datetime | None, limit: int, output: str) -> None:
    """List events, newest first.

    \b
    Example:
      hookpost event list --type User.Created --since 1h -o jsonl
    """
    from hookpost.v1.event_service_pb2 import ListEventsRequest

    request = ListEventsRequest(tenant_id=remote.tenant, event_type=type_)
    if since:
        request.start_time.FromDatetime(since)
    if until:
        request.end_time.FromDatetime(until)
    found, more = remote.collect(remote.events.ListEvents, request, lambda answer: answer.events, limit)
    out.print_list(output, found, COLUMNS, lambda event: event.id)
    out.say_rest(len(found), more, "event")


@event.command()
@click.argument("id_", metavar="ID")
@output_option
@remote_command
def get(remote: Remote, id_: str, output: str) -> None:
    """Show one event with its payload and its deliveries.

    \b
    Example:
      hookpost event get evt_01k3pzv3mgfqtsw1nbd4z0k2xr
    """
    from hookpost.v1.event_service_pb2 import GetEventRequest

    request = GetEventRequest(event_id=id_, tenant_id=remote.tenant)
    answer = remote.call(remote.events.GetEvent, request)
    out.print_one(output, answer, answer.event.id, lambda: _describe(answer))


def _payload(event: Event) -> str:
    return "(removed by retention)" if event.payload_removed else event.json


def _describe(answer: GetEventResponse) -> str:
    found = answer.event
    facts = out.card(
        [
            ("event", found.id),
            ("type", found.type),
            ("tenant", found.tenant_id),
            ("occurred", out.clock(found.occur_time)),
            ("accepted", out.clock(found.create_time)),
            ("key", found.idempotency_key),
            ("payload", _payload(found)),
        ]
    )
    if not answer.deliveries:
        return f"{facts}\n\nNo webhook subscribed to it when it was accepted."
    columns = delivery_view.COLUMNS
    rows = [[column.value(delivery) for column in columns] for delivery in answer.deliveries]
    return f"{facts}\n\n{out.table([column.heading for column in columns], rows)}"
