"""Runs the tests that are about a case and prints, for each case, how many there are and how they went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pytest

from .cases import CASES, GROUPS, cases_of

COLUMNS = "{:<5} {:<74} {:>5} {:>6}  {}"


@dataclass
class Tally:
    """The tests of one case."""

    tests: int = 0
    ended: Counter[str] = field(default_factory=Counter)  # passed, failed, skipped
    functions: set[str] = field(default_factory=set)

    @property
    def verdict(self) -> str:
        if not self.tests:
            return "no test"
        bad = [f"{count} {how}" for how, count in sorted(self.ended.items()) if how != "passed"]
        return ", ".join(bad) or ("ok" if self.ended["passed"] == self.tests else "not run")


class Table:
    """A plugin of pytest: leaves out what is about no case, and tells at the end."""

    def __init__(self) -> None:
        self.tallies = {case: Tally() for case in CASES}
        self._cases: dict[str, list[str]] = {}

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        other = []
        for item in list(items):
            if cases := cases_of(item):
                self._cases[item.nodeid] = cases
            else:
                items.remove(item)
                other.append(item)
        config.hook.pytest_deselected(items=other)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Counts what is left after -k and -m."""
        for item in session.items:
            for case in self._cases[item.nodeid]:
                self.tallies[case].tests += 1
                self.tallies[case].functions.add(item.nodeid.partition("[")[0])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            for case in self._cases[report.nodeid]:
                self.tallies[case].ended[report.outcome] += 1

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for line in lines(self.tallies, verbose=terminalreporter.verbosity > 0):
            terminalreporter.write_line(line)


def lines(tallies: Mapping[str, Tally], *, verbose: bool) -> Iterable[str]:
    """The table; `verbose` names the test functions too."""
    yield COLUMNS.format("case", "what", "tests", "passed", "verdict")
    for group, what in GROUPS.items():
        mine = {case: tally for case, tally in tallies.items() if case[0] == group}
        covered = sum(1 for tally in mine.values() if tally.tests)
        yield f"{group}: {what}, {covered} of {len(mine)} cases with tests"
        for case, tally in mine.items():
            yield COLUMNS.format(f"  {case}", CASES[case], tally.tests, tally.ended["passed"], tally.verdict).rstrip()
            if verbose:
                yield from (f"        {function}" for function in sorted(tally.functions))
    covered = sum(1 for tally in tallies.values() if tally.tests)
    passed = sum(1 for tally in tallies.values() if tally.verdict == "ok")
    yield f"{covered} of {len(tallies)} cases have tests; of {passed} all tests passed"
