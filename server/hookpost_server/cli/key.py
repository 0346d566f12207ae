"""`hookpost key …`: API keys, on the database itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import click

from hookpost_server.cli import output as out
from hookpost_server.cli.beside import at_the_desk
from hookpost_server.cli.duration import DURATION
from hookpost_server.cli.failures import ExitCode, Failure
from hookpost_server.cli.serve import data_dir_option
from hookpost_server.domain import ids
from hookpost_server.domain.api_key import ALL_TENANTS, Scope
from hookpost_server.domain.duration import relative

if TYPE_CHECKING:
    from hookpost_server.domain.api_key import ApiKey
    from hookpost_server.operators import Desk

LAST = UUID(int=2**128 - 1)
WORDS = {scope.name.lower().replace("_", "-"): scope for scope in Scope}


@click.group()
def key() -> None:
    """Make, list and revoke API keys.

    These commands work on the database at HOOKPOST_DATABASE_URL (without one, on the embedded one in the data
    directory) and need no key: that is how the first one is made. Over the network ApiKeyService does the same, for
    keys with the scope admin.

    \b
    Example:
      export HOOKPOST_API_KEY=$(hookpost key create --name me --scope admin --tenant '*')
    """


@key.command()
@click.option("--name", required=True, help="What it is for.")
@click.option(
    "--scope", "scopes", type=click.Choice(list(WORDS)), multiple=True, required=True, help="Repeat for more."
)
@click.option("--tenant", default="default", show_default=True, help=f"Whose things it reaches; '{ALL_TENANTS}': all.")
@click.option("--expires-in", type=DURATION, help="When it stops working, e.g. 90d. Default: never.")
@data_dir_option
def create(
    name: str, scopes: tuple[str, ...], tenant: str, expires_in: timedelta | None, data_dir: Path | None
) -> None:
    """Make a key and print its secret, this once.

    The secret goes to standard output, all else to standard error.

    \b
    Scopes:
      events-emit        emit events
      read               read everything but secrets
      webhooks-write     create, change, test and delete webhooks and event types
      secrets-reveal     read and rotate signing keys
      deliveries-retry   redeliver and replay
      admin              all of these, and API keys

    \b
    Examples:
      hookpost key create --name me --scope admin --tenant '*'
      hookpost key create --name shop --scope events-emit --tenant acme --expires-in 365d
    """

    async def work(desk: Desk) -> tuple[ApiKey, str]:
        expire_time = None if expires_in is None else datetime.now(UTC) + expires_in
        return await desk.keys.create(tenant, name, [WORDS[word] for word in scopes], expire_time)

    made, text = at_the_desk(data_dir, work)
    out.say(f"Key {ids.text(ids.KEY, made.id)} for {_reach(made)}. Its secret is shown only now:")
    click.echo(text)


@key.command("list")
@click.option("--tenant", help="Only those bound to this tenant.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Show at most so many.")
@click.option("-o", "--output", type=click.Choice(("table", "json")), default="table", show_default=True)
@data_dir_option
def list_(tenant: str | None, limit: int, output: str, data_dir: Path | None) -> None:
    """List keys, newest first, revoked ones included.

    \b
    Example:
      hookpost key list
    """

    async def work(desk: Desk) -> list[ApiKey]:
        return await desk.keys.list(tenant, before=LAST, limit=limit)

    rows = [_row(found) for found in at_the_desk(data_dir, work)]
    if output == "json":
        out.print_json(rows)
    elif rows:
        click.echo(
            out.table([name.upper() for name in rows[0]], [[str(cell) for cell in row.values()] for row in rows])
        )
    else:
        out.say("No key found.")


@key.command()
@click.argument("key_id")
@data_dir_option
def revoke(key_id: str, data_dir: Path | None) -> None:
    """Stop a key, on all servers within 5 s.

    \b
    Example:
      hookpost key revoke key_01h455vb4pex5vsknk084sn02q
    """
    try:
        identity = ids.parse(ids.KEY, key_id)
    except ValueError as error:
        raise Failure(f"KEY_ID: {error}", hint="hookpost key list", code=ExitCode.USAGE) from None

    async def work(desk: Desk) -> ApiKey:
        return await desk.keys.revoke(identity)

    out.say(f"Key {key_id} ({at_the_desk(data_dir, work).name}) is revoked.")


def _reach(found: ApiKey) -> str:
    return "every tenant" if found.tenant_id == ALL_TENANTS else f"tenant {found.tenant_id}"


def _row(found: ApiKey) -> dict[str, str]:
    now = datetime.now(UTC)
    state = "works" if found.works(now.timestamp()) else "revoked" if found.revoke_time else "expired"
    return {
        "id": ids.text(ids.KEY, found.id),
        "name": found.name,
        "tenant": found.tenant_id,
        "scopes": ", ".join(scope.name.lower().replace("_", "-") for scope in found.scopes),
        "state": state,
        "expires": "never" if found.expire_time is None else found.expire_time.isoformat(timespec="seconds"),
        "used": "never" if found.last_use_time is None else relative(found.last_use_time, now),
    }
