"""A server that answers emits as `calls.json` says, and notes what it was asked. Every language's client talks to it.

`python -m tests.clients.scripted` serves until its input ends: it prints its port, then a line of JSON with the keys of
each case's calls: `{"Conformance.TwiceAway": ["k1", "k1", "k1"]}`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from hookpost.v1 import event_service_pb2, event_service_pb2_grpc

from .vectors import cases

DOMAIN = "hookpost.v1"


class Scripted(event_service_pb2_grpc.EventServiceServicer):
    """Answers the n-th call of a case with its n-th answer."""

    def __init__(self) -> None:
        self.cases = {case["type"]: case for case in cases("calls")}
        self.keys: dict[str, list[str]] = {}

    async def EmitEvent(self, request: Any, context: Any) -> event_service_pb2.EmitEventResponse:
        case = self.cases[request.type]
        seen = self.keys.setdefault(request.type, [])
        seen.append(request.idempotency_key)
        answer = case["answers"][min(len(seen), len(case["answers"])) - 1]
        if answer != "OK":
            await context.abort_with_status(rpc_status.to_status(_status(answer, case["expect"])))
        return event_service_pb2.EmitEventResponse(event_id="evt_01h455vb4pex5vsknk084sn02q", delivery_count=1)


def _status(code: str, expect: dict[str, Any]) -> status_pb2.Status:
    details: list[Any] = [error_details_pb2.ErrorInfo(reason=expect.get("reason", ""), domain=DOMAIN)]
    if violations := expect.get("violations"):
        bad = error_details_pb2.BadRequest()
        for each in violations:
            bad.field_violations.add(field=each["field"], description=each["description"])
        details.append(bad)
    status = status_pb2.Status(code=grpc.StatusCode[code].value[0], message=f"scripted: {code}")
    for each in details:
        packed = any_pb2.Any()
        packed.Pack(each)
        status.details.append(packed)
    return status


@contextlib.asynccontextmanager
async def scripted() -> AsyncIterator[tuple[Scripted, int]]:
    """The servicer and its port."""
    server, servicer = grpc.aio.server(), Scripted()
    event_service_pb2_grpc.add_EventServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield servicer, port
    finally:
        await server.stop(None)


async def main() -> None:
    async with scripted() as (servicer, port):
        print(port, flush=True)
        await asyncio.to_thread(sys.stdin.read)
        print(json.dumps(servicer.keys), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
