"""A webhook's settings: every fault at once, each with its field and its cure; and how a change is applied."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookpost_server.domain.envelope import Format
from hookpost_server.domain.errors import InvalidFields, Violation
from hookpost_server.domain.retry import RetryPolicy, Schedule
from hookpost_server.domain.secret import Secret
from hookpost_server.domain.signing import SigningKey
from hookpost_server.domain.url import UrlRules
from hookpost_server.domain.webhook import Settings, SettingsRules, State, Webhook, changed, check_text

from .samples import CANARY, EVENT_ID, OCCURRED, WEBHOOK_ID

KNOWN = {"User.Created", "User.Data.Updated", "PostSignIn"}
RULES = SettingsRules(UrlRules(), "hookpost-signature-sha-256", KNOWN.__contains__)
GOOD = Settings(name="Mine", url="https://Example.com", event_types=("User.Created",))


def faults(**settings: Any) -> dict[str, str]:
    with pytest.raises(InvalidFields) as caught:
        RULES.check(dataclasses.replace(GOOD, **settings))
    return {fault.field: fault.description for fault in caught.value.violations}


def test_good_settings_come_back_normalised() -> None:
    given = dataclasses.replace(GOOD, event_types=("User.*", "User.Created", "User.*", "*", "User.Created"))
    assert RULES.check(given) == dataclasses.replace(
        GOOD, url="https://example.com", event_types=("User.*", "User.Created", "*")
    )


def test_the_defaults_are_those_of_the_api() -> None:
    assert Settings() == Settings(
        name="",
        url="",
        event_types=(),
        headers={},
        retry_policy=RetryPolicy(Schedule.DEFAULT, (5, 30, 180), 0.2),
        timeout=10.0,
        payload_format=Format.FLAT,
        max_in_flight=16,
        rate_limit=0.0,
        labels={},
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("name", "n", id="name of 1"),
        pytest.param("name", "n" * 256, id="name of 256"),
        pytest.param("name", "<b>É 😀' or 1=1 --", id="name of anything"),
        pytest.param("event_types", ("*",), id="everything"),
        pytest.param("event_types", ("User.*",), id="family"),
        pytest.param("event_types", ("User.Data.*", "Unheard.Of.*"), id="families of the future"),
        pytest.param("event_types", tuple(f"F{n}.*" for n in range(500)), id="500 patterns"),
        pytest.param("event_types", ("*",) * 1000, id="repeats don't count"),
        pytest.param("timeout", 0.1, id="shortest timeout"),
        pytest.param("timeout", 30.0, id="longest timeout"),
        pytest.param("max_in_flight", 1, id="one in flight"),
        pytest.param("max_in_flight", 1000, id="1000 in flight"),
        pytest.param("rate_limit", 0.1, id="lowest rate"),
        pytest.param("rate_limit", 10_000.0, id="highest rate"),
        pytest.param("labels", {"a": "", "A.b_c/d-9": "v" * 256, "k" * 63: "é"}, id="labels"),
        pytest.param("labels", {str(n): "v" for n in range(20)}, id="20 labels"),
        pytest.param("headers", {"X-Team": "a"}, id="header"),
    ],
)
def test_accepted(name: str, value: Any) -> None:
    checked = RULES.check(dataclasses.replace(GOOD, **{name: value}))
    found = getattr(checked, name)
    assert found == (tuple(dict.fromkeys(value)) if name == "event_types" else value)


@pytest.mark.parametrize(
    ("name", "value", "field", "words"),
    [
        pytest.param("name", "", "name", "is required: 1 to 256 characters", id="no name"),
        pytest.param("name", " \u3000", "name", "is required", id="blank name"),
        pytest.param("name", "n" * 257, "name", "must be at most 256 characters, is 257", id="name of 257"),
        pytest.param("name", "a\0", "name", "must not contain control characters", id="NUL in the name"),
        pytest.param("name", "a\nb", "name", "must not contain control characters", id="line feed in the name"),
        pytest.param("name", "a\x9fb", "name", "must not contain control characters", id="C1 in the name"),
        pytest.param("name", "a\ud800", "name", "must not contain control characters", id="surrogate in the name"),
        pytest.param("url", "", "url", "is required: an absolute URL", id="no url"),
        pytest.param("url", "http://ok.example/", "url", "must begin with https://", id="http"),
        pytest.param("url", "https://127.0.0.1/", "url", "not public", id="loopback"),
        pytest.param("event_types", (), "event_types", "is required: at least one event type", id="no types"),
        pytest.param(
            "event_types", tuple(f"F{n}.*" for n in range(501)), "event_types", "at most 500 entries, has 501", id="501"
        ),
        pytest.param("event_types", ("*", ""), "event_types[1]", "must be 1 to 128 characters", id="empty type"),
        pytest.param("event_types", ("User.Creatd",), "event_types[0]", "(see ListEventTypes)", id="unknown type"),
        pytest.param("event_types", ("user.created",), "event_types[0]", "not a known event type", id="case"),
        pytest.param("event_types", ("User.*.*",), "event_types[0]", 'such words and ".*"; or "*"', id="two stars"),
        pytest.param("event_types", ("*.*",), "event_types[0]", "words of", id="stars alone"),
        pytest.param("event_types", ("*.Created",), "event_types[0]", "words of", id="star in front"),
        pytest.param("event_types", ("User*",), "event_types[0]", "words of", id="star without a stop"),
        pytest.param("event_types", ("User.Crea*",), "event_types[0]", "words of", id="star within a word"),
        pytest.param("event_types", (".*",), "event_types[0]", "words of", id="no prefix"),
        pytest.param("event_types", ("User.Created\n",), "event_types[0]", "words of", id="line feed"),
        pytest.param("timeout", 0.099, "timeout", "must be from 100 ms to 30 s", id="timeout too short"),
        pytest.param("timeout", 30.001, "timeout", "must be from 100 ms to 30 s", id="timeout too long"),
        pytest.param("timeout", -1.0, "timeout", "must be from 100 ms to 30 s", id="timeout below 0"),
        pytest.param("timeout", float("nan"), "timeout", "must be from 100 ms to 30 s", id="timeout NaN"),
        pytest.param("max_in_flight", 0, "max_in_flight", "must be from 1 to 1000, or 0", id="none in flight"),
        pytest.param("max_in_flight", -1, "max_in_flight", "must be from 1 to 1000", id="fewer than none in flight"),
        pytest.param("max_in_flight", 1001, "max_in_flight", "must be from 1 to 1000", id="1001 in flight"),
        pytest.param("rate_limit", 0.09, "rate_limit", "must be from 0.1 to 10000 a second", id="rate too low"),
        pytest.param("rate_limit", 10_000.1, "rate_limit", "or 0 for none", id="rate too high"),
        pytest.param("rate_limit", -1.0, "rate_limit", "must be from 0.1", id="rate below 0"),
        pytest.param("rate_limit", float("nan"), "rate_limit", "must be from 0.1", id="rate NaN"),
        pytest.param("rate_limit", float("inf"), "rate_limit", "must be from 0.1", id="rate infinite"),
        pytest.param("labels", {str(n): "" for n in range(21)}, "labels", "at most 20 entries, has 21", id="21 labels"),
        pytest.param("labels", {"": "v"}, 'labels[""]', "key must be 1 to 63 characters", id="empty key"),
        pytest.param("labels", {"k" * 64: "v"}, f'labels["{"k" * 63}"]', "key must be 1 to 63", id="key of 64"),
        pytest.param("labels", {"a b": "v"}, 'labels["a b"]', "[A-Za-z0-9._/-]", id="space in the key"),
        pytest.param("labels", {'a"\n': "v"}, 'labels["a\\"\\n"]', "key must be", id="quote and line feed in the key"),
        pytest.param("labels", {"a": "v" * 257}, 'labels["a"]', "value must be at most 256", id="value of 257"),
        pytest.param("labels", {"a": "\0"}, 'labels["a"]', "value must not contain control", id="NUL in the value"),
        pytest.param("headers", {"Host": "x"}, 'headers["Host"]', "can't be set", id="header"),
    ],
)
def test_refused(name: str, value: Any, field: str, words: str) -> None:
    found = faults(**{name: value})
    assert list(found) == [f"webhook.{field}"]
    assert words in found[f"webhook.{field}"]


def test_all_faults_at_once_with_those_found_before() -> None:
    with pytest.raises(InvalidFields) as caught:
        RULES.check(
            Settings(timeout=99, max_in_flight=-1, rate_limit=-1, labels={"": ""}, headers={"": ""}),
            [Violation("signing_key", "must be better")],
        )
    assert [fault.field for fault in caught.value.violations] == [
        "signing_key",
        "webhook.name",
        "webhook.url",
        "webhook.event_types",
        'webhook.headers[""]',
        "webhook.timeout",
        "webhook.max_in_flight",
        "webhook.rate_limit",
        'webhook.labels[""]',
    ]


def test_faults_found_before_are_enough_to_refuse() -> None:
    with pytest.raises(InvalidFields, match="signing_key: must be better"):
        RULES.check(GOOD, [Violation("signing_key", "must be better")])


def test_fifty_faults_are_told() -> None:
    with pytest.raises(InvalidFields) as caught:
        RULES.check(dataclasses.replace(GOOD, event_types=tuple(f"Unknown{n}" for n in range(400))))
    assert [fault.field for fault in caught.value.violations] == [f"webhook.event_types[{n}]" for n in range(50)]
    assert len(str(caught.value)) <= 1000


def test_no_refusal_tells_a_secret() -> None:
    with pytest.raises(InvalidFields) as caught:
        RULES.check(
            Settings(
                name="",
                url=f"https://user:{CANARY}@ok.example/{CANARY}",
                headers={"Authorization": f"{CANARY}\n", "Host": CANARY, "X y": CANARY},
            )
        )
    assert len(caught.value.violations) >= 5
    assert CANARY not in f"{caught.value} {caught.value.violations}"


def test_header_values_and_keys_show_in_no_repr() -> None:
    webhook = Webhook(
        id=WEBHOOK_ID,
        tenant_id="default",
        settings=dataclasses.replace(GOOD, headers={"Authorization": CANARY}),
        state=State.ACTIVE,
        state_reason="",
        version=7,
        create_time=OCCURRED,
        update_time=OCCURRED,
        keys=(SigningKey(id=EVENT_ID, secret=Secret(CANARY), create_time=OCCURRED, expire_time=None),),
    )
    assert CANARY not in f"{webhook!r} {webhook.settings!r}"
    assert webhook.etag == '"7"'


def test_a_change_replaces_what_is_named_and_none_is_the_default() -> None:
    before = dataclasses.replace(GOOD, timeout=3.0, max_in_flight=5, headers={"a": "b"}, rate_limit=2.0)
    after = changed(before, {"timeout": None, "max_in_flight": 7, "headers": {}})
    assert after == dataclasses.replace(before, timeout=10.0, max_in_flight=7, headers={})
    assert changed(before, {}) == before


@given(st.text(max_size=12), st.integers(0, 12), st.booleans())
def test_texts_for_people(value: str, limit: int, required: bool) -> None:
    fault = check_text(value, limit, required=required)
    is_wrong = (
        (required and not value.strip())
        or len(value) > limit
        or any(ord(c) < 32 or 127 <= ord(c) < 160 or 0xD800 <= ord(c) < 0xE000 for c in value)
    )
    assert (fault is not None) == is_wrong
