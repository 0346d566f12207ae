"""`make bench`: Hookpost, the naive design and the raw limits in turns, on this machine, with one receiver that counts.

Server, PostgreSQL, receiver and producer share the machine. Prints a table, writes JSON beside it; asserts no time.
Exits with 1 when a delivery was lost or a scenario could not end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import time
import traceback
from pathlib import Path

from . import row, table
from .row import Row
from .scenarios import SCENARIOS
from .stage import Options, Stage

RESULTS = Path(__file__).parent / "results"


async def bench(options: Options, names: list[str]) -> tuple[list[Row], dict[str, str], list[str]]:
    """Runs the scenarios; returns rows, what the machine is, and the scenarios that failed."""
    failed = []
    async with Stage.open(options) as stage:
        machine = _machine(stage)
        print(" · ".join(machine.values()), flush=True)
        for name in names:
            began = time.monotonic()
            stage.scenario = name
            try:
                await SCENARIOS[name](stage)
            except Exception:
                traceback.print_exc()
                failed.append(name)
            print(f"{name}: {time.monotonic() - began:.0f} s\n", flush=True)
        if stage.inbox.tally.malformed:
            print(f"{stage.inbox.tally.malformed} connections were cut by the receiver: no HTTP of ours came")
    return stage.rows, machine, failed


def _machine(stage: Stage) -> dict[str, str]:
    options = stage.options
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout
    settings = {"all": options.settings, **options.variants} if options.settings or options.variants else {}
    return {
        "cpus": f"{os.cpu_count()} CPUs",
        "system": f"{platform.system()} {platform.release()}",
        "python": f"Python {platform.python_version()}",
        "receiver": f"receiver in {stage.inbox.kind}",
        "commit": f"commit {commit.strip() or 'unknown'}",
        "scale": f"scale {options.scale:g}",
        "rounds": f"{options.rounds} rounds",
        **({"settings": json.dumps({name: dict(given) for name, given in settings.items()})} if settings else {}),
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies durations and numbers (default 1)")
    parser.add_argument("--rounds", type=int, default=2, help="measures each case so often, in turns (default 2)")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=SCENARIOS, help="these scenarios")
    parser.add_argument("--list", action="store_true", help="says what the scenarios are")
    parser.add_argument("--env", nargs="+", metavar="KEY=VALUE", default=[], help="settings of every Hookpost")
    parser.add_argument(
        "--variant", nargs="+", action="append", metavar=("NAME", "KEY=VALUE"), default=[],
        help="one more Hookpost with these settings, measured in turns with the first; may be repeated",
    )  # fmt: skip
    parser.add_argument("--python-receiver", action="store_true", help="the receiver in Python even if C compiles")
    parser.add_argument(
        "--profile", action="store_true", help="where the time of servers goes, by py-spy, which slows them down"
    )
    parser.add_argument("--markdown", action="store_true", help="prints the table as the README has it")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    if arguments.list:
        for name, scenario in SCENARIOS.items():
            print(f"{name:12} {(scenario.__doc__ or '').splitlines()[0]}")
        return
    options = Options(
        scale=arguments.scale,
        rounds=arguments.rounds,
        settings=_settings(arguments.env),
        variants={name: _settings(given) for name, *given in arguments.variant},
        profile=arguments.profile,
        compiled=not arguments.python_receiver,
    )
    rows, machine, failed = asyncio.run(bench(options, arguments.only or list(SCENARIOS)))
    merged = row.merge(rows)
    print("\n" + (table.markdown(merged) if arguments.markdown else table.plain(merged)))
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{time.strftime('%Y%m%dT%H%M%S')}.json"
    found = [{"scenario": r.scenario, "case": r.case, "design": r.design, **r.figures} for r in rows]
    file.write_text(json.dumps({"machine": machine, "rows": found, "failed": failed}, indent=2))
    print(f"\n{file}")
    if failed:
        print(f"could not end: {', '.join(failed)}")
    lost = sum(int(r.figures.get(row.LOST, 0)) for r in rows)
    if lost:
        print(f"LOST: {lost} deliveries that were acknowledged did not come")
    sys.exit(bool(failed or lost))


def _settings(pairs: list[str]) -> dict[str, str]:
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        sys.exit(f"{wrong[0]!r} must be KEY=VALUE, e.g. HOOKPOST_MAX_IN_FLIGHT=512")
    return dict(pair.split("=", 1) for pair in pairs)


if __name__ == "__main__":
    main()
