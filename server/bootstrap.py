#!/usr/bin/env python3
"""Makes `.venv`, ready to run: `python3 server/bootstrap.py`, with `--dev` also for tests and checks.

Needs nothing but Python 3.11 or newer and a package index. Versions and hashes come from the two lock files beside
this file; what is already in place is left alone. The Makefile calls it before everything else.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

SERVER = Path(__file__).resolve().parent
ROOT = SERVER.parent
PROJECTS = (ROOT / "clients" / "python", ROOT / "clients" / "python" / "receiver", SERVER)
VENV = ROOT / ".venv"
OLDEST = (3, 11)


def main() -> None:
    dev = "--dev" in sys.argv[1:]
    if sys.version_info < OLDEST:
        newer = next(filter(None, (shutil.which(f"python3.{minor}") for minor in (13, 12, 11))), None)
        if not newer:
            sys.exit(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}.")
        os.execv(newer, [newer, *sys.argv])
    lock = SERVER / ("requirements-dev.lock" if dev else "requirements.lock")
    wanted = digest(lock)
    stamp = VENV / (".ready-dev" if dev else ".ready")
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    say("Setting up .venv (once)…")
    python = make_venv()
    install(python, lock)
    if dev:
        install_browser()
    stamp.write_text(wanted)
    if dev:
        (VENV / ".ready").write_text(digest(SERVER / "requirements.lock"))


def digest(lock: Path) -> str:
    """What the installed state depends on."""
    files = (lock, *(project / "pyproject.toml" for project in PROJECTS))
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files) + str(ROOT).encode()).hexdigest()


def make_venv() -> str:
    """Debian keeps `ensurepip` in a package of its own; root may install it, others are told."""
    python = VENV / "bin" / "python"
    if python.exists() and run([str(python), "-m", "pip", "--version"], quiet=True):
        return str(python)
    if not run([sys.executable, "-c", "import ensurepip, venv"], quiet=True):
        apt = shutil.which("apt-get")
        if not apt or os.geteuid() != 0:
            sys.exit("Python's venv module is incomplete. Debian and Ubuntu: sudo apt-get install python3-venv")
        say("Installing python3-venv…")
        run([apt, "update", "-qq"], quiet=True)
        if not run([apt, "install", "-y", "-qq", "python3-venv"], quiet=True):
            sys.exit("apt-get could not install python3-venv; install it and try again.")
    if not run([sys.executable, "-m", "venv", "--clear", str(VENV)]):
        sys.exit(f"{VENV} could not be made; is there space, and may this user write here?")
    return str(python)


def install(python: str, lock: Path) -> None:
    """By uv, which takes seconds; by pip where uv is not to be had."""
    ours = ["--no-deps"]
    for project in PROJECTS:
        ours += ["-e", str(project)]
    wanted = (["--require-hashes", "-r", str(lock)], ours)
    pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    uv = [python, "-m", "uv", "pip", "install", "-q", "--python", python, "--link-mode", "copy"]
    say("Installing packages…")
    if run([*pip, "uv"], quiet=True) and all(run([*uv, *what], quiet=True) for what in wanted):
        return
    if not all(run([*pip, *what]) for what in wanted):
        sys.exit("Packages could not be installed; the lines above say why.")


def install_browser() -> None:
    """Debian's Chromium for the console's tests, where this user may; without it they are skipped, and say so."""
    apt = shutil.which("apt-get")
    if shutil.which("chromium") or not apt or os.geteuid() != 0:
        return
    say("Installing Chromium for the console's tests…")
    if not run([apt, "install", "-y", "-qq", "--no-install-recommends", "chromium"], quiet=True):
        run([apt, "update", "-qq"], quiet=True)
        run([apt, "install", "-y", "-qq", "--no-install-recommends", "chromium"], quiet=True)


def run(command: list[str], *, quiet: bool = False) -> bool:
    output = subprocess.DEVNULL if quiet else None
    environment = dict(os.environ)
    if not os.access(environment.get("HOME", "/nonexistent"), os.W_OK):
        environment["UV_CACHE_DIR"] = str(VENV / ".cache")
    environment |= {"UV_PYTHON_DOWNLOADS": "never", "UV_SYSTEM_CERTS": "true"}
    return subprocess.run(command, stdout=output, stderr=output, env=environment, check=False).returncode == 0


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
