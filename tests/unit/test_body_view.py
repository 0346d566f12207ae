"""How pages show bodies: what a stranger sends must neither deceive nor weigh."""

from __future__ import annotations

import json

import pytest

from hookpost_server.console.body_view import MOST_HEX, MOST_TEXT, BodyView, view


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        (b"", "empty", ""),
        (b"ok\n", "text", "ok\n"),
        ("é".encode(), "text", "é"),
        (b'{"b":1.10,"a":[1e400,-0,12345678901234567890,true,null,"x",{},[]]}', "json",
         '{\n  "b": 1.10,\n  "a": [\n    1e400,\n    -0,\n    12345678901234567890,\n    true,\n    null,\n    "x",\n'
         '    {},\n    []\n  ]\n}'),
        (b'[{"a": "1"}]', "json", '[\n  {\n    "a": "1"\n  }\n]'),
        (b'{"a":', "text", '{"a":'),
        (rb'{"a":"\ud800 \ud83e\udd84"}', "json", '{\n  "a": "\\ud800 🦄"\n}'),
        (b"[NaN]", "json", "[\n  NaN\n]"),
        (b"12", "text", "12"),
        (b"\xff\x00A", "hex", "00000000  ff 00 41                                         ··A"),
        (b"a\x1b[2J", "hex", "00000000  61 1b 5b 32 4a                                   a·[2J"),
        ("a\u202egnp.exe".encode(), "text", "a⟨U+202E⟩gnp.exe"),
    ],
)  # fmt: skip
def test_kinds(body: bytes, kind: str, text: str) -> None:
    assert view(body) == BodyView(len(body), text, kind, len(body))


def test_as_it_is() -> None:
    assert view(b'{"a":1}', tidy=False).text == '{"a":1}'


def test_it_is_cut_between_characters() -> None:
    body = b"x" + "€".encode() * MOST_TEXT
    found = view(body)
    assert found.cut and found.shown <= MOST_TEXT and set(found.text[1:]) == {"€"}
    assert len(found.text.encode()) == found.shown


def test_long_json_is_not_tidied() -> None:
    body = json.dumps({"a": "x" * MOST_TEXT}).encode()
    assert view(body).kind == "text" and view(body).cut


def test_long_binary_is_cut() -> None:
    found = view(bytes(1_000_000))
    assert (found.size, found.shown, found.text.count("\n")) == (1_000_000, MOST_HEX, MOST_HEX // 16 - 1)


@pytest.mark.parametrize("body", [b"[" * 30_000, b"[" * 30_000 + b"]" * 30_000, b'{"a":' * 9000 + b"1" + b"}" * 9000])
def test_depth_is_no_fault(body: bytes) -> None:
    assert view(body).text == body.decode()
