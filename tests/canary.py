"""E8 in every test: secrets with a mark, which is looked for wherever no secret has any business to be.

What is random is marked where it is made (`marking/sitecustomize.py`), in the processes that tests start too; the fixed
keys of the tests have the mark by their spelling. Values of headers whose names sound like secrets can't be: those that
were sealed in this process are looked for as they are. What a test logged and printed is looked through at its end, and
the logs of the processes it started; a database before it is dropped or emptied.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Generator, Iterable
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from hookpost_server.domain import headers, sealing
from hookpost_server.domain.sealing import KeyRing
from tests.marking import sitecustomize
from tests.marking.sitecustomize import MARK, TEXT

SHORTEST = 12  # characters of a header's value; shorter ones would be found by chance
MOST = 100  # values of headers, the newest

os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(Path(sitecustomize.__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
)
values: dict[str, None] = {}  # of headers, in the order in which they came
_seal = KeyRing.seal


def _noting(self: KeyRing, plain: bytes, tenant_id: str, webhook_id: UUID, what: str) -> bytes:
    if what == sealing.HEADERS:
        try:
            given = json.loads(plain)
        except ValueError:  # a test's own, which is not to be read
            given = {}
        for name, value in given.items():
            if headers.is_secret(name) and len(value) >= SHORTEST:
                values[value] = None
        for value in list(values)[:-MOST]:
            del values[value]
    return _seal(self, plain, tenant_id, webhook_id, what)


KeyRing.seal = _noting  # type: ignore[method-assign]


def needles() -> list[str]:
    """What must not be found: the mark as bytes are printed, and the values, also as JSON spells them."""
    return [
        TEXT,
        MARK.hex(),
        repr(MARK)[2:-1],
        *{form for value in values for form in (value, json.dumps(value)[1:-1])},
    ]


def found(text: str) -> list[str]:
    return [needle for needle in needles() if needle in text]


TABLES = """
    select quote_ident(relname) as name, quote_literal(relname) as literal
    from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'
"""


async def search(url: str) -> None:
    """Looks through every column of every table. Fails with the names of the tables that have a secret in plain."""
    forms = [form for needle in needles() for form in (needle, needle.encode().hex(), _base64(needle))]
    patterns = [f"%{_as_printed(form)}%" for form in forms]
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch(TABLES)
        looks = [f"(select {literal} from {name} t where t::text like any($1) limit 1)" for name, literal in tables]
        leaks = [row[0] for row in await connection.fetch(" union all ".join(looks), patterns)] if looks else []
    finally:
        await connection.close()
    assert not leaks, f"a secret lies in plain in {', '.join(leaks)}"


def _as_printed(form: str) -> str:
    """In a row's text, with anything for those that a row, or a pattern, spells in another way."""
    return re.sub(r'["\\]', "%", form).replace("_", r"\_")


def _base64(text: str) -> str:
    """What of it is the same wherever it ends."""
    return base64.b64encode(text.encode()).decode().rstrip("=")[:-1]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fails a test whose output, or whose processes' logs, have a secret in them. `reveals` says that they may."""
    report = yield
    if call.when == "teardown" and report.passed and not item.get_closest_marker("reveals"):
        telling = [(where, text) for where, text in _said(item, report) if found(text)]
        if lines := [f"{where}: {line}" for where, text in telling for line in text.splitlines() if found(line)]:
            report.outcome = "failed"
            report.longrepr = "a secret was told:\n" + "\n".join(lines)
    return report


def _said(item: pytest.Item, report: pytest.TestReport) -> Iterable[tuple[str, str]]:
    yield from report.sections
    directory = getattr(item, "funcargs", {}).get("tmp_path")
    if directory is not None:
        for path in directory.rglob("*.log"):
            yield path.name, path.read_text(errors="replace")
