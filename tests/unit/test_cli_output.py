"""Tables, cards and what becomes of a stranger's control characters."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from hookpost.v1.webhook_pb2 import Webhook
from hookpost_server.cli import output as out
from hookpost_server.cli.main import cli

COLUMNS: list[out.Column[Webhook]] = [out.Column("ID", lambda w: w.id), out.Column("NAME", lambda w: w.name)]
WEBHOOKS = [Webhook(id="whk_1", name="one"), Webhook(id="whk_22", name="二つ")]


def test_columns_are_aligned() -> None:
    text = out.table(("A", "LONGER", "C"), [("1", "2", "3"), ("wide cell", "x", "")])
    assert text == "A          LONGER  C\n1          2       3\nwide cell  x"


def test_wide_and_combining_characters_are_measured() -> None:
    first, second = out.table(("A", "B"), [("日本", "x"), ("e\u0301e", "x")]).splitlines()[1:]
    assert first == "日本  x"
    assert second == "e\u0301e    x"


def test_control_characters_are_shown_not_obeyed() -> None:
    assert out.safe("a\x1b[31mb\u202ec\x9b") == r"a\x1b[31mb\u202ec\x9b"
    assert out.safe("a\nb") == "a\nb"
    assert "\n" not in out.table(("A",), [("two\nlines",)]).splitlines()[1]
    assert out.table(("A",), [("two\nlines",)]).endswith(r"two\nlines")


def test_card_leaves_out_what_is_empty_and_indents_lines() -> None:
    assert out.card([("a", "1"), ("gone", ""), ("long", "2\n3")]) == "a     1\nlong  2\n      3"


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("table", "ID      NAME\nwhk_1   one\nwhk_22  二つ\n"),
        ("id", "whk_1\nwhk_22\n"),
    ],
)
def test_list_formats(capsys: pytest.CaptureFixture[str], output: str, text: str) -> None:
    out.print_list(output, WEBHOOKS, COLUMNS, lambda webhook: webhook.id)
    assert capsys.readouterr().out == text


def test_json_has_the_fields_of_the_api(capsys: pytest.CaptureFixture[str]) -> None:
    out.print_list("jsonl", WEBHOOKS, COLUMNS, lambda webhook: webhook.id)
    first, second = capsys.readouterr().out.splitlines()
    assert '"id": "whk_1"' in first
    assert '"maxInFlight": 0' in first, "zero values too: programs need not guess"
    assert "二つ" in second


def test_plural() -> None:
    assert [out.plural(n, "delivery") for n in (0, 1, 2)] == ["0 deliveries", "1 delivery", "2 deliveries"]


def test_every_command_explains_itself_with_an_example() -> None:
    def walk(command: object, path: list[str]) -> None:
        text = CliRunner().invoke(cli, [*path, "--help"]).output
        if path:
            assert "Example" in text, path
            assert f"hookpost {path[0]}" in text, path
        for name, inner in getattr(command, "commands", {}).items():
            walk(inner, [*path, name])

    walk(cli, [])
