"""Servers that die, freeze, hang or are told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from hookpost.v1 import webhook_pb2, webhook_service_pb2
from tests.rpc.serving import eventually

from .cluster import Node
from .experiment import NotHere, experiment
from .stage import TENANT, Stage

IN_FLIGHT = 16  # a webhook's default


async def revive(stage: Stage, node: Node, **settings: str) -> Node:
    """After a server died: another one at its address."""
    await stage.bury()
    since = time.time()
    node = await stage.start(node.address, **settings)
    recovered = asyncio.create_task(stage.recovered(since))
    if "failpoint" in settings:  # it may get there before it has POSTed anything, and nobody knows how long that took
        dead = asyncio.create_task(node.process.wait())
        await asyncio.wait((recovered, dead), return_when=asyncio.FIRST_COMPLETED)
        if not recovered.done():
            recovered.cancel()
            return node
        dead.cancel()
    await recovered
    return node


async def died(stage: Stage, node: Node) -> None:
    """Waits for a server's death by SIGKILL."""
    if (code := await node.end(60)) != -signal.SIGKILL:
        stage.finding.faults.append(f"the server ended with {code}: {node.log.read_text()[-2000:]}")


@experiment("R1", "kill -9 at random", rounds=20, quick=3)
async def killed_at_random(stage: Stage, rounds: int) -> None:
    node = await stage.start()
    await stage.subscribe(node)
    await stage.receiver.tell(fail_one_in=5)
    await stage.produce(node)
    for _ in range(rounds):
        await stage.posted()
        await asyncio.sleep(stage.chance.uniform(0, 1))
        await node.kill()
        node = await revive(stage, node)


@experiment("R1", "kill -9, leases left to lapse", rounds=1, seconds=120)
async def left_to_lapse(stage: Stage, rounds: int) -> None:
    """As in life: what the dead server had claimed waits for the end of its lease."""
    node = await stage.start(lease_margin="1")
    await stage.subscribe(node)
    await stage.produce(node)
    for _ in range(rounds):
        await stage.receiver.tell(hold=True)
        await stage.posted(IN_FLIGHT)
        await node.kill()
        await stage.receiver.tell(hold=False)
        await stage.bury(let_leases_end=False)
        left = await stage.claimed()
        stage.excuse(left)
        since = time.time()
        node = await stage.start(node.address, lease_margin="1")
        await ended(stage, left)
        stage.finding.recoveries.append(time.time() - since)


async def ended(stage: Stage, deliveries: set[str]) -> None:
    """Until none of these is pending."""

    async def none_left() -> bool | None:
        return None if deliveries & await stage.claimed() else True

    await eventually(none_left, 90)


async def rotate(stage: Stage, node: Node, turn: int) -> None:
    """Calls RotateSigningKey under a request id of this turn's."""
    request = webhook_service_pb2.RotateSigningKeyRequest(
        webhook_id=stage.webhooks[0], tenant_id=TENANT, request_id=f"rotation-{turn}"
    )
    request.overlap.FromSeconds(3600)
    async with stage.client(node) as client:
        with contextlib.suppress(grpc.aio.AioRpcError):  # it dies over it
            await client.webhooks.RotateSigningKey(request, timeout=30)


async def told(stage: Stage, node: Node, turn: int) -> None:
    """Tells it to stop while the receiver holds its requests."""
    await stage.receiver.tell(hold=True)
    await stage.posted(IN_FLIGHT)
    node.signal(signal.SIGTERM)
    await node.end(60)
    await stage.receiver.tell(hold=False)


async def received(stage: Stage, node: Node, turn: int) -> None:
    """The receiver, which has all of a request and answers nobody, kills it."""
    await stage.receiver.tell(kill=node.process.pid, kill_after=stage.chance.randint(5, 60))


async def nothing(stage: Stage, node: Node, turn: int) -> None:
    """The load alone leads there."""


@dataclass(frozen=True)
class Place:
    """A failpoint, at which passage of it a server dies, and how it gets there."""

    point: str  # empty: it is killed from outside
    turns: tuple[int, int] = (1, 1)
    provoke: Callable[[Stage, Node, int], Awaitable[None]] = nothing
    settings: Mapping[str, str] = field(default_factory=dict)

    def armed(self, stage: Stage) -> dict[str, str]:
        if not self.point:
            return {}
        return {**self.settings, "failpoint": f"{self.point}:kill@{stage.chance.randint(*self.turns)}"}


# Mostly so late that something was POSTed since the start: that tells how long the recovery took.
PLACES = (
    Place("emit.unsent", (40, 80)),
    Place("emit.uncommitted", (6, 12)),
    Place("emit.committed", (40, 80)),
    Place("claim.committed", (8, 24), settings={"max_handed_off": "0"}),
    Place("attempt.unsent", (2 * IN_FLIGHT + 1, 90)),
    Place("", provoke=received),
    Place("attempt.answered", (10, 60)),
    Place("record.uncommitted", (5, 20)),
    Place("record.committed", (5, 20)),
    Place("rotate.uncommitted", provoke=rotate),
    Place("rotate.committed", provoke=rotate),
    Place("drain.begun", provoke=told),
)


async def killed_at(places: Sequence[Place], stage: Stage, rounds: int) -> None:
    """SIGKILL at one failpoint after the other, `rounds` times."""
    turns = [(place, turn) for turn in range(rounds) for place in places]
    node = await stage.start(**places[0].armed(stage))
    await stage.subscribe(node)
    await stage.produce(node, rate=40)
    await stage.produce(node, rate=5, batch=3)
    for (place, turn), following in itertools.zip_longest(turns, turns[1:]):
        await place.provoke(stage, node, turn)
        await died(stage, node)
        node = await revive(stage, node, **(following[0].armed(stage) if following else {}))
    for turn in range(rounds):
        await rotate(stage, node, turn)
    async with stage.sql() as connection:
        keys = await connection.fetchval("select count(*) from signing_keys where request_id like 'rotation-%'")
    if keys != rounds:
        stage.finding.faults.append(f"{rounds} rotations, each repeated under its request id, made {keys} keys")


for place in PLACES:
    where = f"at {place.point}" if place.point else "when a request has arrived"
    experiment("R2", f"killed {where}", rounds=5)(functools.partial(killed_at, [place]))
experiment("R2", "killed at each failpoint", rounds=1, quick=1, seconds=300)(functools.partial(killed_at, PLACES))


FAN_OUT_LOCK = 4711
STOP_IN_THE_FAN_OUT = f"""
    create sequence rows_of_fan_out;
    create function stop_in_the_fan_out() returns trigger language plpgsql as $$
    begin
        if nextval('rows_of_fan_out') % 5 = 3 then
            perform pg_advisory_lock_shared({FAN_OUT_LOCK}), pg_advisory_unlock_shared({FAN_OUT_LOCK});
        end if;
        return new;
    end $$;
    create trigger stop_in_the_fan_out before insert on deliveries
        for each row execute function stop_in_the_fan_out();
"""


@experiment("R2", "killed in the midst of a fan-out", rounds=6, quick=2)
async def killed_in_the_fan_out(stage: Stage, rounds: int) -> None:
    """A trigger holds the statement at the third of five rows; its session then ends, or goes on and commits alone."""
    node = await stage.start()
    await stage.subscribe(node, 5)
    async with stage.sql() as connection:
        await connection.execute(STOP_IN_THE_FAN_OUT)
        await stage.produce(node)

        async def inside() -> bool | None:
            held = "select exists (select from pg_locks where locktype = 'advisory' and not granted)"
            return await connection.fetchval(held) or None

        for turn in range(rounds):
            await stage.acknowledged()
            await connection.execute(f"select pg_advisory_lock({FAN_OUT_LOCK})")
            await eventually(inside)
            await node.kill()
            if turn % 2:
                await connection.execute(f"select pg_advisory_unlock({FAN_OUT_LOCK})")
                await stage.bury()
            else:
                await stage.bury()
                await connection.execute(f"select pg_advisory_unlock({FAN_OUT_LOCK})")
            node = await revive(stage, node)


@experiment("R8", "SIGSTOP past the lease, two servers", rounds=2, seconds=120)
async def frozen(stage: Stage, rounds: int) -> None:
    """Its requests are answered while it sleeps; when it wakes, its outcomes come too late and change nothing."""
    one, other = await asyncio.gather(stage.start(lease_margin="1"), stage.start(lease_margin="1"))
    await stage.subscribe(one)
    await stage.produce(one, other, deadline=2.0)
    for _ in range(rounds):
        await stage.receiver.tell(hold=True)
        await stage.posted(IN_FLIGHT)
        one.signal(signal.SIGSTOP)
        since = time.time()
        left = await stage.claimed()
        stage.excuse(left)
        await stage.receiver.tell(hold=False)
        await ended(stage, left)
        stage.finding.recoveries.append(time.time() - since)
        one.signal(signal.SIGCONT)
        await stage.acknowledged(20)
    stage.finding.notes["outcomes that came too late"] = one.log.read_text().count('"delivery.superseded"')


@experiment("R9", "event loop blocked for 5 s, two servers", rounds=2)
async def blocked(stage: Stage, rounds: int) -> None:
    """Within the lease: nobody takes anything over."""
    other = await stage.start()
    await stage.subscribe(other)
    for turn in range(rounds):
        one = await stage.start(failpoint="record.committed:sleep(5000)@20")
        await stage.produce(one, other, deadline=2.0, name=f"b{turn}")
        await asyncio.sleep(7)
        await stage.acknowledged(20)
        await one.stop()


@experiment("R14", "SIGTERM under load, slow receiver", rounds=10, quick=1)
async def told_to_stop(stage: Stage, rounds: int) -> None:
    """What is under way ends; what waits is given back at once; nothing comes twice."""
    await stage.receiver.tell(delay=1.0)
    node = await stage.start()
    await stage.subscribe(node)
    await stage.produce(node)

    async def more_are_waiting() -> bool | None:
        return True if len(await stage.claimed()) > 3 * IN_FLIGHT else None

    for _ in range(rounds):
        await eventually(more_are_waiting, 60)
        await stop_in_order(stage, node, 1 + 5)
        since = time.time()
        node = await stage.start(node.address)
        await stage.recovered(since)
    await stage.receiver.tell(delay=0.0)


async def stop_in_order(stage: Stage, node: Node, seconds: float, *, alone: bool = True) -> None:
    """SIGTERM; checks how the server ends, and (if it is `alone`) that nothing waits for a lease of its."""
    began = time.monotonic()
    code = await node.stop(60)
    took = round(time.monotonic() - began, 2)
    stage.finding.notes["slowest stop, s"] = max(took, stage.finding.notes.get("slowest stop, s", 0))
    if code or took > seconds:
        stage.finding.faults.append(f"SIGTERM: exit code {code} after {took} s, {seconds:g} s allowed")
    if alone and (waiting := await stage.claimed() - await stage.due()):
        stage.finding.faults.append(f"{len(waiting)} deliveries wait for the lease of a server that stopped in order")


@contextlib.contextmanager
def dead_name_server(directory: Path) -> Iterator[Sequence[str]]:
    """A name server that never answers; the command that makes a process ask it, and only it."""
    if os.geteuid() or not shutil.which("unshare"):
        raise NotHere("needs root and unshare, to give a process a resolv.conf of its own")
    resolver = directory / "resolv.conf"
    resolver.write_text("nameserver 127.53.53.53\n")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        try:
            silent.bind(("127.53.53.53", 53))
        except OSError as error:
            raise NotHere("needs port 53 on a loopback address") from error
        mounted = f'mount --bind {resolver} /etc/resolv.conf && exec "$@"'
        yield ("unshare", "--mount", "sh", "-c", mounted, "sh")


@experiment("R14", "SIGTERM while names hang", rounds=3)
async def told_to_stop_while_names_hang(stage: Stage, rounds: int) -> None:
    with dead_name_server(stage.directory) as by:
        node = await stage.direct.start(by=by, shutdown_grace="2")
        await stage.subscribe(node, url="http://hangs.example.com")
        await stage.produce(node)
        for turn in range(1, rounds + 1):
            await stage.acknowledged(20)
            await stop_in_order(stage, node, 2 + 5)
            if turn < rounds:
                node = await stage.direct.start(node.address, by=by, shutdown_grace="2")
    node = await stage.start(node.address)
    async with stage.client(node) as client:
        for number, webhook in enumerate(stage.webhooks):
            await client.update(webhook, "url", url=f"{stage.receiver_url}/{number}")
        assert (await client.webhook(stage.webhooks[0])).state == webhook_pb2.WEBHOOK_STATE_ACTIVE


@experiment("R15", "rolling restart of two servers", rounds=3, quick=1)
async def rolling_restart(stage: Stage, rounds: int) -> None:
    """A producer that knows both and repeats has no failure, and no delivery comes twice."""
    nodes = list(await asyncio.gather(stage.start(), stage.start()))
    await stage.subscribe(nodes[0])
    await stage.produce(*nodes)
    for _ in range(rounds):
        for number, node in enumerate(nodes):
            await stage.posted(IN_FLIGHT)
            await stop_in_order(stage, node, 5, alone=False)
            nodes[number] = await stage.start(node.address)


def movable_clock(directory: Path) -> dict[str, str]:
    """The environment of a process whose wall clock can be moved by writing seconds into `offset`."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        raise NotHere("needs Linux and a C compiler, to move the clock of one process")
    library = directory / "clock.so"
    source = Path(__file__).with_name("clock.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source)], check=True)
    (directory / "offset").write_text("0")
    return {"LD_PRELOAD": str(library), "CLOCK_OFFSET_FILE": str(directory / "offset")}


@experiment("R19", "the server's clock jumps by an hour", rounds=4)
async def clock_jumps(stage: Stage, rounds: int) -> None:
    """Forwards and back, with retries waiting: the database's clock decides, so none is early and none is late."""
    clock = movable_clock(stage.directory)
    node = await stage.direct.start(by=["env", *(f"{name}={value}" for name, value in clock.items())])
    await stage.subscribe(node, retry_policy=webhook_pb2.RetryPolicy(delays=[{"seconds": 2}] * 5, jitter=0.0))
    await stage.receiver.tell(fail_one_in=3)
    await stage.produce(node)
    for turn in range(rounds):
        await stage.posted(30)
        (stage.directory / "offset").write_text(("3600", "0", "-3600", "0")[turn % 4])
        await stage.recovered(time.time())
    await stage.posted(30)
    await stage.settle()
    first: dict[str, float] = {}
    waits = []
    for post in stage.posts.all():
        if post.attempt == 1:
            first[post.delivery] = post.time
        elif post.attempt == 2:
            waits.append(post.time - first[post.delivery])
    drift = max(abs(post.timestamp - post.time) for post in stage.posts.all())
    stage.finding.notes["webhook-timestamp off by, s"] = round(drift)
    if drift > 5:
        stage.finding.faults.append(f"webhook-timestamp was off by up to {drift:.0f} s")
    stage.finding.notes["retries after, s"] = [round(min(waits), 2), round(max(waits), 2)]
    if min(waits) < 2 or max(waits) > 60:
        stage.finding.faults.append(f"retries due after 2 s came after {min(waits):.2f} to {max(waits):.2f} s")
