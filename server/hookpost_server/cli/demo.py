"""`hookpost demo`: server, receiver and events in one process, a full run that checks itself."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hookpost_server.cli.failures import Failure
from hookpost_server.cli.progress import Progress

if TYPE_CHECKING:
    from hookpost_server.app import Running
    from hookpost_server.cli.receiver import Received
    from hookpost_server.config import Config

PATIENCE = 60.0  # seconds for all deliveries


@click.command()
@click.option("--keep", is_flag=True, help="Leave it running at the end, to look at.")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="Keep the embedded database here. Default: a temporary directory, removed at the end.",
)
def demo(keep: bool, data_dir: Path | None) -> None:
    """See it work: a full run that checks itself.

    Starts a server with an embedded database and a receiver, subscribes one webhook to everything, and emits the
    example of each built-in event type. One delivery is answered 500 twice before 200. Ends with a summary; exit
    code 0 only if every delivery arrived and both of its signatures are right.

    \b
    Examples:
      hookpost demo
      hookpost demo --keep
    """
    from hookpost_server.cli.running import run
    from hookpost_server.startup import StartError

    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        directory = data_dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hookpost-demo-")))
        try:
            run(lambda stop: _play(stop, directory, keep=keep, started=started))
        except StartError as error:
            raise Failure(str(error), hint=error.hint) from error


async def _play(stop: asyncio.Event, directory: Path, *, keep: bool, started: float) -> None:
    from hookpost_server import telemetry
    from hookpost_server.cli.demo_check import HEADER, RETRIED, SCRIPT, shortfalls, summary
    from hookpost_server.cli.demo_run import Run
    from hookpost_server.cli.receiver import Receiver
    from hookpost_server.cli.script import ALWAYS_OK
    from hookpost_server.cli.serve import for_development
    from hookpost_server.cli.sink import line
    from hookpost_server.config import Address, Config

    progress = Progress()
    first_verified = 0.0
    over = False

    def on_received(received: Received) -> None:
        nonlocal first_verified
        if received.verdicts.right and not first_verified:
            first_verified = time.monotonic() - started
        if over:
            click.echo(line(received))

    # Nothing is taken from the environment: the demo must show the same everywhere, and touch no real database.
    config = Config.from_env(
        {"HOOKPOST_METRICS_ADDRESS": "off", "HOOKPOST_CONSOLE_ADDRESS": "off"},
        data_dir=directory,
        grpc_address=Address("127.0.0.1", 0),
        log_level="warning",
        log_format="console",
    )
    telemetry.configure(config.log_level, config.log_format)
    progress.live("starting Hookpost with an embedded database …")
    receiver = Receiver(
        script_for=lambda headers: SCRIPT if headers.get("hookpost-event") == RETRIED else ALWAYS_OK,
        on_received=on_received,
    )
    async with _server(for_development(config)) as running, receiver:
        url = f"http://127.0.0.1:{await receiver.start()}/demo"
        progress.done(f"Hookpost serves gRPC on {running.grpc_address}, database: {running.database}")
        progress.done(f"A receiver listens on {url}")
        async with Run(str(running.grpc_address), receiver, progress) as demo_run:
            await demo_run.subscribe(url, dict([HEADER]))
            await demo_run.emit_all()
            await demo_run.wait(stop, PATIENCE)
            if stop.is_set():
                raise click.Abort
            lines = await demo_run.lines()
        faults = shortfalls(lines)
        click.echo("\n" + summary(lines) + "\n")
        if not faults:
            click.echo(
                f"{len(lines)} of {len(lines)} deliveries arrived in {receiver.count} requests, every one verified "
                f"with both signature schemes. {RETRIED} took three attempts in one log entry."
            )
        if first_verified:
            took = time.monotonic() - started
            click.echo(f"First verified delivery after {first_verified:.1f} s, all done after {took:.1f} s.")
        if keep:
            over = True
            retried = next((d.id for x in lines if x.event_type == RETRIED for d in x.deliveries), "")
            click.echo(_still_running(running, retried))
            await stop.wait()
    if faults:
        raise Failure("\n  ".join(["the demo fell short:", *faults]))


@contextlib.asynccontextmanager
async def _server(config: Config) -> AsyncIterator[Running]:
    """The real server in this process, stopped in its own order at the end. If it dies, the body is cancelled."""
    from hookpost_server import app

    ready: asyncio.Future[Running] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(app.serve(config, ready=ready.set_result, stop=stop), name="server")
            try:
                yield await ready
            finally:
                stop.set()
                await asyncio.wait([task])
    except BaseExceptionGroup as errors:
        if len(errors.exceptions) == 1:  # its own kind says more than that it came from a group
            raise errors.exceptions[0] from None
        raise


def _still_running(running: Running, delivery_id: str) -> str:
    return f"""
Still running. In another terminal:
  export HOOKPOST_ADDRESS={running.grpc_address}
  hookpost webhook list
  hookpost delivery list
  hookpost delivery get {delivery_id}
  hookpost emit User.Created '{{"data": {{"id": "u1"}}}}'

Ctrl-C stops it. Requests show below."""
