"""The command line's front door: the group, its sub-commands, and how errors become text and exit codes."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click

from hookpost_server import __version__
from hookpost_server.cli import (
    audit,
    delivery,
    demo,
    emit,
    event,
    key,
    listen,
    replay,
    rewrap,
    serve,
    sink,
    types,
    verify,
    webhook,
)
from hookpost_server.cli.failures import ExitCode, Failure
from hookpost_server.cli.output import no_color, safe

INTERRUPTED = 130


class InOrder(click.Group):
    """Lists its commands as they were added: those for a first look first."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=InOrder, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="hookpost", message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """Hookpost sends webhooks: events in over gRPC, signed POSTs out, retried and logged.

    \b
    Try it:
      hookpost demo                     a full run that checks itself
      hookpost dev                      a server for development, then in other terminals:
      hookpost sink                     something that receives
      hookpost webhook create --name demo --url http://127.0.0.1:9000/ --event '*'
      hookpost emit PostSignIn '{"userId": "u1"}'

    \b
    Commands that talk to a server find it by --address or HOOKPOST_ADDRESS and send the
    API key in HOOKPOST_API_KEY, or in the file HOOKPOST_API_KEY_FILE, if set. Exit codes: 0 ok,
    1 failed, 2 wrong usage or settings, 3 not found, 4 not allowed, 5 server not reachable,
    78 the server would be open to strangers, or has not the database's master key.
    """
    if no_color(os.environ):
        context.color = False


for command in (
    demo.demo,
    serve.dev,
    serve.serve,
    serve.migrate,
    key.key,
    audit.audit,
    rewrap.rewrap,
    serve.config,
    serve.version,
    emit.emit,
    webhook.webhook,
    delivery.delivery,
    event.event,
    replay.replay,
    types.types,
    sink.sink,
    listen.listen,
    verify.verify,
):
    cli.add_command(command)


def main() -> NoReturn:
    """Runs the command line and exits."""
    # The library's own lines on stderr say in its programmers' words what our errors say in a person's.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        answer = cli.main(prog_name="hookpost", standalone_mode=False)
        code = answer if isinstance(answer, int) else ExitCode.OK
        sys.stdout.flush()
    except Failure as failure:
        code = _complain(failure.message, failure.hint, failure.code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        code = ExitCode.USAGE
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "hookpost"
        code = _complain(error.format_message(), f"{command} --help", ExitCode.USAGE)
    except click.ClickException as error:
        code = _complain(error.format_message(), "", ExitCode.FAILED)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        code = INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has seen enough. Python flushes stdout once more at exit; that must not fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ExitCode.FAILED
    sys.exit(int(code))


def _complain(message: str, hint: str, code: int) -> int:
    color = False if no_color(os.environ) else None
    click.echo(click.style("Error: ", fg="red", bold=True) + safe(message), err=True, color=color)
    if hint:
        click.echo(click.style("Hint: ", bold=True) + safe(hint), err=True, color=color)
    return code


if __name__ == "__main__":
    main()
