"""`hookpost sink`: something that receives, prints each request, and says whether its signature is right."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from hookpost_server.cli.failures import Failure
from hookpost_server.cli.inputs import read_text
from hookpost_server.cli.output import safe, say
from hookpost_server.cli.remote import address_option, tenant_option
from hookpost_server.cli.script import Script
from hookpost_server.cli.verdict import DEFAULT_HEADER

if TYPE_CHECKING:
    from hookpost_server.cli.receiver import Received

_BODY = 100  # characters of the body on a line
_MOST_WEBHOOKS = 50


class ScriptType(click.ParamType[Script]):
    """An option's value such as 500,500,200."""

    name = "script"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Script:
        try:
            return value if isinstance(value, Script) else Script.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=9000, show_default=True, help="0 takes a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option(
    "--status",
    type=ScriptType(),
    default="200",
    show_default=True,
    help="What to answer, one item for each attempt of a delivery, the last one repeats: a status, slow (after "
    "5 s), hang, reset (breaks the connection) or redirect.",
)
@click.option(
    "--key",
    multiple=True,
    metavar="KEY|@FILE|-",
    help="A signing key, repeatable. Default: those of the webhooks that point here.",
)
@click.option(
    "--signature-header",
    envvar="HOOKPOST_SIGNATURE_HEADER",
    default=DEFAULT_HEADER,
    show_default=True,
    show_envvar=True,
    help="The header with the hex signature.",
)
@click.option("--limit", type=click.IntRange(1), help="Stop after so many requests.")
@address_option
@tenant_option
def sink(
    port: int,
    host: str,
    status: Script,
    key: tuple[str, ...],
    signature_header: str,
    limit: int | None,
    address: str,
    tenant: str,
) -> None:
    """Receive webhooks and check their signatures.

    Prints each request on a line. Unless --key is given, it asks the server at --address for the keys of the
    webhooks whose URL leads here.

    \b
    Examples:
      hookpost sink
      hookpost sink --port 9001 --status 500,500,200
    """
    from hookpost_server.cli.receiver import Receiver
    from hookpost_server.cli.running import run

    keys = [read_text(argument, "signing key").strip() for argument in key]

    async def main(stop: asyncio.Event) -> None:
        def on_received(received: Received) -> None:
            click.echo(line(received))
            if limit is not None and receiver.count >= limit:
                # The answer is still on its way out; closing waits for it.
                stop.set()

        finder = KeyFinder(address, tenant)
        async with Receiver(
            script_for=lambda headers: status,
            keys=keys,
            find_keys=None if key else finder.find,
            header=signature_header.lower(),
            on_received=on_received,
        ) as receiver:
            try:
                finder.listen = (host, await receiver.start(host, port))
            except OSError as error:
                raise Failure(
                    f"can't listen on {host} port {port}: {os.strerror(error.errno) if error.errno else error}",
                    hint="choose another one: --port 9001, or --port 0 for any",
                ) from None
            shown = f"[{host}]" if ":" in host else host
            say(f"Listening on http://{shown}:{finder.listen[1]}/ and answering {status}. Ctrl-C stops it.")
            await stop.wait()

    run(main)


def line(received: Received) -> str:
    """One request: time, answer, type, event, attempt, verdicts, start of the body."""
    answered = str(received.answered)
    verdicts = str(received.verdicts)
    color = "green" if received.verdicts.right else "yellow" if "no key" in verdicts else "red"
    body = safe(received.body[: 4 * _BODY].decode("utf-8", "replace"), lines=False)
    parts = [
        time.strftime("%H:%M:%S", time.localtime(received.time)),
        click.style(answered, fg="green" if answered.startswith("2") else "red"),
        safe(received.event_type or f"{received.method} {received.path}", lines=False),
        safe(received.event_id, lines=False),
        f"attempt {safe(received.attempt, lines=False)}" if received.attempt else "",
        click.style(verdicts, fg=color),
        body[:_BODY] + ("…" if len(body) > _BODY else ""),
    ]
    return "  ".join(part for part in parts if part)


class KeyFinder:
    """The keys of the webhooks that point at this sink, so that nobody needs to paste one."""

    def __init__(self, address: str, tenant: str) -> None:
        self.listen = ("", 0)
        self._address, self._tenant = address, tenant
        self._keys: Sequence[str] = ()
        self._asked = -1e9
        self._complaint = ""
        self._lock = asyncio.Lock()

    async def find(self) -> Sequence[str]:
        """Asks the server, once a second at most; answers the keys of before if it can't be asked."""
        async with self._lock:
            if time.monotonic() - self._asked >= 1:
                try:
                    self._keys = await asyncio.to_thread(self._ask)
                except Failure as failure:
                    if failure.message != self._complaint:
                        say(f"The signing key could not be asked for: {failure.message}")
                    self._complaint = failure.message
                self._asked = time.monotonic()
            return self._keys

    def _ask(self) -> list[str]:
        from hookpost.v1.webhook_service_pb2 import GetSigningKeyRequest, ListWebhooksRequest
        from hookpost_server.cli.channel import Remote
        from hookpost_server.cli.remote import api_key

        with Remote(self._address, tenant=self._tenant, key=api_key()) as remote:
            request = ListWebhooksRequest(tenant_id=self._tenant, query=f":{self.listen[1]}")
            found, _ = remote.collect(
                remote.webhooks.ListWebhooks, request, lambda answer: answer.webhooks, _MOST_WEBHOOKS
            )
            return [
                revealed.secret
                for webhook in found
                if points_at(webhook.url, *self.listen)
                for revealed in remote.call(
                    remote.webhooks.GetSigningKey,
                    GetSigningKeyRequest(webhook_id=webhook.id, tenant_id=self._tenant),
                    deadline=3,
                ).keys
            ]


def points_at(url: str, host: str, port: int) -> bool:
    """Whether `url` leads to a sink that listens on host and port. One on all addresses takes any host."""
    try:
        parts = urlsplit(url)
        if parts.port != port:
            return False
    except ValueError:
        return False
    name = parts.hostname or ""
    if host in ("0.0.0.0", "::", name):  # noqa: S104
        return True
    return _loopback(name) and _loopback(host)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
