"""`hookpost emit`: one event, from a prompt or a script."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import uuid4

import click

from hookpost_server.cli.duration import MOMENT
from hookpost_server.cli.inputs import read_text
from hookpost_server.cli.output import output_option, plural, print_one, say
from hookpost_server.cli.remote import remote_command

if TYPE_CHECKING:
    from hookpost_server.cli.channel import Remote


@click.command()
@click.argument("type_", metavar="TYPE")
@click.argument("payload", metavar="[JSON|@FILE|-]", default="{}")
@click.option("--key", default="", help="Idempotency key: the same key and content is the same event again.")
@click.option("--occur-time", type=MOMENT, help="When it happened, e.g. 2026-08-21T10:00:00Z. Default: now.")
@output_option
@remote_command
def emit(remote: Remote, type_: str, payload: str, key: str, occur_time: datetime | None, output: str) -> None:
    """Emit an event.

    Every webhook subscribed to TYPE gets a delivery. The payload is a JSON object and is sent byte for byte as
    given: as an argument, from @FILE, or from standard input with -. Without one it is {}.

    \b
    Examples:
      hookpost emit PostSignIn '{"userId": "u1"}'
      hookpost emit User.Created @user.json --key import-4711
      generate | hookpost emit User.Created - -o id
    """
    from hookpost.v1.event_service_pb2 import EmitEventRequest

    request = EmitEventRequest(
        type=type_,
        tenant_id=remote.tenant,
        json=read_text(payload, "payload"),
        # An answer can get lost on its way. With a key of our own, trying again can't make a second event.
        idempotency_key=key or f"cli-{uuid4()}",
    )
    if occur_time:
        request.occur_time.FromDatetime(occur_time)
    answer = remote.call_again(remote.events.EmitEvent, request)

    def text() -> str:
        known = "  (known already by its key; nothing new was sent)" if answer.duplicate and key else ""
        return f"{answer.event_id}  {plural(answer.delivery_count, 'delivery')}{known}"

    print_one(output, answer, answer.event_id, text)
    if not answer.delivery_count and not answer.duplicate:
        say(f"No active webhook of tenant {remote.tenant} subscribes to {type_}; hookpost webhook create makes one.")
