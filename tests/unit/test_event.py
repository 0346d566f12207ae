"""What may be said about an event at the door, and which subscriptions match it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookpost_server.domain import event

WORDS = st.lists(st.from_regex(r"[A-Za-z0-9_]{1,6}", fullmatch=True), min_size=1, max_size=5)


@pytest.mark.parametrize(
    "name", ["A", "PostSignIn", "User.Created", "a.b.c.d.e", "_", "0.1", "a" * 128, ".".join("a" * 64)]
)
def test_names_of_types(name: str) -> None:
    assert event.check_type(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "User.",
        ".User",
        "User..Created",
        "User Created",
        "User-Created",
        "User/Created",
        "User.*",
        "*",
        "User.Created\n",
        "User\r\nX",
        "User\x00",
        "Ünser",
        "User.Crеated",
        'User"',
        "\ud800",
        "a" * 129,
        "٣",
    ],
    ids=ascii,
)
@pytest.mark.case("E5")
def test_names_that_are_none(name: str) -> None:
    assert event.check_type(name) == "must be 1 to 128 characters: words of [A-Za-z0-9_] joined by full stops"


@pytest.mark.parametrize("tenant_id", ["a", "default", "A-b_c.9", "..", "t" * 64])
def test_tenants(tenant_id: str) -> None:
    assert event.check_tenant(tenant_id) is None


@pytest.mark.parametrize("tenant_id", ["", "t" * 65, "a b", "a/b", "a\n", "é", "a:b", "%", "'", '"', "\0"], ids=ascii)
def test_tenants_that_are_none(tenant_id: str) -> None:
    assert event.check_tenant(tenant_id) == "must be 1 to 64 characters of [A-Za-z0-9._-]"


@pytest.mark.parametrize("key", ["k", "!", "a b", "0189-~", "k" * 255])
def test_idempotency_keys(key: str) -> None:
    assert event.check_idempotency_key(key) is None


@pytest.mark.parametrize("key", ["", " ", " k", "k ", "k\n", "k\tk", "k\0", "é", "\x7f", "k" * 256], ids=ascii)
def test_idempotency_keys_that_are_none(key: str) -> None:
    assert "must be 1 to 255 printable ASCII characters" in (event.check_idempotency_key(key) or "")


@pytest.mark.parametrize(
    ("name", "patterns"),
    [
        ("PostSignIn", ["PostSignIn", "*"]),
        ("User.Created", ["User.Created", "User.*", "*"]),
        ("A.B.C", ["A.B.C", "A.B.*", "A.*", "*"]),
    ],
)
def test_patterns(name: str, patterns: list[str]) -> None:
    assert event.patterns(name) == patterns


@given(WORDS, WORDS)
def test_a_family_matches_its_members_at_any_depth_and_nothing_else(words: list[str], prefix: list[str]) -> None:
    matches = ".".join(prefix) + ".*" in event.patterns(".".join(words))
    assert matches == (len(words) > len(prefix) and words[: len(prefix)] == prefix)


@given(WORDS)
def test_a_type_has_few_patterns_without_repeats(words: list[str]) -> None:
    found = event.patterns(".".join(words))
    assert len(set(found)) == len(found) == len(words) + 1


def test_a_fingerprint_tells_content_apart() -> None:
    moment = datetime(2026, 8, 21, tzinfo=UTC)
    made = [
        event.fingerprint(name, payload, given)
        for name in ("User.Created", "User.Deleted")
        for payload in (b"{}", b"{ }", b'{"a":1}')
        for given in (None, moment, moment + timedelta(microseconds=1))
    ]
    assert len(set(made)) == len(made) == 18
    assert made[0] == event.fingerprint("User.Created", b"{}", None)
    assert {len(each) for each in made} == {32}


def test_hookposts_own_types_come_to_those_who_name_them() -> None:
    assert event.patterns("hookpost.webhook.suspended") == [
        *("hookpost.webhook.suspended", "hookpost.webhook.*", "hookpost.*")
    ]
    assert event.patterns("hookposts.a")[-1] == event.patterns("Hookpost.a")[-1] == "*"


@pytest.mark.parametrize("name", ["hookpost.webhook.suspended", "hookpost.a", "hookpost"])
def test_hookposts_own_types_are_not_for_callers(name: str) -> None:
    assert "kept for Hookpost's own events" in (event.check_emitted_type(name) or "")
    assert event.check_type(name) is None


def test_other_types_are_for_callers() -> None:
    assert event.check_emitted_type("hookposts.a") is None
    assert event.check_emitted_type("a b") == event.check_type("a b")


@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999), timezones=st.just(UTC)))
def test_times_are_written_to_the_millisecond(moment: datetime) -> None:
    text = event.iso_milliseconds(moment)
    assert len(text) == 24
    written = datetime.fromisoformat(text)
    assert timedelta() <= moment - written < timedelta(milliseconds=1)
