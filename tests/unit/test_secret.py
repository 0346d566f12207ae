"""A secret shows nowhere by accident."""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass

import pytest

from hookpost_server.domain.secret import HIDDEN, Secret

CANARY = "CANARY-of-a-secret"


@dataclass
class Holder:
    secret: Secret


def test_it_shows_as_stars() -> None:
    secret = Secret(CANARY)
    shown = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r:>5}",
        str([secret]),
        repr(Holder(secret)),
    ]
    assert all(HIDDEN in each for each in shown)
    assert CANARY not in "".join(shown)
    assert secret.reveal() == CANARY


def test_it_goes_into_no_file_or_message() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(Secret(CANARY))
    with pytest.raises(TypeError):
        json.dumps(Secret(CANARY))


def test_equality_is_that_of_the_texts() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert not Secret("")
