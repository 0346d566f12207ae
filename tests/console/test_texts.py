"""Everything that is said is in the catalogue, in both languages, and nothing in it is forgotten."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest

from hookpost_server.console import system_page
from hookpost_server.console.nav import NAV
from hookpost_server.console.pages import delivery
from hookpost_server.console.pages.api_keys import LIVES
from hookpost_server.console.pages.webhook_key import OVERLAPS
from hookpost_server.console.pages.webhook_replay import WHICH
from hookpost_server.console.request_filter import RANGES, STATES
from hookpost_server.console.texts import LANGUAGES, Catalogue, Texts, load
from hookpost_server.console.webhook_form import FORMATS, SCHEDULES
from hookpost_server.domain.api_key import Scope
from hookpost_server.domain.delivery import Result, Trigger
from hookpost_server.domain.webhook import Settings, State

CONSOLE = Path(__file__).parents[2] / "server" / "hookpost_server" / "console"
PARTS = ("one", "other")

# A whole key in quotes, after t( or as the name of a flash or a fault; and the beginning of one that is put together.
LITERAL = re.compile(r"""(?:\bt|\btexts)\(\s*f?["']([a-z0-9_.]+)["']""")
NAMED = re.compile(r"""["']((?:flash|requests|headers)\.[a-z0-9_]+)["']""")
EITHER = re.compile(r"""["']([a-z0-9_]+\.[a-z0-9_]+)["'] if""")
OTHERWISE = re.compile(r"""else ["']([a-z0-9_]+\.[a-z0-9_]+)["']""")
BEGUN = re.compile(r"""(?:\bt|\btexts)\(\s*f?["']([a-z0-9_]+\.[a-z0-9_]*)(?:["']\s*~|\{)""")

# What the beginnings are completed with; each must be there.
COMPLETED = {
    "nav.": [name for name, _, _ in NAV],
    "theme.": ["auto", "light", "dark"],
    "state.": [state.name.lower() for state in State],
    "result.": [result.name.lower() for result in Result],
    "schedule.": list(SCHEDULES),
    "format.": list(FORMATS),
    "field.": [*Settings.__dataclass_fields__, "signing_key"],
    "range.": [*RANGES, "all", "custom"],
    "requests.state_": list(STATES),
    "replay.which_": list(WHICH),
    "rotate.overlap_": list(OVERLAPS),
    "tab.": ["settings", "test", "requests", "health"],
    "url.": ["unresolved", "slow", "private"],
    "keyboard.": ["sheet", "search", "create", "rows", "open", "resend", "pause", "close"],
    "delivery_tab.": list(delivery.TABS),
    "failure.": [result.name.lower() for result in Result if result is not Result.SUCCEEDED],
    "trigger.": [trigger.name.lower() for trigger in Trigger],
    "system_tab.": list(system_page.TABS),
    "kept.": ["entries", "bodies", "audit"],
    "keys.": ["works", "expired", "revoked"],
    "scope.": [scope.name.lower() for scope in Scope],
    "life.": list(LIVES),
    "error.": [
        f"{kind}.{part}"
        for kind in ("missing", "forbidden", "csrf", "refused", "unavailable", "fault", "often")
        for part in ("title", "text")
    ],
}


def sources() -> str:
    files = [*CONSOLE.rglob("*.py"), *CONSOLE.rglob("*.html")]
    return "\n".join(file.read_text() for file in files)


def used() -> set[str]:
    text = sources()
    found = {key for pattern in (LITERAL, NAMED, EITHER, OTHERWISE) for key in pattern.findall(text)}
    begun = set(BEGUN.findall(text))
    assert begun <= COMPLETED.keys(), f"say in COMPLETED what comes after {sorted(begun - COMPLETED.keys())}"
    found -= {key for key in found if key.endswith((".", "_", ".html")) or key in begun}
    return found | {start + rest for start, rests in COMPLETED.items() for rest in rests}


def whole(key: str) -> str:
    """Without the `one` or `other` of a text that is chosen by number."""
    head, _, last = key.rpartition(".")
    return head if last in PARTS else key


def test_every_key_has_a_text() -> None:
    known = {whole(key) for key in load("en")}
    assert not (missing := used() - known), f"not in en.toml: {sorted(missing)}"


def test_every_text_is_used() -> None:
    unused = {whole(key) for key in load("en")} - used()
    assert not unused, f"in en.toml for nothing: {sorted(unused)}"


@pytest.mark.parametrize("language", [each for each in LANGUAGES if each != "en"])
def test_languages_agree(language: str) -> None:
    """The same keys, with the same values to put in."""
    english, other = load("en"), load(language)
    assert english.keys() == other.keys()
    for key, text in english.items():
        assert holes(other[key]) == holes(text), key
        assert other[key] != text or len(text) < 45, f"{key} is not translated"


def holes(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_numbers_choose() -> None:
    t = Texts("en")
    assert t("webhook.in_24h", n=1, count="1") == "1 request in 24 h"
    assert t("webhook.in_24h", n=0, count="0") == "0 requests in 24 h"
    with pytest.raises(KeyError):
        t("webhook.no_such_key")


@pytest.mark.parametrize(
    ("wanted", "language"),
    [
        ("", "en"),
        ("es", "es"),
        ("es-MX,es;q=0.9,en;q=0.8", "es"),
        ("de,es;q=0.5", "es"),
        ("de,fr", "en"),
        ("en;q=0.1,es;q=0.2", "es"),
        ("es;q=0,en;q=0.5", "en"),
        ("es;q=x,,;;", "en"),
        ("ES", "es"),
    ],
)
def test_the_browser_chooses(wanted: str, language: str) -> None:
    assert Catalogue().chosen(wanted).language == language
