"""`hookpost audit`: who did what, read from the database itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hookpost_server.cli import output as out
from hookpost_server.cli.beside import at_the_desk
from hookpost_server.cli.serve import data_dir_option

if TYPE_CHECKING:
    from hookpost_server.domain.audit import Entry
    from hookpost_server.operators import Desk


@click.command()
@click.option("--tenant", help="Only what concerns this tenant. Default: everything.")
@click.option("--target", default="", help="Only what was done to this id.")
@click.option("--actor", default="", help="Only what this key, or whoever it was, did.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Show at most so many.")
@click.option("-o", "--output", type=click.Choice(("table", "json")), default="table", show_default=True)
@data_dir_option
def audit(tenant: str | None, target: str, actor: str, limit: int, output: str, data_dir: Path | None) -> None:
    """Show who did what, newest first.

    API keys, signing keys shown or rotated, changes of webhooks and event types, replays and redeliveries. It reads the
    database at HOOKPOST_DATABASE_URL, without one the embedded one, and needs no key.

    \b
    Examples:
      hookpost audit --limit 10
      hookpost audit --target whk_01h455vb4pex5vsknk084sn02q
    """

    async def work(desk: Desk) -> list[Entry]:
        return await desk.audit.list(tenant, target=target, actor_id=actor, limit=limit)

    found = at_the_desk(data_dir, work)
    if output == "json":
        out.print_json([_as_json(entry) for entry in found])
    elif found:
        headings = ("TIME", "TENANT", "WHO", "FROM", "DID", "TO", "DETAILS")
        click.echo(out.table(headings, [_row(entry) for entry in found]))
    else:
        out.say("Nothing found.")


def _row(entry: Entry) -> tuple[str, ...]:
    details = " ".join(
        f"{name}={','.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in entry.details.items()
    )
    who = f"{entry.actor.id} ({entry.actor.name})" if entry.actor.name else entry.actor.id
    time = entry.time.isoformat(sep=" ", timespec="seconds")
    return time, entry.tenant_id, who, entry.actor.address, entry.action, entry.target, details


def _as_json(entry: Entry) -> dict[str, object]:
    return {
        "id": entry.id,
        "time": entry.time.isoformat(),
        "tenantId": entry.tenant_id,
        "actor": entry.actor.id,
        "actorName": entry.actor.name,
        "address": entry.actor.address,
        "action": entry.action,
        "target": entry.target,
        "details": dict(entry.details),
    }
