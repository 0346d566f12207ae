"""The list of cases is whole, and the table tells what it should."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from .cases import CASES, GROUPS, named
from .table import Tally, lines


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


def test_the_table_tells_what_is_missing_and_what_failed() -> None:
    tallies = {case: Tally() for case in CASES}
    tallies["A1"] = Tally(2, Counter(passed=2), {"tests/x.py::test_a1"})
    tallies["A2"] = Tally(3, Counter(passed=1, failed=1, skipped=1))
    table = "\n".join(lines(tallies, verbose=True))
    assert re.search(r"A1 +loopback +2 +2  ok\n +tests/x.py::test_a1\n", table)
    assert re.search(r"A2 .* 3 +1  1 failed, 1 skipped\n", table)
    assert re.search(r"A3 .* 0 +0  no test\n", table)
    assert table.endswith("2 of 90 cases have tests; of 1 all tests passed")
