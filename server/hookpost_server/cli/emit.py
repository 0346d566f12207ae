"""`hookpost emit`: one event, from a prompt or a script."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import click

from hookpost_server.cli import emit_view
from hookpost_server.cli.duration import DURATION, MOMENT
from hookpost_server.cli.failures import ExitCode, Failure
from hookpost_server.cli.inputs import read_text
from hookpost_server.cli.output import output_option, plural, print_one, say
from hookpost_server.cli.remote import DEADLINE, remote_command

if TYPE_CHECKING:
    from hookpost_server.cli.channel import Remote


@click.command()
@click.argument("type_", metavar="TYPE")
@click.argument("payload", metavar="[JSON|@FILE|-]", default="{}")
@click.option("--key", default="", help="Idempotency key: the same key and content is the same event again.")
@click.option("--dry-run", is_flag=True, help="Only say which webhooks would fire and what the schema objects to.")
@click.option("--wait", type=DURATION, help="Wait for each delivery's first attempt, e.g. 10s; 60s at most.")
@click.option("--occur-time", type=MOMENT, help="When it happened, e.g. 2026-08-21T10:00:00Z. Default: now.")
@output_option
@remote_command
def emit(
    remote: Remote,
    type_: str,
    payload: str,
    key: str,
    dry_run: bool,
    wait: timedelta | None,
    occur_time: datetime | None,
    output: str,
) -> None:
    """Emit an event.

    Every webhook subscribed to TYPE gets a delivery. The payload is a JSON object and is sent byte for byte as
    given: as an argument, from @FILE, or from standard input with -. Without one it is {}.

    With --wait it shows each delivery's answer, and the exit code is 1 if one did not succeed in time; it is tried
    again all the same. With --dry-run the exit code is 1 if the payload does not fit the type's schema.

    \b
    Examples:
      hookpost emit PostSignIn '{"userId": "u1"}'
      hookpost emit User.Created @user.json --key import-4711
      generate | hookpost emit User.Created - -o id
      hookpost emit User.Created @user.json --wait 10s
      hookpost emit User.Created @user.json --dry-run
    """
    from hookpost.v1.event_service_pb2 import EmitEventRequest

    if dry_run and wait is not None:
        raise Failure("--dry-run sends nothing that one could --wait for", code=ExitCode.USAGE)
    request = EmitEventRequest(
        type=type_,
        tenant_id=remote.tenant,
        json=read_text(payload, "payload"),
        # An answer can get lost on its way. With a key of our own, trying again can't make a second event.
        idempotency_key=key or f"cli-{uuid4()}",
        dry_run=dry_run,
    )
    if occur_time:
        request.occur_time.FromDatetime(occur_time)
    if wait is not None:
        request.wait.timeout.FromTimedelta(wait)
    patience = DEADLINE + (wait.total_seconds() if wait else 0)
    answer = remote.call_again(remote.events.EmitEvent, request, deadline=patience)
    if dry_run:
        print_one(output, answer, "", lambda: emit_view.matches(answer, type_))
        if answer.schema_violations:
            raise Failure("\n  ".join(["the payload does not fit the type's schema:", *answer.schema_violations]))
        return

    def text() -> str:
        known = "  (known already by its key; nothing new was sent)" if answer.duplicate and key else ""
        first = f"{answer.event_id}  {plural(answer.delivery_count, 'delivery')}{known}"
        return f"{first}\n{emit_view.outcomes(answer)}" if answer.deliveries else first

    print_one(output, answer, answer.event_id, text)
    if not answer.delivery_count and not answer.duplicate:
        say(f"No active webhook of tenant {remote.tenant} subscribes to {type_}; hookpost webhook create makes one.")
    if wait is not None:
        emit_view.check(answer)
