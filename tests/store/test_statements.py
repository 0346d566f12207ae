"""Every SQL constant of every store class fits the migrated schema: names, types, parameters."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re

import asyncpg

from hookpost_server import store
from hookpost_server.store import resumption, signing_keys, vault
from hookpost_server.store.database import BY_KEY


def statements() -> dict[str, str]:
    """All upper-case texts of all classes in `store`, and of the modules of functions there."""
    found = {}
    for module in pkgutil.iter_modules(store.__path__):
        loaded = importlib.import_module(f"{store.__name__}.{module.name}")
        owners = [(name, cls) for name, cls in inspect.getmembers(loaded, inspect.isclass)]
        if loaded in (resumption, signing_keys, vault):
            owners.append((module.name, loaded))
        for class_name, owner in owners:
            if inspect.isclass(owner) and owner.__module__ != loaded.__name__:
                continue
            for name, value in vars(owner).items():
                if re.fullmatch(r"_?[A-Z][A-Z_]*", name) and isinstance(value, str):
                    found[f"{class_name}.{name}"] = value
    return found


async def test_every_statement_is_prepared(sql: asyncpg.Connection) -> None:
    """Names with an underscore are those of fragments: parts of a statement, which is prepared as a whole."""
    found = statements()
    whole = {name: text for name, text in found.items() if "._" not in name}
    assert {
        "signing_keys.IN_FORCE",
        "Events.EMIT",
        "Deliveries.CLAIM",
        "WebhookRegister.LIST",
        "Partitions.UNKNOWN",
    } <= whole.keys()
    faults = {}
    for name, text in whole.items():
        try:
            await sql.prepare(text)
        except asyncpg.PostgresError as error:
            faults[name] = str(error)
    assert faults == {}
    for name in found.keys() - whole.keys():
        assert any(found[name] in text for text in whole.values()), f"{name} is part of no statement"


async def test_the_planner_settings_are_known(sql: asyncpg.Connection) -> None:
    async with sql.transaction():
        await sql.execute(BY_KEY)
        for setting in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin"):
            assert await sql.fetchval(f"show {setting}") == "off"
    assert await sql.fetchval("show enable_seqscan") == "on"
