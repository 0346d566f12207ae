"""`hookpost listen`: deliveries as they happen, sent on to a port of one's own machine."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING

import click

from hookpost_server.cli.failures import ExitCode, Failure
from hookpost_server.cli.output import safe, say
from hookpost_server.cli.remote import remote_command

if TYPE_CHECKING:
    from hookpost.v1.delivery_pb2 import Attempt, Delivery
    from hookpost_server.cli.channel import Remote

_REMEMBERED = 100_000  # deliveries that were forwarded
_PAUSE = 1.0  # seconds between tries to read one while the server is away


@click.command()
@click.option("--forward", "url", metavar="URL", help="POST them there, e.g. http://127.0.0.1:3000/hook.")
@click.option("--webhook", default="", metavar="ID", help="Only of this webhook.")
@click.option("--event", multiple=True, metavar="TYPE", help="Only of this type, repeatable: User.Created, 'User.*'.")
@click.option("--print", "show", is_flag=True, help="Print each body.")
@click.option("--limit", type=click.IntRange(1), help="End after so many deliveries.")
@remote_command
def listen(
    remote: Remote, url: str | None, webhook: str, event: tuple[str, ...], show: bool, limit: int | None
) -> None:
    """Send deliveries on to a program on your own machine.

    Needs no tunnel and no public address: the server sends to its webhooks as ever, and this command follows its log
    and POSTs the same body and headers, signatures included, to URL. Each delivery once, whether it succeeded there
    or not; what URL answers changes nothing in the log. Values of headers that look like secrets are not in the log
    and are left out. Goes on by itself when the server was away. Ctrl-C stops it.

    \b
    Examples:
      hookpost listen --forward http://127.0.0.1:3000/hook --webhook whk_…
      hookpost listen --print --event 'User.*'
    """
    from hookpost.v1.delivery_service_pb2 import DeliveryFilter
    from hookpost_server.cli.forward import Forwarder
    from hookpost_server.cli.watching import Watch

    if not url and not show:
        raise Failure("neither --forward nor --print is given", hint="hookpost listen --help", code=ExitCode.USAGE)
    forwarder = Forwarder(url) if url else None
    seen: OrderedDict[str, None] = OrderedDict()
    begun = False
    for answer in Watch(remote, DeliveryFilter(webhook_id=webhook)):
        if not begun:
            say(f"Listening{f'; forwarding to {url}' if url else ''}. Ctrl-C stops it.")
            begun = True
        delivery = answer.delivery
        if not delivery.attempt_count or delivery.id in seen or not wanted(delivery.event_type, event):
            continue
        seen[delivery.id] = None
        if len(seen) > _REMEMBERED:
            seen.popitem(last=False)
        attempt = _sent(remote, delivery.id)
        if attempt is None:
            continue
        told = forwarder.post(attempt.request) if forwarder else ""
        click.echo(line(delivery, attempt, told, show=show))
        if len(seen) == limit:
            return


def wanted(event_type: str, patterns: tuple[str, ...]) -> bool:
    """Whether one of the subscriptions matches; none at all means every type."""
    from hookpost_server.domain import event

    return not patterns or not set(patterns).isdisjoint(event.patterns(event_type))


def line(delivery: Delivery, attempt: Attempt, told: str, *, show: bool) -> str:
    from hookpost_server.cli.delivery_view import line as change

    first = f"{change(delivery)}{f'  →  {told}' if told else ''}"
    return f"{first}\n{safe(attempt.request.body)}" if show else first


def _sent(remote: Remote, delivery_id: str) -> Attempt | None:
    """The last attempt with its request: its timestamp is the freshest."""
    from hookpost_server.cli.delivery import read

    while True:
        try:
            attempts = read(remote, delivery_id, include_requests=True).attempts
            return attempts[-1] if attempts else None
        except Failure as failure:
            if failure.code is not ExitCode.UNREACHABLE:
                say(f"{delivery_id} can't be read: {failure.message}")
                return None
        time.sleep(_PAUSE)
