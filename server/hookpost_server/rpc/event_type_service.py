"""hookpost.v1.EventTypeService."""

from __future__ import annotations

from typing import Any

from hookpost.v1 import event_type_pb2, event_type_service_pb2, event_type_service_pb2_grpc

from ..domain import errors, event, event_type
from ..domain.event_type import EventType
from ..domain.webhook import check_text
from ..store.event_types import EventTypes
from . import convert, fields, paging
from .context import Context


class EventTypeService(event_type_service_pb2_grpc.EventTypeServiceServicer):
    """The comments in event_type_service.proto say what each call promises."""

    def __init__(self, event_types: EventTypes) -> None:
        self._event_types = event_types

    async def CreateEventType(
        self, request: event_type_service_pb2.CreateEventTypeRequest, context: Context
    ) -> event_type_service_pb2.CreateEventTypeResponse:
        message = request.event_type
        given = EventType(name=message.name, **_given(message, convert.EVENT_TYPE_SETTABLE))
        event_type.check(given)
        created = await self._event_types.create(given)
        return event_type_service_pb2.CreateEventTypeResponse(event_type=convert.event_type(created))

    async def GetEventType(
        self, request: event_type_service_pb2.GetEventTypeRequest, context: Context
    ) -> event_type_service_pb2.GetEventTypeResponse:
        found = await self._event_types.get(_name(request.name))
        return event_type_service_pb2.GetEventTypeResponse(event_type=convert.event_type(found))

    async def ListEventTypes(
        self, request: event_type_service_pb2.ListEventTypesRequest, context: Context
    ) -> event_type_service_pb2.ListEventTypesResponse:
        with fields.Faults() as faults:
            size = faults.read(0, paging.size, request)
            after = faults.read("", paging.name_position, request)
            faults.note("group", check_text(request.group, event_type.MAX_GROUP))
        found = await self._event_types.list(after=after, group=request.group, limit=size + 1)
        page = paging.fitting(convert.event_type(each) for each in found[:size])
        return event_type_service_pb2.ListEventTypesResponse(
            event_types=page,
            next_page_token=paging.token(request, page[-1].name.encode()) if len(found) > len(page) else "",
        )

    async def UpdateEventType(
        self, request: event_type_service_pb2.UpdateEventTypeRequest, context: Context
    ) -> event_type_service_pb2.UpdateEventTypeResponse:
        message = request.event_type
        with fields.Faults() as faults:
            name = faults.read("", _name, message.name, "event_type.name")
            names = faults.read([], fields.mask, request.update_mask, message, convert.EVENT_TYPE_SETTABLE)
        changed = await self._event_types.update(name, _given(message, names), message.etag)
        return event_type_service_pb2.UpdateEventTypeResponse(event_type=convert.event_type(changed))

    async def DeleteEventType(
        self, request: event_type_service_pb2.DeleteEventTypeRequest, context: Context
    ) -> event_type_service_pb2.DeleteEventTypeResponse:
        await self._event_types.delete(_name(request.name), request.etag)
        return event_type_service_pb2.DeleteEventTypeResponse()


def _given(message: event_type_pb2.EventType, names: Any) -> dict[str, Any]:
    given = {name: getattr(message, name) for name in names}
    if given.get("group") == "":
        given["group"] = message.name.split(".", 1)[0][: event_type.MAX_GROUP]
    if given.get("example") == "":
        given["example"] = "{}"
    return given


def _name(name: str, field: str = "name") -> str:
    if fault := event.check_type(name):
        raise errors.InvalidFields.one(field, fault if name else "is required")
    return name
