"""What commands print: aligned tables and cards for people, JSON for programs, ids for the shell."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import click

from hookpost_server.domain.duration import relative

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp

FORMATS = ("table", "json", "jsonl", "id")
T = TypeVar("T", bound="Message")

output_option = click.option(
    "-o",
    "--output",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="table for people; json, jsonl (one object a line) or id (one a line) for programs.",
)


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """One column of a table: its heading and where a row's text comes from."""

    heading: str
    value: Callable[[T], str]


def no_color(environ: Mapping[str, str]) -> bool:
    """Whether the person asked for no colour (no-color.org); click leaves it out by itself beside a terminal."""
    return environ.get("NO_COLOR", "") != ""


def safe(text: str, *, lines: bool = True) -> str:
    """Shows control characters instead of obeying them: names and answers come from strangers."""
    return "".join(
        character
        if unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp") or (lines and character in "\n\t")
        else character.encode("unicode_escape").decode()
        for character in text
    )


def width(text: str) -> int:
    """Columns that a terminal needs for `text`."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Left-aligned columns, two spaces between; the last column is not padded."""
    lines = [list(headings), *([safe(cell, lines=False) for cell in row] for row in rows)]
    widths = [max(map(width, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell + " " * (w - width(cell)) for cell, w in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def card(rows: Sequence[tuple[str, str]]) -> str:
    """One thing: a label and a value on each line; rows without a value are left out."""
    shown = [(label, safe(value)) for label, value in rows if value]
    margin = max((len(label) for label, _ in shown), default=0) + 2
    return "\n".join(label.ljust(margin) + value.replace("\n", "\n" + " " * margin) for label, value in shown)


def as_json(message: Message) -> dict[str, Any]:
    """The message as protobuf's JSON, zero values included, so that programs find every plain field."""
    from google.protobuf.json_format import MessageToDict

    return MessageToDict(message, always_print_fields_with_no_presence=True)


def print_json(value: Any, *, compact: bool = False) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=None if compact else 2))


def print_list(output: str, items: Sequence[T], columns: Sequence[Column[T]], identity: Callable[[T], str]) -> None:
    """Prints many things in the chosen format."""
    match output:
        case "json":
            print_json([as_json(item) for item in items])
        case "jsonl":
            for item in items:
                print_json(as_json(item), compact=True)
        case "id":
            for item in items:
                click.echo(identity(item))
        case _ if items:
            click.echo(table([c.heading for c in columns], [[c.value(item) for c in columns] for item in items]))


def print_one(output: str, message: Message, identity: str, text: Callable[[], str]) -> None:
    """Prints one thing in the chosen format; `text` is what people read."""
    match output:
        case "json" | "jsonl":
            print_json(as_json(message), compact=output == "jsonl")
        case "id":
            click.echo(identity)
        case _:
            click.echo(text())


def say(text: str) -> None:
    """Talk, which goes to stderr so that stdout is data alone."""
    click.echo(text, err=True)


def moment(timestamp: Timestamp) -> datetime:
    return timestamp.ToDatetime(UTC)


def ago(timestamp: Timestamp) -> str:
    return relative(moment(timestamp), datetime.now(UTC))


def clock(timestamp: Timestamp) -> str:
    """Local date and time to the millisecond, with the distance from now."""
    when = moment(timestamp)
    local = when.astimezone().isoformat(sep=" ", timespec="milliseconds")
    return f"{local}  ({relative(when, datetime.now(UTC))})"


def word(name: str, prefix: str) -> str:
    """An enum value as a person reads it: DELIVERY_STATE_PENDING → pending."""
    return name.removeprefix(prefix).lower().replace("_", " ")


def plural(count: int, noun: str) -> str:
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun[:-1]}ies" if noun.endswith("y") else f"{count} {noun}s"


def say_rest(count: int, more: bool, noun: str) -> None:
    """What a list does not show."""
    if more:
        say(f"There are more; --limit shows more than {count}.")
    elif not count:
        say(f"No {noun} found.")
