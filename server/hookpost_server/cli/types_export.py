"""`hookpost types export`: the catalogue as a document for other tools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hookpost_server.cli.failures import ExitCode, Failure
from hookpost_server.cli.output import plural, say
from hookpost_server.cli.remote import remote_command
from hookpost_server.cli.verdict import DEFAULT_HEADER

if TYPE_CHECKING:
    from hookpost_server.cli.channel import Remote

_MOST = 100_000


@click.command()
@click.option("--asyncapi", "form", flag_value="asyncapi", help="As an AsyncAPI 3.0 document (FLAT bodies).")
@click.option("--json", "form", flag_value="json", help="As a JSON array of types.")
@click.option("-o", "--output", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file.")
@click.option(
    "--signature-header",
    envvar="HOOKPOST_SIGNATURE_HEADER",
    default=DEFAULT_HEADER,
    show_default=True,
    show_envvar=True,
    help="The header with the hex signature.",
)
@remote_command
def export(remote: Remote, form: str | None, file: Path | None, signature_header: str) -> None:
    """Export the catalogue, for documentation and code generators.

    \b
    Examples:
      hookpost types export --asyncapi -o events.json
      hookpost types export --json | jq '.[].name'
    """
    from hookpost.v1.event_type_service_pb2 import ListEventTypesRequest
    from hookpost_server.domain import asyncapi

    if form is None:
        raise Failure("say in which form: --asyncapi or --json", code=ExitCode.USAGE)
    types, _ = remote.collect(
        remote.event_types.ListEventTypes, ListEventTypesRequest(), lambda answer: answer.event_types, _MOST
    )
    content: Any = asyncapi.document(types, signature_header.lower()) if form == "asyncapi" else asyncapi.plain(types)
    text = json.dumps(content, ensure_ascii=False, indent=2)
    if file is None:
        click.echo(text)
        return
    try:
        file.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise Failure(f"can't write {file}: {error.strerror}") from None
    say(f"Wrote {plural(len(types), 'type')} to {file}.")
