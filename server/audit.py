#!/usr/bin/env python3
"""Compares the locked packages with the known advisories: `make audit`.

Ends with 1 when an advisory has a fix. Where the advisory service can't be reached it says so and ends with 0: that
is then not known, and nothing to stop for.
"""

import json
import subprocess
import sys
from pathlib import Path

SERVER = Path(__file__).resolve().parent
TOOL = "pip-audit==2.9.0"
MOST = 300  # seconds


def main() -> int:
    command = [sys.executable, "-m", "uv", "tool", "run", TOOL, "--format", "json", "--progress-spinner", "off"]
    command += ["--timeout", "10", "--disable-pip", "--require-hashes"]
    try:
        done = subprocess.run(
            [*command, "-r", str(SERVER / "requirements.lock")],
            capture_output=True,
            text=True,
            timeout=MOST,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return skipped(type(error).__name__)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        return skipped((done.stderr.strip().splitlines() or ["no answer"])[-1])
    return report(packages)


def skipped(why: str) -> int:
    print(f"audit: SKIPPED, the advisories could not be read: {why[:300]}")
    return 0


def report(packages: list[dict]) -> int:
    """One line for each advisory; 1 if one of them can be mended."""
    mendable = False
    for package in packages:
        for advisory in package.get("vulns", []):
            fixed = ", ".join(advisory.get("fix_versions", []))
            mendable = mendable or bool(fixed)
            print(
                f"audit: {package['name']} {package['version']}: {advisory['id']}, fixed in {fixed or 'no version yet'}"
            )
    print(f"audit: {len(packages)} packages compared with the known advisories")
    return 1 if mendable else 0


if __name__ == "__main__":
    sys.exit(main())
