"""The commands that run the server itself: dev, serve, migrate, config, version."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hookpost_server import __version__
from hookpost_server.cli.failures import ExitCode, Failure
from hookpost_server.cli.output import print_json, say, table
from hookpost_server.cli.remote import DEFAULT_ADDRESS

if TYPE_CHECKING:
    from hookpost_server.app import Running
    from hookpost_server.config import Address, Config

F = TypeVar("F", bound=Callable[..., Any])

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))

data_dir_option = click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="Where the embedded database keeps its data. Default: HOOKPOST_DATA_DIR, else ./.hookpost.",
)
grpc_address_option = click.option(
    "--grpc-address",
    metavar="HOST:PORT",
    help=f"Where to listen; port 0 takes a free one. Default: HOOKPOST_GRPC_ADDRESS, else {DEFAULT_ADDRESS}.",
)


def settings(**overrides: Any) -> Config:
    """The settings from the environment with the options on top. Raises Failure that names every fault.

    Says which variables look like settings and are none: a slip in a name would else go unnoticed.
    """
    from hookpost_server.config import Address, Config, ConfigError

    for name, meant in Config.unknown(os.environ).items():
        say(f"{name} is no setting and is not heeded{f'; did you mean {meant}?' if meant else ''}")
    try:
        if overrides.get("grpc_address") is not None:
            try:
                overrides["grpc_address"] = Address.parse(overrides["grpc_address"])
            except ValueError as error:
                raise Failure(f"--grpc-address: {error}", code=ExitCode.USAGE) from None
        return Config.from_env(os.environ, **overrides)
    except ConfigError as error:
        message = (
            error.faults[0] if len(error.faults) == 1 else "\n  ".join(["these settings are wrong:", *error.faults])
        )
        raise Failure(message, hint="hookpost config --help explains the settings", code=ExitCode.USAGE) from None


def for_development(config: Config) -> Config:
    """The settings with what a receiver on one's own machine needs (plain http, loopback), and a key of its own.

    Raises StartError when the key can't be written.
    """
    from hookpost_server import master_keys

    if config.database_url and not any(getattr(config, name) for name in master_keys.SETTINGS):
        config = replace(config, master_key_file=str(master_keys.own_key(config.data_dir)))
    return replace(config, allow_http=True, allow_networks=(*config.allow_networks, *LOOPBACK))


def run_server(config: Config, ready: Callable[[Running], None]) -> None:
    """Serves until a signal comes. Raises Failure when it can't start."""
    from hookpost_server import app, supervisor, telemetry
    from hookpost_server.cli.running import run, settle

    telemetry.configure(config.log_level, config.log_format)
    serve = app.serve if config.processes == 1 else supervisor.serve

    def started(running: Running) -> None:
        settle()
        ready(running)

    async def main(stop: asyncio.Event) -> None:
        await serve(config, ready=started, stop=stop)

    with start_errors():
        run(main)


@contextlib.contextmanager
def start_errors() -> Iterator[None]:
    """Turns what keeps a server from starting into a Failure."""
    from hookpost_server.startup import StartError

    try:
        yield
    except StartError as error:
        raise Failure(str(error), hint=error.hint, code=ExitCode(error.exit_code)) from error


@click.command()
@data_dir_option
@grpc_address_option
def dev(data_dir: Path | None, grpc_address: str | None) -> None:
    """Run a server for development.

    An embedded database, http and loopback allowed, and no API keys needed as long as it listens on loopback. What it
    stores is still there at the next start with the same --data-dir. With HOOKPOST_DATABASE_URL it uses that database
    instead. Unless a master key is set, it makes one and keeps it in the data directory, as master.key.

    \b
    Examples:
      hookpost dev
      hookpost dev --data-dir /tmp/try --grpc-address 127.0.0.1:0
    """
    config = settings(data_dir=data_dir, grpc_address=grpc_address)

    def ready(running: Running) -> None:
        keys = "API keys needed" if config.needs_keys else "no keys needed"
        click.echo(f"Hookpost {__version__} for development: {keys}, http and loopback allowed.\n")
        metrics = "off" if running.metrics_address is None else f"http://{running.metrics_address}/metrics"
        click.echo(f"  gRPC      {running.grpc_address}  (with reflection)")
        console = "off" if running.console_address is None else f"http://{running.console_address}/"
        click.echo(f"  console   {console}")
        click.echo(f"  metrics   {metrics}\n  database  {running.database}\n")
        click.echo("Next, in other terminals:\n" + next_commands(running.grpc_address) + "\n\nCtrl-C stops it.")

    with start_errors():
        config = for_development(config)
    run_server(config, ready)


def next_commands(address: Address) -> str:
    """What to type next; says where the server is unless it is where commands look by themselves."""
    lines = [
        "hookpost sink",
        "hookpost webhook create --name demo --url http://127.0.0.1:9000/ --event '*'",
        'hookpost emit PostSignIn \'{"userId": "u1"}\'',
        "hookpost delivery list",
    ]
    if str(address) != DEFAULT_ADDRESS:
        lines.insert(0, f"export HOOKPOST_ADDRESS={address}")
    return "\n".join("  " + line for line in lines)


@click.command()
@data_dir_option
@grpc_address_option
@click.option(
    "--processes",
    type=click.IntRange(1, 64),
    help="Server processes that share the port, to use more cores. Default: HOOKPOST_PROCESSES, else 1.",
)
def serve(data_dir: Path | None, grpc_address: str | None, processes: int | None) -> None:
    """Run the server.

    Settings come from HOOKPOST_* (see hookpost config). Uses the PostgreSQL at HOOKPOST_DATABASE_URL; without one,
    an embedded PostgreSQL in the data directory. Beyond loopback it wants TLS and API keys (hookpost key create), and
    else ends with exit code 78.

    Signing keys and header values are encrypted in the database with HOOKPOST_MASTER_KEY: 32 bytes as base64 or hex,
    from the variable or the file that HOOKPOST_MASTER_KEY_FILE names, never from the command line. Keep a copy:
    without it they are lost. Without it, or with a wrong one, serve ends with exit code 78 before it listens. An
    embedded PostgreSQL has its own, master.key in the data directory. See hookpost rewrap for exchanging it.

    \b
    Examples:
      export HOOKPOST_MASTER_KEY_FILE=/etc/hookpost/master.key
      HOOKPOST_DATABASE_URL=postgresql://hookpost@db/hookpost hookpost serve
      HOOKPOST_TLS_CERT=tls.crt HOOKPOST_TLS_KEY=tls.key hookpost serve --grpc-address 0.0.0.0:50051
    """
    config = settings(data_dir=data_dir, grpc_address=grpc_address, processes=processes)

    def ready(running: Running) -> None:
        from hookpost_server.listening import open_files

        metrics = "" if running.metrics_address is None else f", metrics on {running.metrics_address}"
        console = "" if running.console_address is None else f", console on http://{running.console_address}/"
        where = f"{running.grpc_address}{metrics}{console}"
        say(
            f"Hookpost {__version__} serves gRPC on {where}, database: {running.database}, "
            f"at most {open_files():,} open files"
        )

    run_server(config, ready)


@click.command()
@click.option("--check", is_flag=True, help="Only say what is pending; exit 1 if something is.")
@data_dir_option
def migrate(check: bool, data_dir: Path | None) -> None:
    """Bring the database's tables up to date.

    Safe while servers run, and to repeat. serve and dev do it by themselves.

    \b
    Examples:
      hookpost migrate
      hookpost migrate --check
    """
    from hookpost_server import startup, telemetry
    from hookpost_server.cli.running import run

    config = settings(data_dir=data_dir)
    telemetry.configure(config.log_level, config.log_format)

    async def main(stop: asyncio.Event) -> list[str]:
        async with startup.database_url(config) as (url, _):
            return await startup.migrate(url, check=check)

    with start_errors():
        names = run(main)
    for name in names:
        click.echo(name)
    if not names:
        say("The database is up to date.")
    elif check:
        raise Failure(f"{len(names)} pending", hint="hookpost migrate applies them")
    else:
        say(f"Applied {len(names)}.")


@click.command()
@click.option("-o", "--output", type=click.Choice(("table", "json")), default="table", show_default=True)
def config(output: str) -> None:
    """Print every setting with its value.

    The variable, the value in force, and what it means. Secrets are hidden.

    \b
    Example:
      HOOKPOST_ALLOW_HTTP=true hookpost config
    """
    rows = settings().table()
    if output == "json":
        print_json({variable: value for variable, value, _ in rows})
    else:
        click.echo(table(("VARIABLE", "VALUE", "MEANING"), rows))


@click.command()
def version() -> None:
    """Print the version.

    \b
    Example:
      hookpost version
    """
    click.echo(f"hookpost {__version__}")
