"""`hookpost delivery watch`: each change of a delivery on a line, as it happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hookpost_server.cli.delivery_filter import build, filter_options
from hookpost_server.cli.delivery_view import line, pending
from hookpost_server.cli.failures import ExitCode, Failure
from hookpost_server.cli.output import as_json, print_json, say
from hookpost_server.cli.remote import remote_command

if TYPE_CHECKING:
    from hookpost.v1.delivery_pb2 import Delivery
    from hookpost.v1.delivery_service_pb2 import DeliveryFilter
    from hookpost_server.cli.channel import Remote

_MOST = 10_000  # deliveries that --until-done looks at when it begins


@click.command()
@filter_options(times=False)
@click.option("--resume", default="", metavar="TOKEN", help="Go on after an earlier watch with the same filters.")
@click.option("--limit", type=click.IntRange(1), help="End after so many changes.")
@click.option("--until-done", is_flag=True, help="Begin with what there is, end when none of it is pending.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(("table", "jsonl", "id")),
    default="table",
    show_default=True,
    help="A line for people; for programs jsonl, with resume tokens, or the delivery's id.",
)
@remote_command
def watch(remote: Remote, /, resume: str, limit: int | None, until_done: bool, output: str, **chosen: Any) -> None:
    """Show each change of a delivery as it happens.

    From now on, or from a resume token on. Goes on by itself when the server was away; nothing is left out, a change
    may be shown again. Changes within a second may be told as one. Ctrl-C stops it.

    \b
    Examples:
      hookpost delivery watch --webhook whk_… --state failed
      hookpost delivery watch --event evt_… --until-done
      hookpost delivery watch -o jsonl | jq .delivery.state
    """
    from hookpost_server.cli.watching import Watch

    if until_done and (resume or chosen["state"] or chosen["status"] or chosen["outcome"]):
        raise Failure("--until-done goes with --webhook, --event, --replay and --type only", code=ExitCode.USAGE)
    filter_ = build(chosen)
    watching = Watch(remote, filter_, resume)
    open_ones: set[str] | None = None
    shown, begun = 0, False
    try:
        for answer in watching:
            if until_done and open_ones is None:
                found = _present(remote, filter_)
                open_ones = {delivery.id for delivery in found if pending(delivery)}
                for delivery in found:
                    _print(output, delivery, "")
            elif answer.HasField("delivery"):
                _print(output, answer.delivery, answer.resume_token)
                shown += 1
                if open_ones is not None and not pending(answer.delivery):
                    open_ones.discard(answer.delivery.id)
            elif not begun:
                say("Watching. Ctrl-C stops it.")
            begun = True
            if shown == limit or open_ones == set():
                return
    except KeyboardInterrupt:
        if watching.token:
            say(f"To go on from here, add: --resume {watching.token}")
        raise


def _present(remote: Remote, chosen: DeliveryFilter) -> list[Delivery]:
    from hookpost.v1.delivery_service_pb2 import ListDeliveriesRequest

    request = ListDeliveriesRequest(tenant_id=remote.tenant, filter=chosen)
    found, _ = remote.collect(remote.deliveries.ListDeliveries, request, lambda answer: answer.deliveries, _MOST)
    return found[::-1]


def _print(output: str, delivery: Delivery, token: str) -> None:
    from hookpost.v1.delivery_service_pb2 import WatchDeliveriesResponse

    match output:
        case "jsonl":
            print_json(as_json(WatchDeliveriesResponse(delivery=delivery, resume_token=token)), compact=True)
        case "id":
            click.echo(delivery.id)
        case _:
            click.echo(line(delivery))
