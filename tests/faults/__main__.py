"""`make faults`: every experiment on this machine, a table and JSON. Exit code 1 when something was lost or is wrong.

make faults ARGS="kill R6"       those whose name or reference has one of these words
make faults ARGS="--rounds 2"    each that often, instead of its own number
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import signal
import statistics
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

import asyncpg

from hookpost_server.embedded import EmbeddedPostgres
from tests.conftest import database_on

from .every import EXPERIMENTS
from .experiment import Experiment, NotHere
from .stage import SEED, Finding

RESULTS = Path(__file__).parent / "results"
HEAD = (
    "| | fault | runs | acknowledged | POSTs | lost | duplicates | log mismatches "
    "| recovery s, median / worst | quiet after s |"
)
RULE = "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"


async def perform(experiment: Experiment, url: str, number: int, rounds: int) -> Finding:
    """On a database of its own, dropped afterwards."""
    name = f"faults_{number}"
    await _execute(url, f"create database {name}")
    try:
        return await experiment.perform(database_on(url, name), rounds)
    finally:
        await _execute(url, f"drop database {name} with (force)")


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def row(experiment: Experiment, finding: Finding) -> str:
    verdict, recoveries = finding.verdict, finding.recoveries
    recovery = f"{statistics.median(recoveries):.2f} / {max(recoveries):.2f}" if recoveries else ""
    duplicates = f"{verdict.duplicates:,}" + (f" ({len(verdict.unexcused)} unexcused)" if verdict.unexcused else "")
    figures = [finding.runs, verdict.acknowledged, verdict.posts, len(verdict.lost)]
    return " | ".join(
        [
            f"| {experiment.reference} | {experiment.name}",
            *(f"{figure:,}" for figure in figures),
            duplicates,
            f"{len(verdict.mismatches):,}",
            recovery,
            f"{finding.quiet:.1f} |",
        ]
    )


async def run(experiments: Sequence[Experiment], rounds: int | None) -> dict[str, object]:
    """Prints the table as it grows; returns all that was found, by name."""
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory(prefix="hookpost-faults-") as directory:
        async with EmbeddedPostgres(Path(directory)) as url:
            print(f"{HEAD}\n{RULE}")
            for number, experiment in enumerate(experiments):
                try:
                    finding = await perform(experiment, url, number, rounds or experiment.rounds)
                except NotHere as error:
                    print(f"| {experiment.reference} | {experiment.name} | skipped: {error} |", flush=True)
                    found[experiment.name] = {"skipped": str(error)}
                    continue
                except (AssertionError, TimeoutError) as error:
                    traceback.print_exception(error)
                    finding = Finding(faults=[f"the experiment broke off: {error!r}"])
                print(row(experiment, finding), flush=True)
                for fault in finding.broken:
                    print(f"  {experiment.name}: {fault}", file=sys.stderr, flush=True)
                found[experiment.name] = vars(finding) | {"verdict": vars(finding.verdict), "broken": finding.broken}
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="make faults", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("words", nargs="*", help="in the name of an experiment, or its reference")
    parser.add_argument("--rounds", type=int, help="of each experiment; default: its own number")
    given = parser.parse_args()
    chosen = [
        each
        for each in EXPERIMENTS
        if not given.words or any(word == each.reference or word in each.name for word in given.words)
    ]
    if not chosen:
        parser.error("no experiment has such a name")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that nothing is left running
    signal.signal(signal.SIGINT, signal.default_int_handler)
    found = asyncio.run(run(chosen, given.rounds))
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{time.strftime('%Y%m%dT%H%M%S')}.json"
    machine = {"cpus": os.cpu_count(), "machine": platform.platform(), "python": platform.python_version()}
    file.write_text(json.dumps({"machine": machine, "seed": SEED, "experiments": found}, indent=2))
    print(f"\n{file}")
    return int(any(isinstance(each, dict) and each.get("broken") for each in found.values()))


if __name__ == "__main__":
    sys.exit(main())
