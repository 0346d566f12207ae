"""The command that exchanges the master key."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from hookpost_server.cli.failures import Failure
from hookpost_server.cli.serve import data_dir_option, settings, start_errors


@click.command()
@data_dir_option
def rewrap(data_dir: Path | None) -> None:
    """Encrypt all secrets with the first master key.

    Exchanges the master key while servers run: start every server with HOOKPOST_MASTER_KEYS=OLD,NEW, then every one
    with NEW,OLD, then run this with NEW,OLD. It says when OLD is no longer needed; from then on servers are started
    with NEW alone. It can be interrupted and run again: what is done stays done.

    \b
    Examples:
      HOOKPOST_MASTER_KEYS=NEW,OLD hookpost rewrap
      HOOKPOST_MASTER_KEYS_FILE=/etc/hookpost/master.keys hookpost rewrap
    """
    from hookpost_server import master_keys, telemetry
    from hookpost_server.cli.progress import Progress
    from hookpost_server.cli.running import run

    config = settings(data_dir=data_dir)
    telemetry.configure(config.log_level, config.log_format)

    progress = Progress()

    async def main(stop: asyncio.Event) -> master_keys.Rewrapped:
        return await master_keys.rewrap(config, lambda count: progress.live(f"{count:,} secrets encrypted …"))

    with start_errors():
        done = run(main)
    progress.done(f"Encrypted {done.sealed:,} secrets anew.")
    for key_id in done.retired:
        click.echo(f"Master key {key_id.hex()} is no longer needed.")
    if done.unreadable:
        raise Failure(
            f"{done.unreadable:,} secrets do not open and stay as they are",
            hint="the log line webhook.unreadable names the webhooks; delete them, or restore their rows from a backup",
        )
    if done.needed:
        raise Failure(
            f"master key {', '.join(each.hex() for each in done.needed)} is needed: a server still encrypts with it",
            hint="start every server with the new key first, then run hookpost rewrap again",
        )
