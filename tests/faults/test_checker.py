"""The checker sees what must not be: each case takes a sound history and spoils one thing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from hookpost_server.domain.delivery import Result, State

from .checker import Ack, Delivery, Dump, Notes, Post, Verdict, check


@dataclass
class History:
    """One event, two webhooks: the first took it at once, the second at the second attempt."""

    acks: list[Ack] = field(default_factory=lambda: [Ack("k", "evt", 1.0)])
    posts: list[Post] = field(
        default_factory=lambda: [
            Post("d1", "evt", 1, 2, "body1", 2.0),
            Post("d2", "evt", 1, 2, "body2", 2.0),
            Post("d2", "evt", 2, 2, "body2", 3.0),
        ]
    )
    keys: dict[str, str | None] = field(default_factory=lambda: {"evt": "k"})
    deliveries: list[Delivery] = field(
        default_factory=lambda: [
            Delivery("d1", "evt", "w1", State.SUCCEEDED, 1, 2.5),
            Delivery("d2", "evt", "w2", State.SUCCEEDED, 2, 3.5),
        ]
    )
    attempts: dict[str, list[tuple[int, Result]]] = field(
        default_factory=lambda: {
            "d1": [(1, Result.SUCCEEDED)],
            "d2": [(1, Result.BAD_STATUS), (2, Result.SUCCEEDED)],
        }
    )

    def check(self, **may_repeat: int) -> Verdict:
        dump = Dump(self.keys, self.deliveries, self.attempts)
        return check(self.acks, self.posts, dump, webhooks=2, may_repeat=Counter(may_repeat))


def test_a_sound_history() -> None:
    verdict = History().check()
    assert verdict == Verdict(acknowledged=1, events=1, posts=3)
    assert verdict.faults == []


def an_event_is_gone(history: History) -> None:
    history.acks.append(Ack("k2", "gone", 1.0))


def an_entry_is_gone(history: History) -> None:
    del history.deliveries[0], history.attempts["d1"], history.posts[0]


def a_delivery_is_stuck(history: History) -> None:
    history.deliveries[0] = replace(history.deliveries[0], state=State.PENDING, attempt_count=0, finish_time=None)
    del history.attempts["d1"], history.posts[0]


def a_delivery_was_given_up(history: History) -> None:
    history.deliveries[1] = replace(history.deliveries[1], state=State.FAILED)


def a_success_was_never_received(history: History) -> None:
    del history.posts[0]


@pytest.mark.parametrize(
    "spoil",
    [an_event_is_gone, an_entry_is_gone, a_delivery_is_stuck, a_delivery_was_given_up, a_success_was_never_received],
)
def test_what_is_lost(spoil: Callable[[History], None]) -> None:
    history = History()
    spoil(history)
    verdict = history.check()
    assert len(verdict.lost) == 1
    assert verdict.faults


def a_key_made_two_events(history: History) -> None:
    history.keys["evt2"] = "k"
    history.deliveries += [replace(each, id=each.id + "x", event="evt2") for each in history.deliveries]
    history.attempts |= {each + "x": attempts for each, attempts in history.attempts.items()}
    history.posts += [replace(each, delivery=each.delivery + "x", event="evt2") for each in history.posts]


def another_event_was_acknowledged(history: History) -> None:
    history.acks[0] = Ack("other", "evt", 1.0)


def two_entries_for_a_webhook(history: History) -> None:
    history.deliveries[1] = replace(history.deliveries[1], webhook="w1")
    history.deliveries.append(replace(history.deliveries[1], id="d3", webhook="w2"))
    history.attempts["d3"] = history.attempts["d2"]
    history.posts += [replace(each, delivery="d3") for each in history.posts[1:]]


def attempts_with_a_gap(history: History) -> None:
    history.attempts["d2"] = [(1, Result.BAD_STATUS), (3, Result.SUCCEEDED)]
    history.posts[2] = replace(history.posts[2], attempt=3)


def attempts_not_counted(history: History) -> None:
    history.deliveries[1] = replace(history.deliveries[1], attempt_count=1)


def an_attempt_that_was_never_made(history: History) -> None:
    del history.posts[1]


def a_post_the_log_does_not_have(history: History) -> None:
    history.posts.append(replace(history.posts[2], attempt=3))


def posts_without_an_entry(history: History) -> None:
    history.posts.append(replace(history.posts[0], delivery="d9"))


def attempts_without_an_entry(history: History) -> None:
    history.attempts["d9"] = [(1, Result.SUCCEEDED)]


def another_body_the_second_time(history: History) -> None:
    history.posts[2] = replace(history.posts[2], body="other")


def another_webhook_id(history: History) -> None:
    history.posts[0] = replace(history.posts[0], event="evt2")


def a_post_after_the_end(history: History) -> None:
    history.posts[0] = replace(history.posts[0], time=2.6)


@pytest.mark.parametrize(
    "spoil",
    [
        a_key_made_two_events,
        another_event_was_acknowledged,
        two_entries_for_a_webhook,
        attempts_with_a_gap,
        attempts_not_counted,
        an_attempt_that_was_never_made,
        a_post_the_log_does_not_have,
        posts_without_an_entry,
        attempts_without_an_entry,
        another_body_the_second_time,
        another_webhook_id,
        a_post_after_the_end,
    ],
)
def test_what_does_not_match(spoil: Callable[[History], None]) -> None:
    history = History()
    spoil(history)
    verdict = history.check()
    assert verdict.mismatches
    assert verdict.lost == []


def test_a_duplicate_needs_an_excuse() -> None:
    history = History()
    history.posts.append(history.posts[0])
    assert len(history.check().unexcused) == 1
    excused = history.check(d1=1)
    assert (excused.duplicates, excused.faults) == (1, [])
    history.posts.append(history.posts[0])
    assert len(history.check(d1=1).unexcused) == 1


def test_notes_are_read_to_the_last_complete_line(tmp_path: Path) -> None:
    path = tmp_path / "acks"
    notes = Notes(path, Ack)
    assert notes.all() == []
    path.write_text('{"key": "a", "event": "e", "time": 1}\n{"key": "b", "ev')
    assert notes.all() == [Ack("a", "e", 1)]
    with path.open("a") as file:
        file.write('ent": "f", "time": 2}\n')
    assert notes.all() == [Ack("a", "e", 1), Ack("b", "f", 2)]
