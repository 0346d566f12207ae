"""A database that crashes, hangs, is full, or loses its answers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import grpc

from hookpost.v1 import delivery_service_pb2
from tests.rpc.serving import eventually

from .experiment import NotHere, experiment
from .postgres import Postgres
from .stage import TENANT, Stage

EMIT = b"User.Created"  # bytes that of all statements only the one that stores events has
MOST_CONNECTIONS = 20
DISK = 160  # MiB


@experiment("R3", "PostgreSQL crashes and restarts", rounds=10, postgres={})
async def crashed(stage: Stage, rounds: int) -> None:
    """No connection is closed in order, recovery follows; the server stays and finds it again."""
    postgres = stage.postgres
    assert postgres
    node = await stage.cluster.start()
    await stage.subscribe(node)
    await stage.produce(node)
    for _ in range(rounds):
        await stage.acknowledged(20)
        await postgres.crash()
        stage.url = await postgres.start()
        stage.database.aim(stage.url)
        await stage.recovered(time.time(), stage.acknowledged)
    stays(stage, node.ended)


def stays(stage: Stage, ended: bool) -> None:
    if ended:
        stage.finding.faults.append("the server ended")


@experiment("R4", "every backend terminated", rounds=10)
async def terminated(stage: Stage, rounds: int) -> None:
    node = await stage.start()
    await stage.subscribe(node)
    await stage.produce(node)
    async with stage.sql() as connection:
        for _ in range(rounds):
            await stage.acknowledged(20)
            await connection.execute(TERMINATE)
            await stage.recovered(time.time(), stage.acknowledged)
    stays(stage, node.ended)


TERMINATE = """
    select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and application_name = 'hookpost'
"""


@experiment("R5", "database link stalls for 5 s", rounds=3)
async def stalled(stage: Stage, rounds: int) -> None:
    await link_stalls(stage, rounds, 5)


@experiment("R5", "database link stalls for 35 s", rounds=1, seconds=120)
async def stalled_for_long(stage: Stage, rounds: int) -> None:
    """Longer than any statement may take."""
    await link_stalls(stage, rounds, 35)


async def link_stalls(stage: Stage, rounds: int, seconds: float) -> None:
    node = await stage.cluster.start()
    await stage.subscribe(node)
    await stage.produce(node, deadline=2.0)
    for _ in range(rounds):
        await stage.acknowledged(20)
        stage.database.stall()
        await asyncio.sleep(seconds)
        stage.database.flow()
        await stage.recovered(time.time(), stage.acknowledged)
    if stage.finding.slowest_call > 3:
        stage.finding.faults.append(f"a call with a deadline of 2 s took {stage.finding.slowest_call:.1f} s")
    stays(stage, node.ended)
    async with stage.client(node) as client:
        request = delivery_service_pb2.ListDeliveriesRequest(tenant_id=TENANT, page_size=1)
        await asyncio.gather(*(client.deliveries.ListDeliveries(request, timeout=10) for _ in range(40)))


@experiment("R6", "emit committed, reply cut", rounds=200, seconds=5)
async def emit_reply_cut(stage: Stage, rounds: int) -> None:
    await cut_again_and_again(stage, rounds, swallow=EMIT)


@experiment("R6", "emit cut before it arrives", rounds=50, seconds=5)
async def emit_cut(stage: Stage, rounds: int) -> None:
    await cut_again_and_again(stage, rounds, drop=EMIT)


@experiment("R6", "atomic batch committed, reply cut", rounds=50, seconds=5)
async def batch_reply_cut(stage: Stage, rounds: int) -> None:
    await cut_again_and_again(stage, rounds, batch=3, swallow=b"COMMIT;", swallow_after=EMIT)


@experiment("R7", "outcomes committed, reply cut", rounds=200, quick=5, seconds=5)
async def outcome_reply_cut(stage: Stage, rounds: int) -> None:
    await cut_again_and_again(stage, rounds, swallow=b"COMMIT;", swallow_after=stage.receiver_url.encode())


@experiment("R7", "outcomes cut before their commit", rounds=50, quick=3, seconds=5)
async def outcome_cut(stage: Stage, rounds: int) -> None:
    await cut_again_and_again(stage, rounds, drop=stage.receiver_url.encode())


async def cut_again_and_again(stage: Stage, rounds: int, *, batch: int = 0, **faults: bytes) -> None:
    """Nothing is made twice, nothing is lost, and no POST is repeated: what was cut is found or done again."""
    node = await stage.cluster.start()
    await stage.subscribe(node)
    await stage.produce(node, batch=batch)
    proxy = stage.database
    async with stage.sql() as connection:
        for turn in range(1, rounds + 1):
            attempts = await connection.fetchval("select count(*) from attempts")
            vars(proxy).update(faults)

            async def cut(turn: int = turn) -> bool | None:
                return True if proxy.lost == turn else None

            async def went_on(attempts: int = attempts) -> bool | None:
                return await connection.fetchval("select count(*) > $1 from attempts", attempts) or None

            # In between an event must come through and an outcome be recorded: the next cut hits something new.
            await eventually(cut, 60)
            await stage.acknowledged()
            await eventually(went_on, 60)
    stays(stage, node.ended)


@experiment("R16", "a stranger takes all connections", rounds=3, postgres={"max_connections": str(MOST_CONNECTIONS)})
async def crowded(stage: Stage, rounds: int) -> None:
    node = await stage.cluster.start()
    await stage.subscribe(node)
    await stage.produce(node)
    for _ in range(rounds):
        await stage.acknowledged(20)
        async with contextlib.AsyncExitStack() as crowd:
            strangers: list[asyncpg.Connection] = []
            sessions = 1
            while sessions or len(strangers) < MOST_CONNECTIONS // 2:
                with contextlib.suppress(asyncpg.TooManyConnectionsError):
                    strangers.append(await asyncpg.connect(stage.url))
                    crowd.push_async_callback(strangers[-1].close)
                sessions = await strangers[0].fetchval(f"select count(*) from ({TERMINATE}) ended")
            before = stage.database.accepted
            await asyncio.sleep(3)
            tried = round((stage.database.accepted - before) / 3, 1)
            stage.finding.notes["connections tried, 1/s"] = max(
                tried, stage.finding.notes.get("connections tried, 1/s", 0)
            )
        await stage.recovered(time.time(), stage.acknowledged)
    stays(stage, node.ended)


@experiment("R17", "500 calls at once on a slow database", rounds=3, seconds=60)
async def burst(stage: Stage, rounds: int) -> None:
    """Each is answered or refused in time, and deliveries go on meanwhile."""
    node = await stage.cluster.start()
    await stage.subscribe(node)
    await stage.produce(node, rate=10)
    answers: Counter[str] = Counter()
    slowest = 0.0

    async with stage.client(node) as client:

        async def call() -> None:
            nonlocal slowest
            began = time.monotonic()
            try:
                request = delivery_service_pb2.ListDeliveriesRequest(tenant_id=TENANT, page_size=10)
                await client.deliveries.ListDeliveries(request, timeout=30)
                answers["OK"] += 1
            except grpc.aio.AioRpcError as error:
                answers[error.code().name] += 1
            slowest = max(slowest, time.monotonic() - began)

        for _ in range(rounds):
            await stage.acknowledged(5)
            stage.database.latency = 0.05
            before, began = len(stage.posts.all()), time.monotonic()
            await asyncio.gather(*(call() for _ in range(500)))
            posts, took = len(stage.posts.all()) - before, time.monotonic() - began
            stage.finding.notes["POSTs meanwhile, 1/s"] = round(posts / took, 1)
            if not posts and took > 2:
                stage.finding.faults.append(f"no POST in {took:.1f} s of the burst")
            stage.database.latency = 0.0
            await stage.recovered(time.time())
    stage.finding.notes |= {"answers": dict(answers), "slowest answer, s": round(slowest, 2)}
    if wrong := answers.keys() - {"OK", "UNAVAILABLE", "RESOURCE_EXHAUSTED"}:
        stage.finding.faults.append(f"calls ended with {sorted(wrong)}")
    stays(stage, node.ended)


@contextlib.contextmanager
def small_disk(directory: Path) -> Iterator[None]:
    """A file system of its own in `directory`."""
    if os.geteuid() or not shutil.which("mount"):
        raise NotHere("needs root, to mount a small file system")
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}m,mode=755", "tmpfs", str(directory)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        raise NotHere("needs the right to mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


@experiment("R18", "disk full, then room again", rounds=3, seconds=60)
async def disk_full(stage: Stage, rounds: int) -> None:
    """No acknowledgement without a place for it. A PostgreSQL that gave up is started again by whoever runs it."""
    disk = stage.directory / "disk"
    settings = {"min_wal_size": "32MB", "max_wal_size": "48MB", "shared_buffers": "16MB"}
    with small_disk(disk):
        async with Postgres(disk / "postgres", settings) as postgres:
            stage.url = postgres.url
            stage.database.aim(postgres.url)
            stage.cluster.url = stage.database.url
            node = await stage.cluster.start()
            await stage.subscribe(node)
            await stage.produce(node, deadline=3.0)
            for _ in range(rounds):
                await stage.acknowledged(20)
                fill(disk / "ballast")
                await silence(stage)
                (disk / "ballast").unlink()
                since = time.time()
                if not postgres.alive:
                    stage.finding.notes["PostgreSQL gave up"] = stage.finding.notes.get("PostgreSQL gave up", 0) + 1
                    await postgres.stop()
                    stage.url = await postgres.start()
                    stage.database.aim(stage.url)
                await stage.recovered(since, stage.acknowledged)
            stays(stage, node.ended)
            await stage.settle()


def fill(ballast: Path) -> None:
    """Takes what is left, to the last page."""
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(2**16))
    with ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(2**12))


async def silence(stage: Stage) -> None:
    """Until nothing was acknowledged for 2 s."""
    count, since = -1, time.monotonic()

    async def silent() -> bool | None:
        nonlocal count, since
        if (now := len(stage.acks.all())) != count:
            count, since = now, time.monotonic()
        return True if time.monotonic() - since > 2 else None

    await eventually(silent, 40)
