"""`hookpost webhook …`: where events are delivered."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click

from hookpost_server.cli import health_view, webhook_checks
from hookpost_server.cli import output as out
from hookpost_server.cli.duration import DURATION
from hookpost_server.cli.failures import ExitCode, Failure
from hookpost_server.cli.inputs import pairs, read_text
from hookpost_server.cli.output import output_option
from hookpost_server.cli.remote import remote_command
from hookpost_server.cli.webhook_settings import RESETTABLE, build, given, settings_options
from hookpost_server.cli.webhook_view import COLUMNS, describe

if TYPE_CHECKING:
    from hookpost.v1.webhook_pb2 import Webhook
    from hookpost_server.cli.channel import Remote

STATES = ("active", "disabled", "suspended")

signing_key_option = click.option(
    "--signing-key",
    metavar="KEY|@FILE|-",
    help="An existing key to bring along; better from a file or standard input than where others see it.",
)


@click.group()
def webhook() -> None:
    """Create, show and change webhooks.

    A webhook is a URL that receives events of the types it subscribes to.

    \b
    Example:
      hookpost webhook create --name crm --url https://crm.example/hook --event 'User.*'
    """


webhook.add_command(webhook_checks.test)
webhook.add_command(webhook_checks.health)
health_option = click.option("--health", is_flag=True, help="Also show success rate and requests of the last 24 h.")


@webhook.command()
@settings_options(required=True)
@signing_key_option
@output_option
@remote_command
def create(remote: Remote, /, signing_key: str | None, output: str, **settings: Any) -> None:
    """Create a webhook. It is active at once; the answer shows its signing key.

    \b
    Example:
      hookpost webhook create --name crm --url https://crm.example/hook \\
        --event User.Created --event 'Role.*' --header 'Authorization: Bearer t0k3n'
    """
    from hookpost.v1.webhook_service_pb2 import CreateWebhookRequest

    wanted = build(settings)
    wanted.tenant_id = remote.tenant
    request = CreateWebhookRequest(webhook=wanted, signing_key=_key(signing_key), request_id=f"cli-{uuid4()}")
    answer = remote.call_again(remote.webhooks.CreateWebhook, request)
    rows = [("signing key", answer.signing_key)]
    out.print_one(output, answer, answer.webhook.id, lambda: describe(answer.webhook, rows))


@webhook.command("list")
@click.option("--event", default="", metavar="TYPE", help="Only those that would receive this event type.")
@click.option("--state", multiple=True, type=click.Choice(STATES), help="Only in this state, repeatable.")
@click.option("--query", default="", help="Only those with this text in their name or URL.")
@click.option("--label", multiple=True, metavar="KEY=VALUE", help="Only those with this label, repeatable.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="Show at most so many.")
@health_option
@output_option
@remote_command
def list_(
    remote: Remote,
    event: str,
    state: tuple[str, ...],
    query: str,
    label: tuple[str, ...],
    limit: int,
    health: bool,
    output: str,
) -> None:
    """List webhooks, newest first.

    \b
    Examples:
      hookpost webhook list --event User.Created --state active
      hookpost webhook list --health
    """
    from hookpost.v1.webhook_pb2 import WebhookState
    from hookpost.v1.webhook_service_pb2 import ListWebhooksRequest

    request = ListWebhooksRequest(
        tenant_id=remote.tenant,
        states=[WebhookState.Value(f"WEBHOOK_STATE_{name.upper()}") for name in state],
        event_type=event,
        labels=pairs(label, "=", "key=value"),
        query=query,
        include_health=health,
    )
    found, more = remote.collect(remote.webhooks.ListWebhooks, request, lambda answer: answer.webhooks, limit)
    columns = (*COLUMNS[:-1], *health_view.COLUMNS, COLUMNS[-1]) if health else COLUMNS
    out.print_list(output, found, columns, lambda webhook: webhook.id)
    out.say_rest(len(found), more, "webhook")


@webhook.command()
@click.argument("id_", metavar="ID")
@health_option
@output_option
@remote_command
def get(remote: Remote, id_: str, health: bool, output: str) -> None:
    """Show one webhook.

    \b
    Example:
      hookpost webhook get whk_01k3pzv3mgfqtsw1nbd4z0k2xr --health
    """
    from hookpost.v1.webhook_service_pb2 import GetWebhookRequest

    request = GetWebhookRequest(webhook_id=id_, tenant_id=remote.tenant, include_health=health)
    found = remote.call(remote.webhooks.GetWebhook, request).webhook
    rows = health_view.rows(found) if health else []
    out.print_one(output, found, found.id, lambda: describe(found, rows))


@webhook.command()
@click.argument("id_", metavar="ID")
@settings_options(required=False)
@click.option(
    "--reset", multiple=True, type=click.Choice(RESETTABLE), help="Put a setting back to its default, repeatable."
)
@click.option("--etag", default="", help="Change it only if this is still its etag (see get).")
@output_option
@remote_command
def update(remote: Remote, /, id_: str, reset: tuple[str, ...], etag: str, output: str, **settings: Any) -> None:
    """Change the settings that are given; the others stay. Events, headers and labels are replaced as a whole.

    \b
    Examples:
      hookpost webhook update whk_… --event User.Created --event User.Deleted
      hookpost webhook update whk_… --retry 1s,10s,5m --reset rate_limit
    """
    from google.protobuf.field_mask_pb2 import FieldMask

    from hookpost.v1.webhook_service_pb2 import UpdateWebhookRequest

    paths = given(settings)
    if both := set(paths) & set(reset):
        raise Failure(f"{', '.join(sorted(both))}: either give a value or --reset it", code=ExitCode.USAGE)
    if not paths and not reset:
        raise Failure("nothing to change", hint="hookpost webhook update --help", code=ExitCode.USAGE)
    wanted = build(settings)
    wanted.id, wanted.tenant_id, wanted.etag = id_, remote.tenant, etag
    request = UpdateWebhookRequest(webhook=wanted, update_mask=FieldMask(paths=[*paths, *reset]))
    _print(output, remote.call(remote.webhooks.UpdateWebhook, request).webhook)


@webhook.command()
@click.argument("id_", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--etag", default="", help="Delete it only if this is still its etag (see get).")
@remote_command
def delete(remote: Remote, id_: str, yes: bool, etag: str) -> None:
    """Delete a webhook and cancel its waiting deliveries. Its log entries stay for a while.

    \b
    Example:
      hookpost webhook delete whk_01k3pzv3mgfqtsw1nbd4z0k2xr --yes
    """
    from hookpost.v1.webhook_service_pb2 import DeleteWebhookRequest

    if not yes and not sys.stdin.isatty():
        raise Failure("deleting needs a yes", hint="add --yes", code=ExitCode.USAGE)
    if not yes:
        click.confirm(f"Delete {id_} and cancel its waiting deliveries?", abort=True, err=True)
    request = DeleteWebhookRequest(webhook_id=id_, tenant_id=remote.tenant, etag=etag)
    answer = remote.call(remote.webhooks.DeleteWebhook, request)
    out.say(f"Deleted; cancelled {out.plural(answer.cancelled_delivery_count, 'waiting delivery')}.")


@webhook.command()
@click.argument("id_", metavar="ID")
@output_option
@remote_command
def enable(remote: Remote, id_: str, output: str) -> None:
    """Make a disabled or suspended webhook active again; its waiting deliveries go on.

    \b
    Example:
      hookpost webhook enable whk_01k3pzv3mgfqtsw1nbd4z0k2xr
    """
    from hookpost.v1.webhook_service_pb2 import EnableWebhookRequest

    request = EnableWebhookRequest(webhook_id=id_, tenant_id=remote.tenant)
    _print(output, remote.call(remote.webhooks.EnableWebhook, request).webhook)


@webhook.command()
@click.argument("id_", metavar="ID")
@click.option("--reason", default="", help="Why, for other people.")
@output_option
@remote_command
def disable(remote: Remote, id_: str, reason: str, output: str) -> None:
    """Stop deliveries to a webhook. Waiting ones are kept; events emitted from now on are not sent to it.

    \b
    Example:
      hookpost webhook disable whk_… --reason 'moving to a new host'
    """
    from hookpost.v1.webhook_service_pb2 import DisableWebhookRequest

    request = DisableWebhookRequest(webhook_id=id_, tenant_id=remote.tenant, reason=reason)
    _print(output, remote.call(remote.webhooks.DisableWebhook, request).webhook)


@webhook.command()
@click.argument("id_", metavar="ID")
@output_option
@remote_command
def key(remote: Remote, id_: str, output: str) -> None:
    """Reveal the signing keys in force, newest first: one secret on each line.

    \b
    Example:
      hookpost sink --key "$(hookpost webhook key whk_…)"
    """
    from hookpost.v1.webhook_service_pb2 import GetSigningKeyRequest

    request = GetSigningKeyRequest(webhook_id=id_, tenant_id=remote.tenant)
    answer = remote.call(remote.webhooks.GetSigningKey, request)
    if output != "table":
        out.print_list(output, answer.keys, (), lambda revealed: revealed.key.id)
        return
    for revealed in answer.keys:
        click.echo(revealed.secret)
        if revealed.key.HasField("expire_time"):
            out.say(f"{revealed.key.id}, the line above, stops signing {out.clock(revealed.key.expire_time)}")


@webhook.command("rotate-key")
@click.argument("id_", metavar="ID")
@click.option(
    "--overlap",
    type=DURATION,
    default=timedelta(0),
    help="How long the old key goes on signing beside the new one, up to 7d. Default: it stops at once.",
)
@signing_key_option
@output_option
@remote_command
def rotate_key(remote: Remote, id_: str, overlap: timedelta, signing_key: str | None, output: str) -> None:
    """Replace the signing key and print the new one.

    \b
    Example:
      hookpost webhook rotate-key whk_… --overlap 24h
    """
    from hookpost.v1.webhook_service_pb2 import RotateSigningKeyRequest

    request = RotateSigningKeyRequest(
        webhook_id=id_, tenant_id=remote.tenant, signing_key=_key(signing_key), request_id=f"cli-{uuid4()}"
    )
    request.overlap.FromTimedelta(overlap)
    answer = remote.call_again(remote.webhooks.RotateSigningKey, request)
    out.print_one(output, answer, answer.webhook.id, lambda: answer.signing_key)


def _print(output: str, shown: Webhook) -> None:
    out.print_one(output, shown, shown.id, lambda: describe(shown))


def _key(argument: str | None) -> str:
    return read_text(argument, "signing key").strip() if argument else ""
