"""What the domain says in English is said in the reader's language too, and nothing of it is forgotten."""

from __future__ import annotations

import ast
from pathlib import Path
from string import Formatter

import pytest

from hookpost_server.console.texts import DEFAULT, LANGUAGES, Texts, load
from hookpost_server.console.translation import fault
from hookpost_server.console.visit import KINDS
from hookpost_server.domain.explain import CAUSES, FOLLOWING, WAITS

SERVER = Path(__file__).parents[2] / "server" / "hookpost_server"
# Who finds fault with what a form of the console sends: what they return, raise, or put into a Violation.
CHECKS = {
    "domain/webhook.py": None,
    "domain/url.py": None,
    "domain/headers.py": None,
    "domain/retry.py": None,
    "domain/api_key.py": ("check",),
    "domain/event.py": ("check_type", "check_tenant"),
    "domain/signing.py": ("check_secret",),
    "domain/duration.py": ("parse_duration",),
    "console/webhook_form.py": ("given",),
}
BEGINNINGS = ("must ", "is ", "are ", "has ", "leads ", "name ", "key ", "value ", "this ", "the name ", '"')
# Put together of two texts; what comes of it has translations of its own.
COMPOSED = {"value {}"}
PUT_TOGETHER = {
    "value must be at most {} characters, is {}",
    "value must not contain control characters",
    'must be 1 to {} characters: words of [A-Za-z0-9_] joined by full stops; or such words and ".*"; or "*"',
}
# Errors that no page runs into: what they are about comes by gRPC alone, or they are told in another's words.
ELSEWHERE = {
    "HookpostError", "InvalidFields", "NotFound", "NameTaken", "IdempotencyKeyReused", "EmitUnanswered", "TokenExpired",
    "NoSocket", "Unauthenticated", "TenantBound", "EtagMismatch", "BacklogFull", "DatabaseUnavailable",
}  # fmt: skip
# What these have put together, and where others are given their words.
PUT_TOGETHER_REFUSALS = {
    "the webhook has changed since it was read; read it again and repeat the change",
    "the database can't be reached",
    'unknown event type "{}"; did you mean {}? (ListEventTypes lists all, CreateEventType adds one)',
    'the payload of event "{}" has been removed by retention, so it can\'t be sent again; choose a start_time of {} or '
    "later",
    *(f'no {kind} "{{}}"' for kind in (*KINDS.values(), "event type")),
}
RAISED = {"LimitExceeded": "{}", "BacklogFull": "{}; try again in {} s", "DatabaseUnavailable": "{}"}
RAISERS = ("store/replays.py", "store/webhooks.py", "store/api_keys.py", "store/known_keys.py", "store/database.py")
RAISERS += ("store/group_commit.py", "store/signing_keys.py", "delivery/directory.py")
OTHERS = [language for language in LANGUAGES if language != DEFAULT]


def said(path: str, functions: tuple[str, ...] | None) -> set[str]:
    """The texts in the code, `{}` standing for what is put in, that begin like a fault."""
    tree = ast.parse((SERVER / path).read_text())
    roots = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and (functions is None or node.name in functions)
    ]
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    docs = {id(root.body[0].value) for root in roots if isinstance(root.body[0], ast.Expr)}
    found = set()
    for node in (node for root in roots for node in ast.walk(root)):
        if isinstance(node, ast.JoinedStr):
            found.add("".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and not {id(node)} & (inner | docs):
            found.add(node.value)
    return {text for text in found if text.startswith(BEGINNINGS) and " " in text} - COMPOSED


def first_text(call: ast.Call) -> str:
    """What a call is given first; `{}` for what is put in, or is not a text."""
    match call.args[:1]:
        case [ast.Constant(value=str(text))]:
            return text
        case [ast.JoinedStr(values=parts)]:
            return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in parts)
    return "{}"


def refusals() -> set[str]:
    """The messages of errors that pages tell."""
    found = set(PUT_TOGETHER_REFUSALS)
    for error in ast.walk(ast.parse((SERVER / "domain/errors.py").read_text())):
        if isinstance(error, ast.ClassDef) and error.name not in ELSEWHERE:
            calls = [each for each in ast.walk(error) if isinstance(each, ast.Call)]
            found |= {first_text(call) for call in calls if ast.unparse(call.func) == "super().__init__"}
    for path in RAISERS:
        for call in ast.walk(ast.parse((SERVER / path).read_text())):
            if isinstance(call, ast.Call) and (name := ast.unparse(call.func).removeprefix("errors.")) in RAISED:
                found.add(RAISED[name].replace("{}", first_text(call), 1))
    return {text.removesuffix("{}") if text.endswith("again{}") else text for text in found} - {"event type"}


def example(text: str) -> str:
    return text.replace("{}", "12")


def test_the_faults_are_found() -> None:
    """Else the next test would have nothing to look for."""
    assert "must name a host: https://HOST/…" in said("domain/url.py", None)
    assert "must be at most {} characters, is {}" in said("domain/webhook.py", None)
    assert len({text for path, functions in CHECKS.items() for text in said(path, functions)}) > 40


@pytest.mark.parametrize("language", OTHERS)
def test_every_fault_is_translated(language: str) -> None:
    t = Texts(language)
    found = {text for path, functions in CHECKS.items() for text in said(path, functions)}
    texts = {example(text) for text in found | PUT_TOGETHER}
    assert not (missing := sorted(text for text in texts if fault(text, t).english)), missing


@pytest.mark.parametrize("language", OTHERS)
def test_every_refusal_is_translated(language: str) -> None:
    told = {example(text) for text in refusals()}
    assert len(told) > 20
    assert not (missing := sorted(text for text in told if fault(text, Texts(language)).english)), missing


@pytest.mark.parametrize("language", OTHERS)
def test_every_explanation_is_translated(language: str) -> None:
    told = load(f"domain.{language}")
    english = {f"cause.{each.name}": each.text for each in CAUSES}
    english |= {f"following.{name}": text for name, text in FOLLOWING.items()}
    english |= {f"wait.{name}": text for name, text in WAITS.items()}
    assert {key for key in told if not key.startswith(("fault.", "refusal."))} == english.keys()
    for key, text in english.items():
        assert holes(told[key]) == holes(text), key
        assert told[key] != text, key


@pytest.mark.parametrize("language", OTHERS)
def test_a_fault_keeps_what_is_put_in(language: str) -> None:
    for key, text in load(f"domain.{language}").items():
        if key.startswith(("fault.", "refusal.")):
            assert key.count("{}") == text.count("{}"), key


def test_values_stay() -> None:
    found = fault("must be at most 256 characters, is 1,204", Texts("es"))
    assert (found.text, found.english) == ("debe tener como mucho 256 caracteres, tiene 1,204", False)
    assert fault("must sing", Texts("es")).english
    assert not fault("must sing", Texts("en")).english
    unknown = fault('"a" is not" is not a known event type (see ListEventTypes)', Texts("es"))
    assert unknown.text.startswith('«a" is not» no es un tipo')


def holes(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}
