"""`hookpost webhook test` and `hookpost webhook health`: does it work, and has it worked?"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from hookpost_server.cli import health_view
from hookpost_server.cli import output as out
from hookpost_server.cli.attempt_view import answer, first_line, in_words, latency, succeeded
from hookpost_server.cli.duration import DURATION
from hookpost_server.cli.failures import Failure
from hookpost_server.cli.inputs import pairs
from hookpost_server.cli.output import output_option
from hookpost_server.cli.remote import remote_command
from hookpost_server.cli.webhook_settings import FORMATS

if TYPE_CHECKING:
    from hookpost.v1.webhook_service_pb2 import TestResult
    from hookpost_server.cli.channel import Remote

_PATIENCE = 330.0  # seconds: a hundred types, ten at a time, 30 s each

_COLUMNS: tuple[out.Column[TestResult], ...] = (
    out.Column("TYPE", lambda result: result.event_type),
    out.Column("STATUS", lambda result: answer(result.attempt)),
    out.Column("LATENCY", lambda result: latency(result.attempt)),
    out.Column("ANSWER", lambda result: first_line(result.attempt)),
)


@click.command()
@click.argument("id_", metavar="ID")
@click.option(
    "--event", multiple=True, metavar="TYPE", help="Send this type, repeatable. Default: all it subscribes to."
)
@click.option("--url", default="", help="Send there instead of to its URL.")
@click.option("--header", multiple=True, metavar="'NAME: VALUE'", help="Send this instead of its headers, repeatable.")
@click.option("--format", "format_", type=click.Choice(FORMATS), help="Use this shape of the body instead of its own.")
@output_option
@remote_command
def test(
    remote: Remote,
    id_: str,
    event: tuple[str, ...],
    url: str,
    header: tuple[str, ...],
    format_: str | None,
    output: str,
) -> None:
    """Try a webhook now, with each type's example.

    Sends the example of each event type, signed with the real key, and shows what is answered. Works while the
    webhook is disabled, is not retried, and appears in no log and no figure. With --url, --header and --format it
    tries settings that are not saved. Exit code 1 if any test failed.

    \b
    Examples:
      hookpost webhook test whk_…
      hookpost webhook test whk_… --event User.Created --url https://staging.example/hook
    """
    from hookpost.v1.webhook_pb2 import PayloadFormat
    from hookpost.v1.webhook_service_pb2 import TestWebhookRequest

    request = TestWebhookRequest(
        webhook_id=id_,
        tenant_id=remote.tenant,
        event_types=event,
        url=url,
        headers=pairs(header, ":", "Name: value"),
        override_headers=bool(header),
    )
    if format_:
        request.payload_format = PayloadFormat.Value(f"PAYLOAD_FORMAT_{format_.upper()}")
    results = remote.call(remote.webhooks.TestWebhook, request, deadline=_PATIENCE).results
    out.print_list(output, results, _COLUMNS, lambda result: result.event_type)
    failed = [result for result in results if not succeeded(result.attempt)]
    for text in in_words((result.event_type, result.attempt.explanation) for result in failed):
        out.say(out.safe(text))
    if failed:
        raise Failure(f"{len(failed)} of {out.plural(len(results), 'test')} failed")


@click.command()
@click.argument("id_", metavar="ID")
@click.option("--window", type=DURATION, default="24h", show_default=True, help="How far back, 1m to 7d.")
@output_option
@remote_command
def health(remote: Remote, id_: str, window: timedelta, output: str) -> None:
    """Show how a webhook has been doing.

    Success rate, latency, failures in a row, and what succeeded and failed over time.
    Counts deliveries that ended in the window, not attempts; one that is still being retried is not yet a failure.
    Test sends never count.

    \b
    Example:
      hookpost webhook health whk_… --window 1h
    """
    from hookpost.v1.webhook_service_pb2 import GetWebhookHealthRequest

    request = GetWebhookHealthRequest(webhook_id=id_, tenant_id=remote.tenant)
    request.window.FromTimedelta(window)
    found = remote.call(remote.webhooks.GetWebhookHealth, request)
    out.print_one(output, found, id_, lambda: health_view.describe(found.health, found.series))
