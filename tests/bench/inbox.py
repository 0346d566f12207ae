"""The receiver as the bench sees it: built, started, and asked what came."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import trustme

from .processes import Process
from .receiver import address
from .tally import CAPACITY, Tally

SOURCE = Path(__file__).with_name("receiver.c")
HOSTS = 500  # addresses that it listens at
SETTLE = 0.1  # seconds without a request after which none are expected any more


@dataclass(frozen=True, slots=True)
class Built:
    """A receiver, ready to start. `kind` says which program it is."""

    directory: Path
    command: tuple[str, ...]
    certificate: Path
    key: Path
    kind: str


class Inbox:
    """A receiver process."""

    def __init__(self, process: Process, tally: Tally, kind: str) -> None:
        self.process = process
        self.tally = tally
        self.kind = kind
        self._port, self._tls_port = map(int, process.said.split())

    @classmethod
    async def start(cls, built: Built, tally_name: str, *, capacity: int = CAPACITY) -> Inbox:
        """Starts the receiver on a tally of its own."""
        memory = Path("/dev/shm")
        # In memory where that can be, so that the tally stays clear of the disk that is measured.
        path = (memory if memory.is_dir() else built.directory) / tally_name
        tally = Tally(path, capacity, make=True)
        try:
            process = await Process.start(
                *built.command, str(path), str(capacity), str(HOSTS), str(built.certificate), str(built.key),
                ready=r"^(\d+ \d+)\n", output=built.directory / "receiver.log", environment=os.environ,
            )  # fmt: skip
        finally:
            path.unlink()
        return cls(process, tally, built.kind)

    async def stop(self) -> None:
        await self.process.stop()

    def url(self, host: int = 0, path: str = "/hook", *, tls: bool = False) -> str:
        """A host's address; `path` decides how it answers, see receiver.c."""
        return (
            f"https://{address(host)}:{self._tls_port}{path}" if tls else f"http://{address(host)}:{self._port}{path}"
        )

    async def wait_for(self, mark: int, numbers: range, expected: int, patience: float) -> None:
        """Until `expected` different deliveries of these numbers were answered 200, and nothing came for SETTLE.

        Gives up after `patience` seconds in which nothing new came.
        """
        seen: set[int] = set()
        read, changed = mark, time.monotonic()
        while True:
            now = self.tally.count
            if now > read:
                seen.update(a.identity for a in self.tally.since(read) if a.number in numbers and a.status == 200)
                read, changed = now, time.monotonic()
            quiet = time.monotonic() - changed
            if quiet > patience or (len(seen) >= expected and quiet >= SETTLE):
                return
            await asyncio.sleep(0.01)


def build(directory: Path, *, compiled: bool = True) -> Built:
    """Makes a test CA (`ca.pem`), a certificate of all hosts, and the receiver: in C if asked and possible."""
    authority = trustme.CA()
    leaf = authority.issue_cert(*(address(host) for host in range(HOSTS)))
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    authority.cert_pem.write_to_path(directory / "ca.pem")
    certificate.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    leaf.private_key_pem.write_to_path(key)
    program = _compile(directory / "receiver") if compiled else None
    if program:
        return Built(directory, (str(program),), certificate, key, "C, TLS by OpenSSL")
    return Built(directory, (sys.executable, "-m", "tests.bench.receiver"), certificate, key, "Python")


def _compile(program: Path) -> Path | None:
    """None without a compiler or without OpenSSL's headers."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not compiler:
        return None
    command = [compiler, "-O2", str(SOURCE), "-o", str(program), "-lssl", "-lcrypto"]
    return None if subprocess.run(command, capture_output=True, check=False).returncode else program
