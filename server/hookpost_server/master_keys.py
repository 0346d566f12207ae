"""Where the master keys come from: the environment, a file, or the data directory of a development database."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from . import startup
from .config import Config
from .domain import sealing
from .domain.sealing import KeyRing
from .startup import MasterKeyError
from .store.vault import Rewrapped as Rewrapped
from .store.vault import Vault

OWN = "master.key"  # in the data directory
SETTINGS = ("master_key", "master_keys", "master_key_file", "master_keys_file")
MOST_BYTES = 64 * 1024  # of a key file


def key_ring(config: Config) -> KeyRing:
    """The keys that are set; for an embedded database without any, its own. Raises MasterKeyError."""
    given = [name for name in SETTINGS if getattr(config, name)]
    if len(given) > 1:
        raise MasterKeyError(
            f"{' and '.join(map(_variable, given))} are set: the server takes its master keys from one place",
            "keep one of them; HOOKPOST_MASTER_KEYS holds several keys",
        )
    if given:
        return _configured(config, given[0])
    if config.database_url:
        raise MasterKeyError(
            "no master key is set, and secrets are not stored without one",
            "set HOOKPOST_MASTER_KEY to 32 random bytes (openssl rand -base64 32), and keep a copy: without it, "
            "signing keys and header values in the database are lost",
        )
    return _parsed(own_key(config.data_dir).read_text(), str(config.data_dir / OWN))


def handed_on(config: Config, ring: KeyRing) -> Config:
    """For another process: with the keys themselves, wherever they came from."""
    return replace(config, master_key="", master_keys=ring.reveal(), master_key_file="", master_keys_file="")


async def rewrap(config: Config, progress: Callable[[int], None]) -> Rewrapped:
    """As Vault.rewrap, on the database that is set. Raises StartError."""
    async with startup.database_url(config) as (url, _):
        ring = key_ring(config)
        async with startup.unlocked(url, ring) as database:
            with startup.database_errors():
                return await Vault(database, ring).rewrap(progress)


def own_key(data_dir: Path) -> Path:
    """The file with the data directory's own key, made if there is none: for its owner's eyes only.

    Raises MasterKeyError when it can't be made.
    """
    path = data_dir / OWN
    if path.exists():
        return path
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        # Written aside and linked, so that nobody ever reads half of it, and of two that start at once one wins.
        aside = path.with_name(f".{OWN}.{os.getpid()}")
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(sealing.new_key() + "\n")
                file.flush()
                os.fsync(descriptor)
            with contextlib.suppress(FileExistsError):
                os.link(aside, path)
        finally:
            aside.unlink()
    except OSError as error:
        raise MasterKeyError(f"{path} can't be written: {error.strerror}", "choose another --data-dir") from error
    return path


def _configured(config: Config, name: str) -> KeyRing:
    text, source = getattr(config, name), _variable(name)
    if name.endswith("_file"):
        source = f"{source}={text}"
        try:
            with Path(text).open("rb") as file:
                text = file.read(MOST_BYTES).decode()
        except (OSError, UnicodeDecodeError) as error:
            why = (error.strerror or "") if isinstance(error, OSError) else "it is no text"
            raise MasterKeyError(
                f"{source} can't be read: {why}", "name a file with the key as base64 or hex"
            ) from None
    ring = _parsed(text, source)
    if "keys" not in name and len(ring.keys) > 1:
        raise MasterKeyError(f"{source} holds several keys", f"put them into {_variable(name).replace('KEY', 'KEYS')}")
    return ring


def _parsed(text: str, source: str) -> KeyRing:
    try:
        return KeyRing.parse(text)
    except ValueError as error:
        raise MasterKeyError(f"{source}: {error}", "openssl rand -base64 32 makes a good one") from None


def _variable(name: str) -> str:
    return f"HOOKPOST_{name.upper()}"
