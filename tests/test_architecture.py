"""The import rule of the house, and a few habits that keep it readable. See server/README.md.

domain ← store ← {rpc, delivery, console, monitoring} ← app ← cli; actions stand between the store and the edges, but
neither delivery nor monitoring; config knows the domain, telemetry, failpoints and embedded know nobody.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SERVER = Path(__file__).parents[1] / "server" / "hookpost_server"
MOST_LINES = 300

# What each part may import of the server's other parts. One that is missing here may be imported by app only.
MAY_IMPORT = {
    "__init__": set(),
    "domain": set(),
    "values": {"domain", "failpoints"},
    "config": {"domain", "failpoints", "values"},
    "telemetry": set(),
    "failpoints": set(),
    "embedded": set(),
    "store": {"domain", "failpoints"},
    "actions": {"domain", "store"},
    "rpc": {"domain", "store", "actions"},
    "delivery": {"domain", "store", "failpoints", "telemetry"},
    "console": {"domain", "store", "actions"},
    "monitoring": {"domain", "store"},
    "upkeep": {"domain", "store"},
    "engine": {"domain", "config", "store", "delivery", "monitoring"},
    "readings": {"config", "engine", "store", "monitoring"},
    "listening": {"config", "startup", "store"},
    "startup": {"domain", "config", "embedded", "store", "delivery", "monitoring"},
    "master_keys": {"domain", "config", "startup", "store"},
    "app": {
        *("domain", "config", "telemetry", "startup", "store", "actions", "rpc", "delivery", "console", "monitoring"),
        *("engine", "failpoints", "listening", "master_keys", "upkeep", "readings"),
    },
    "operators": {"domain", "config", "startup", "store"},
    "supervisor": {"config", "telemetry", "startup", "listening", "master_keys", "app"},
    "cli": {"domain", "config", "telemetry", "startup", "listening", "master_keys", "app", "operators", "supervisor"},
}
# Who may import these packages. The generated API is known to the edge that speaks it and to the command line.
ONLY_IN = {
    "hookpost": {"rpc", "cli"},
    "grpc": {"rpc", "cli"},
    "grpc_health": {"rpc", "cli"},
    "grpc_reflection": {"rpc", "cli"},
    "grpc_status": {"rpc", "cli"},
    "google": {"rpc", "cli"},
    "aiohttp": {"delivery", "console", "monitoring", "cli"},
    "asyncpg": {"store", "delivery", "monitoring", "upkeep", "startup", "embedded"},
    "prometheus_client": {"monitoring"},
    "opentelemetry": {"monitoring"},
    "cryptography": {"domain"},
    "jinja2": {"console"},
    "jsonschema_rs": {"domain"},
    "yarl": {"domain", "delivery"},
    "httptools": {"delivery"},
    "aiohappyeyeballs": {"delivery"},
    "orjson": {"telemetry"},
    "click": {"cli"},
}
LONG_FOR_A_REASON: dict[str, str] = {
    "domain/errors.py": "one tree, drawn above its classes: parted, nobody would see whether the two agree",
}

Module = tuple[str, str]  # path below SERVER, source


def modules() -> list[Module]:
    return [(path.relative_to(SERVER).as_posix(), path.read_text()) for path in sorted(SERVER.rglob("*.py"))]


def part_of(path: str) -> str:
    return path.split("/", 1)[0].removesuffix(".py")


def imports(path: str, source: str) -> Iterator[tuple[int, str]]:
    """(line, absolute dotted name) of every import, those inside functions and for type checking included."""
    package = ["hookpost_server", *path.split("/")[:-1]]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base += node.module.split(".") if node.module else []
            yield from ((node.lineno, ".".join([*base, alias.name])) for alias in node.names)


def forbidden_imports(path: str, source: str) -> list[str]:
    part = part_of(path)
    found = []
    for line, name in imports(path, source):
        top, _, rest = name.partition(".")
        target = rest.partition(".")[0]
        if top == "hookpost_server":
            wrong = target not in MAY_IMPORT.get(part, set()) | {part, "__version__"}
        else:
            wrong = top in ONLY_IN and part not in ONLY_IN[top]
        if wrong:
            found.append(f"{path}:{line} imports {name}")
    return found


def awaits(path: str, source: str) -> list[str]:
    """Where a part that must be pure waits for something."""
    waiting = (ast.Await, ast.AsyncFor, ast.AsyncFunctionDef, ast.AsyncWith)
    return [
        f"{path}:{node.lineno} waits"
        for node in ast.walk(ast.parse(source))
        if part_of(path) == "domain" and isinstance(node, waiting)
    ]


def tasks_without_owner(path: str, source: str) -> list[str]:
    """Tasks made otherwise than by a TaskGroup of the same file: nobody would see them fail."""
    tree = ast.parse(source)
    groups = {
        ast.unparse(item.optional_vars)
        for node in ast.walk(tree)
        if isinstance(node, ast.AsyncWith)
        for item in node.items
        if item.optional_vars is not None and ast.unparse(item.context_expr) == "asyncio.TaskGroup()"
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "asyncio":
            names = {alias.name for alias in node.names} & {"create_task", "ensure_future"}
            found += [f"{path}:{node.lineno} imports {name}" for name in sorted(names)]
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        owner, verb = ast.unparse(node.func.value), node.func.attr
        if verb == "ensure_future" or (verb == "create_task" and owner not in groups):
            found.append(f"{path}:{node.lineno} {owner}.{verb}(…)")
    return found


def too_long(path: str, source: str) -> list[str]:
    lines = source.count("\n")
    return [f"{path} has {lines} lines"] if lines > MOST_LINES and path not in LONG_FOR_A_REASON else []


def undocumented(path: str, source: str) -> list[str]:
    private = any(name.startswith("_") and name != "__init__.py" for name in path.split("/"))
    return [] if private or ast.get_docstring(ast.parse(source)) else [f"{path} has no docstring"]


RULES = {
    forbidden_imports: "imports go one way: domain ← store ← {rpc, delivery, console, monitoring} ← app ← cli",
    awaits: "the domain is pure: no await; time, chance and data come in as arguments",
    tasks_without_owner: "every task belongs to a TaskGroup",
    too_long: f"a file of more than {MOST_LINES} lines does too much, or has an excuse in LONG_FOR_A_REASON",
    undocumented: "every public module says what it is for",
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_is_in_order(rule) -> None:
    found = [fault for path, source in modules() for fault in rule(path, source)]
    assert not found, f"{RULES[rule]} (see server/README.md):\n  " + "\n  ".join(found)


def test_every_part_has_its_place() -> None:
    unknown = {part_of(path) for path, _ in modules()} - MAY_IMPORT.keys()
    assert not unknown, f"say in MAY_IMPORT what {sorted(unknown)} may import (see server/README.md)"


def test_no_excuse_is_out_of_date() -> None:
    lines = {path: source.count("\n") for path, source in modules()}
    assert [path for path in LONG_FOR_A_REASON if lines.get(path, 0) <= MOST_LINES] == []


@pytest.mark.parametrize(
    ("rule", "path", "source"),
    [
        (forbidden_imports, "domain/event.py", "import grpc"),
        (forbidden_imports, "domain/event.py", "from asyncpg import connect"),
        (forbidden_imports, "domain/event.py", "from hookpost.v1 import event_pb2"),
        (forbidden_imports, "domain/catalogue/types.py", "from ...store import events"),
        (forbidden_imports, "domain/event.py", "def f():\n    from ..config import Config"),
        (forbidden_imports, "store/events.py", "from ..rpc import convert"),
        (forbidden_imports, "store/events.py", "from .. import delivery"),
        (forbidden_imports, "store/events.py", "import aiohttp"),
        (forbidden_imports, "store/events.py", "from ..actions import dry_run"),
        (forbidden_imports, "store/event_types.py", "import jsonschema_rs"),
        (forbidden_imports, "domain/schema.py", "from ..actions import dry_run"),
        (forbidden_imports, "actions/testing.py", "from ..delivery.sender import Sender"),
        (forbidden_imports, "actions/testing.py", "from ..rpc import convert"),
        (forbidden_imports, "actions/testing.py", "import asyncpg"),
        (forbidden_imports, "delivery/courier.py", "from ..actions.sent import SentRequests"),
        (forbidden_imports, "rpc/server.py", "from ..delivery.sender import Sender"),
        (forbidden_imports, "rpc/server.py", "from ..config import Address"),
        (forbidden_imports, "delivery/sender.py", "import hookpost_server.rpc.convert"),
        (forbidden_imports, "delivery/sender.py", "from hookpost import v1"),
        (forbidden_imports, "console/pages.py", "from ..rpc import convert"),
        (forbidden_imports, "config.py", "from .store import database"),
        (forbidden_imports, "telemetry.py", "from .store import database"),
        (forbidden_imports, "cli/emit.py", "from hookpost_server.store.events import Events"),
        (forbidden_imports, "upkeep.py", "from .delivery import sender"),
        (forbidden_imports, "newcomer/thing.py", "from ..domain import errors"),
        (awaits, "domain/event.py", "async def f(): ..."),
        (tasks_without_owner, "rpc/server.py", "asyncio.create_task(f())"),
        (tasks_without_owner, "rpc/server.py", "asyncio.get_running_loop().create_task(f())"),
        (tasks_without_owner, "rpc/server.py", "asyncio.ensure_future(f())"),
        (tasks_without_owner, "rpc/server.py", "from asyncio import create_task"),
        (too_long, "rpc/server.py", "pass\n" * 301),
        (undocumented, "rpc/server.py", "pass"),
    ],
)
def test_the_rules_see_what_they_forbid(rule, path: str, source: str) -> None:
    assert rule(path, source)


@pytest.mark.parametrize(
    ("rule", "path", "source"),
    [
        (forbidden_imports, "rpc/server.py", "from ..store.events import Events\nfrom . import convert\nimport grpc"),
        (forbidden_imports, "rpc/server.py", "from ..actions.watching import Watches"),
        (forbidden_imports, "actions/sent.py", "from ..store.events import Events\nfrom ..domain import errors"),
        (forbidden_imports, "domain/schema.py", "import jsonschema_rs\nimport yarl"),
        (forbidden_imports, "app.py", "from . import __version__\nfrom .rpc.server import RpcServer"),
        (awaits, "store/events.py", "async def f(): ..."),
        (tasks_without_owner, "app.py", "async def f():\n async with asyncio.TaskGroup() as g:\n  g.create_task(h())"),
        (tasks_without_owner, "app.py", "async def f():\n async with asyncio.TaskGroup() as self._g: ...\n"
                                        "def h():\n self._g.create_task(i())"),
        (too_long, "rpc/server.py", "pass\n" * 300),
        (undocumented, "rpc/_private.py", "pass"),
    ],
)  # fmt: skip
def test_the_rules_leave_the_rest_alone(rule, path: str, source: str) -> None:
    assert not rule(path, source)
