"""StreamEmitEvents as the gRPC library holds it: a generator, closed amid the answers when the caller has gone."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest
from grpc import aio

from hookpost.v1 import event_service_pb2
from hookpost_server.actions.waiting import FirstAttempts
from hookpost_server.domain import errors, trace
from hookpost_server.monitoring.metrics import Metrics
from hookpost_server.rpc.event_service import EventService
from hookpost_server.rpc.intake import Intake
from hookpost_server.store.database import Database
from hookpost_server.store.delivery_log import DeliveryLog
from hookpost_server.store.event_types import EventTypes, KnownTypes
from hookpost_server.store.events import Events, Room
from hookpost_server.store.group_commit import GroupCommit
from hookpost_server.store.webhooks import Webhooks
from tests.store.conftest import (  # noqa: F401
    database,
    event_types,
    events,
    open_database,
    shared_database_url,
    webhooks,
)

PATIENCE = 20.0  # seconds until the test gives up


def parts(
    database: Database,  # noqa: F811
    event_types: EventTypes,  # noqa: F811
    events: Events,  # noqa: F811
    webhooks: Webhooks,  # noqa: F811
) -> tuple[GroupCommit, EventService]:
    log = DeliveryLog(database)
    group = GroupCommit(
        events, max_queued=10, room=lambda: Room(0), committed=lambda claims, left: None, unanswered=print
    )
    intake = Intake(KnownTypes(event_types, open_names=True), database.now)
    service = EventService(
        intake, group, events, log, webhooks, event_types, FirstAttempts(log), Metrics(), trace.unrecorded
    )
    return group, service


async def test_closed_amid_the_answers(
    database: Database,  # noqa: F811
    event_types: EventTypes,  # noqa: F811
    events: Events,  # noqa: F811
    webhooks: Webhooks,  # noqa: F811
) -> None:
    """It ends as a generator must, without an error, and takes the task with it that reads."""
    reading, read_on = asyncio.Event(), asyncio.Event()

    async def requests() -> AsyncIterator[event_service_pb2.StreamEmitEventsRequest]:
        event = event_service_pb2.EmitEventRequest(type="User.Created", json="{}")
        yield event_service_pb2.StreamEmitEventsRequest(sequence=1, event=event)
        reading.set()
        try:
            await read_on.wait()
        finally:
            reading.clear()

    group, service = parts(database, event_types, events, webhooks)
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
        tasks.create_task(group.run())
        stream = service.StreamEmitEvents(requests(), cast(aio.ServicerContext, None))
        (answered,) = (await anext(stream)).results
        assert answered.response.event_id
        await reading.wait()
        await stream.aclose()
        assert not reading.is_set()
        group.stop()


async def test_ended_while_its_caller_goes_on_sending(
    database: Database,  # noqa: F811
    event_types: EventTypes,  # noqa: F811
    events: Events,  # noqa: F811
    webhooks: Webhooks,  # noqa: F811
) -> None:
    """What was read is answered, and no more is read, however fast the rest comes."""
    sent = 0

    async def requests() -> AsyncIterator[event_service_pb2.StreamEmitEventsRequest]:
        nonlocal sent
        while True:
            sent += 1
            event = event_service_pb2.EmitEventRequest(type="User.Created", json="{}")
            yield event_service_pb2.StreamEmitEventsRequest(sequence=sent, event=event)
            await asyncio.sleep(0)

    group, service = parts(database, event_types, events, webhooks)
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
        tasks.create_task(group.run())
        stream = service.StreamEmitEvents(requests(), cast(aio.ServicerContext, None))
        await anext(stream)
        service.end_streams()
        read = sent
        answered = 0
        with pytest.raises(errors.ShuttingDown):
            async for answer in stream:
                answered = max(answered, *(result.sequence for result in answer.results), 0)
        assert answered <= read
        group.stop()
