"""The list of cases is whole, and every case has a test."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from .cases import CASES, GROUPS, named
from .table import Tally, lines

TESTS = Path(__file__).parents[1]


def test_there_are_ninety() -> None:
    assert Counter(case[0] for case in CASES) == dict(zip(GROUPS, (11, 12, 10, 13, 10, 19, 7, 8), strict=True))


@pytest.mark.parametrize(
    ("name", "cases"),
    [
        ("test_c1_rebinding", ["C1"]),
        ("test_a5_a6_a7_carriers[x]", ["A5", "A6", "A7"]),
        ("test_f2[Emit-own]", ["F2"]),
        ("test_a_good_certificate", []),
        ("test_410_suspends", []),
    ],
)
def test_names(name: str, cases: list[str]) -> None:
    assert named(name) == cases


def test_every_case_has_a_test() -> None:
    """Read from the sources; `python -m tests.security` finds the same by collecting."""
    written: set[str] = set()
    for file in TESTS.rglob("test_*.py"):
        source = file.read_text()
        for name in re.findall(r"def (test_\w+)", source):
            written.update(named(name))
        if "mark.case(" in source and file != Path(__file__):
            for quoted in re.findall(r'"((?:[A-H]\d{1,2} ?)+)"', source):
                written.update(quoted.split())
    assert [case for case in CASES if case not in written] == []


def test_the_table_tells_what_is_missing_and_what_failed() -> None:
    tallies = {case: Tally() for case in CASES}
    tallies["A1"] = Tally(2, Counter(passed=2), {"tests/x.py::test_a1"})
    tallies["A2"] = Tally(3, Counter(passed=1, failed=1, skipped=1))
    table = "\n".join(lines(tallies, verbose=True))
    assert re.search(r"A1 +loopback +2 +2  ok\n +tests/x.py::test_a1\n", table)
    assert re.search(r"A2 .* 3 +1  1 failed, 1 skipped\n", table)
    assert re.search(r"A3 .* 0 +0  no test\n", table)
    assert table.endswith("2 of 90 cases have tests; of 1 all tests passed")
