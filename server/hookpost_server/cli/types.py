"""`hookpost types …`: the catalogue of event types."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hookpost_server.cli import output as out
from hookpost_server.cli import types_export
from hookpost_server.cli.failures import ExitCode, Failure
from hookpost_server.cli.inputs import read_text
from hookpost_server.cli.output import Column, output_option
from hookpost_server.cli.remote import remote_command

if TYPE_CHECKING:
    from hookpost.v1.event_type_pb2 import EventType
    from hookpost_server.cli.channel import Remote

F = TypeVar("F", bound=Callable[..., Any])

COLUMNS: Sequence[Column[EventType]] = (
    Column("TYPE", lambda kind: kind.name),
    Column("GROUP", lambda kind: kind.group),
    Column("ORIGIN", lambda kind: "built in" if kind.built_in else "own"),
    Column("MEANING", lambda kind: kind.description.partition(". ")[0].rstrip(".")),
)


def _settings(function: F) -> F:
    """The options that create and update share; a setting not given is None and stays as it is."""
    for option in (
        click.option("--deprecated/--no-deprecated", default=None, help="Still accepted, but not for new use."),
        click.option("--enforce-schema/--no-enforce-schema", default=None, help="Refuse payloads that do not fit."),
        click.option("--example", metavar="JSON|@FILE|-", help="An anonymous payload, for tests."),
        click.option("--schema", metavar="JSON|@FILE|-", help="JSON Schema (2020-12) of the payload."),
        click.option("--description", help="What it means."),
        click.option("--group", help="Where pickers show it. Default: the name's first word."),
    ):
        function = option(function)
    return function


@click.group()
def types() -> None:
    """Show and change the catalogue of event types.

    Which types exist, what they mean and what they carry.

    \b
    Example:
      hookpost types create order.paid --description 'An order was paid.'
    """


types.add_command(types_export.export)


@types.command("list")
@click.option("--group", default="", help="Only of this group.")
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True, help="Show at most so many.")
@output_option
@remote_command
def list_(remote: Remote, group: str, limit: int, output: str) -> None:
    """List event types by name.

    \b
    Example:
      hookpost types list --group User
    """
    from hookpost.v1.event_type_service_pb2 import ListEventTypesRequest

    found, more = remote.collect(
        remote.event_types.ListEventTypes,
        ListEventTypesRequest(group=group),
        lambda answer: answer.event_types,
        limit,
    )
    out.print_list(output, found, COLUMNS, lambda kind: kind.name)
    out.say_rest(len(found), more, "event type")


@types.command()
@click.argument("name")
@output_option
@remote_command
def get(remote: Remote, name: str, output: str) -> None:
    """Show one event type with its schema and its example.

    \b
    Example:
      hookpost types get User.Created
    """
    from hookpost.v1.event_type_service_pb2 import GetEventTypeRequest

    answer = remote.call(remote.event_types.GetEventType, GetEventTypeRequest(name=name))
    _print(output, answer.event_type)


@types.command()
@click.argument("name")
@_settings
@output_option
@remote_command
def create(remote: Remote, /, name: str, output: str, **settings: Any) -> None:
    """Add an event type.

    \b
    Example:
      hookpost types create order.paid --example '{"id": 1, "total": 49.9}' --schema @order.schema.json
    """
    from hookpost.v1.event_type_service_pb2 import CreateEventTypeRequest

    kind, _ = _build(name, settings)
    answer = remote.call(remote.event_types.CreateEventType, CreateEventTypeRequest(event_type=kind))
    _print(output, answer.event_type)


@types.command()
@click.argument("name")
@_settings
@click.option("--etag", default="", help="Change it only if this is still its etag (see get).")
@output_option
@remote_command
def update(remote: Remote, /, name: str, etag: str, output: str, **settings: Any) -> None:
    """Change the settings that are given; the others stay.

    \b
    Example:
      hookpost types update order.paid --enforce-schema
    """
    from google.protobuf.field_mask_pb2 import FieldMask

    from hookpost.v1.event_type_service_pb2 import UpdateEventTypeRequest

    kind, paths = _build(name, settings)
    if not paths:
        raise Failure("nothing to change", hint="hookpost types update --help", code=ExitCode.USAGE)
    kind.etag = etag
    request = UpdateEventTypeRequest(event_type=kind, update_mask=FieldMask(paths=paths))
    _print(output, remote.call(remote.event_types.UpdateEventType, request).event_type)


@types.command()
@click.argument("name")
@click.option("--etag", default="", help="Remove it only if this is still its etag (see get).")
@remote_command
def delete(remote: Remote, name: str, etag: str) -> None:
    """Remove an event type that is not built in and that no webhook names.

    \b
    Example:
      hookpost types delete order.paid
    """
    from hookpost.v1.event_type_service_pb2 import DeleteEventTypeRequest

    remote.call(remote.event_types.DeleteEventType, DeleteEventTypeRequest(name=name, etag=etag))
    out.say(f"Removed {name}.")


def _build(name: str, settings: dict[str, Any]) -> tuple[EventType, list[str]]:
    """The message, and the fields of it that were given."""
    from hookpost.v1.event_type_pb2 import EventType

    fields = {
        "group": settings["group"],
        "description": settings["description"],
        "json_schema": _read(settings["schema"], "schema"),
        "example": _read(settings["example"], "example"),
        "enforce_schema": settings["enforce_schema"],
        "deprecated": settings["deprecated"],
    }
    given = {field: value for field, value in fields.items() if value is not None}
    return EventType(name=name, **given), list(given)


def _read(argument: str | None, what: str) -> str | None:
    return None if argument is None else read_text(argument, what)


def _pretty(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:  # empty
        return text


def _print(output: str, kind: EventType) -> None:
    marks = [("built in", kind.built_in), ("schema enforced", kind.enforce_schema), ("deprecated", kind.deprecated)]
    rows = [
        ("type", kind.name),
        ("group", kind.group),
        ("", ", ".join(text for text, holds in marks if holds)),
        ("meaning", kind.description),
        ("example", _pretty(kind.example)),
        ("schema", _pretty(kind.json_schema)),
        ("etag", kind.etag),
    ]
    out.print_one(output, kind, kind.name, lambda: out.card(rows))
