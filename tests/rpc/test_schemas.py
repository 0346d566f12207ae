"""Payloads are held against their type's schema at the door, when the type asks for it."""

import json
import uuid

import grpc
import pytest
from google.protobuf import field_mask_pb2, struct_pb2

from hookpost.v1 import error_reason_pb2, event_service_pb2, event_type_pb2, event_type_service_pb2
from tests.rpc.serving import Client, config, connected, counts, eventually, refused, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {"n": {"type": "integer"}, "to": {"type": "array", "items": {"type": "string"}}},
        "required": ["n"],
    }
)
GOOD, BAD = '{"n": 1, "to": ["a"]}', '{"to": ["a", 2]}'
OBJECTIONS = ['"n" is a required property', 'to.1: 2 is not of type "string"']


async def create(client: Client, **fields: object) -> str:
    name = f"Schema.T{uuid.uuid4().hex}"
    given = {"json_schema": SCHEMA, "example": GOOD, "enforce_schema": True} | fields
    kind = event_type_pb2.EventType(name=name, **given)
    await client.types.CreateEventType(event_type_service_pb2.CreateEventTypeRequest(event_type=kind))
    return name


async def update(client: Client, name: str, **fields: object) -> None:
    kind = event_type_pb2.EventType(name=name, **fields)
    mask = field_mask_pb2.FieldMask(paths=list(fields))
    await client.types.UpdateEventType(event_type_service_pb2.UpdateEventTypeRequest(event_type=kind, update_mask=mask))


async def test_enforced(client: Client, module_database_url: str) -> None:
    name = await create(client)
    assert (await client.emit(GOOD, type=name)).event_id
    before = await counts(module_database_url, client.tenant)
    told = await refused(client.emit(BAD, type=name))
    assert (told.code, told.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID")
    assert told.violations.keys() == {"json"}
    for objection in OBJECTIONS:
        assert f"does not fit the schema: {objection}" in told.message
    assert await counts(module_database_url, client.tenant) == before


async def test_not_enforced(client: Client) -> None:
    for name in (await create(client, enforce_schema=False), "User.Created"):
        assert (await client.emit(BAD, type=name)).event_id


async def test_as_a_struct_too(client: Client) -> None:
    """Whole numbers are integers there."""
    name = await create(client)
    data = struct_pb2.Struct()
    data["n"] = 3
    assert (await client.emit(type=name, data=data)).event_id
    data["n"] = 3.5
    told = await refused(client.emit(type=name, data=data))
    assert told.violations == {"data": 'does not fit the schema: n: 3.5 is not of type "integer"'}


async def test_in_a_batch_all_or_none(client: Client, module_database_url: str) -> None:
    name = await create(client)
    requests = [client.emit_request(text, type=name) for text in (GOOD, BAD, GOOD, BAD)]
    before = await counts(module_database_url, client.tenant)
    told = await refused(
        client.events.BatchEmitEvents(
            event_service_pb2.BatchEmitEventsRequest(tenant_id=client.tenant, requests=requests)
        )
    )
    assert told.violations.keys() == {"requests[1].json", "requests[3].json"}
    assert await counts(module_database_url, client.tenant) == before


async def test_in_a_stream_one_by_one(client: Client) -> None:
    name = await create(client)
    call = client.events.StreamEmitEvents()
    answers = {}
    for sequence, text in enumerate((GOOD, BAD, GOOD)):
        await call.write(
            event_service_pb2.StreamEmitEventsRequest(sequence=sequence, event=client.emit_request(text, type=name))
        )
        (result,) = (await call.read()).results
        answers[sequence] = result
    await call.done_writing()
    assert answers[0].response.event_id
    assert answers[2].response.event_id
    assert answers[1].error.reason == error_reason_pb2.ERROR_REASON_FIELD_INVALID
    assert OBJECTIONS[0] in answers[1].error.message


async def test_a_number_that_no_schema_can_take(client: Client) -> None:
    """Refused in words, not as a fault of ours."""
    name = await create(client)
    told = await refused(client.emit(f'{{"n": {"1" * 5000}}}', type=name))
    assert "4,300 digits" in told.violations["json"]


async def test_a_duplicate_is_held_against_it_too(client: Client) -> None:
    """The schema of now decides, not that of then."""
    name = await create(client, enforce_schema=False)
    first = await client.emit(BAD, type=name, idempotency_key="k")
    await update(client, name, enforce_schema=True)

    async def refuses() -> str | None:
        try:
            assert (await client.emit(BAD, type=name, idempotency_key="k")).event_id == first.event_id
        except grpc.aio.AioRpcError as error:
            return error.details()
        return None

    assert "does not fit" in await eventually(refuses)


async def test_a_change_is_known_everywhere(client: Client, module_database_url: str) -> None:
    """Within seconds, on the node that took it and on another; both ways."""
    async with serving(config(module_database_url)) as second, connected(second.address) as other:
        name = await create(client, enforce_schema=False)
        for node in (client, other):
            assert (await node.emit(BAD, type=name)).event_id
        for enforce in (True, False):
            await update(client, name, enforce_schema=enforce)
            for node in (client, other):

                async def follows(node: Client = node, enforce: bool = enforce) -> bool | None:
                    try:
                        await node.emit(BAD, type=name)
                    except grpc.aio.AioRpcError as error:
                        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
                        return True if enforce else None
                    return None if enforce else True

                assert await eventually(follows, 5)


async def test_another_schema(client: Client) -> None:
    """An update is held against the example as it will be."""
    name = await create(client)
    told = await refused(update(client, name, json_schema='{"required": ["m"]}'))
    assert told.violations.keys() == {"event_type.example"}
    told = await refused(update(client, name, json_schema=""))
    assert told.violations.keys() == {"event_type.enforce_schema"}
    await update(client, name, json_schema='{"required": ["m"]}', example='{"m": 1}')

    async def taken() -> str | None:
        try:
            return (await client.emit('{"m": 1}', type=name)).event_id
        except grpc.aio.AioRpcError:
            return None

    assert await eventually(taken, 5)
    assert (await refused(client.emit('{"n": 1}', type=name))).violations


def nested(levels: int) -> str:
    """Each level applies the next one twice to the same value: 2^levels steps."""
    defs = {f"l{n}": {"anyOf": [{"$ref": f"#/$defs/l{n + 1}"}] * 2} for n in range(levels)}
    return json.dumps({"$ref": "#/$defs/l0", "$defs": {**defs, f"l{levels}": {"type": "object"}}})


async def test_a_schema_that_could_take_too_long(client: Client) -> None:
    told = await refused(create(client, json_schema=nested(24)))
    assert (told.code, told.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID")
    assert told.violations.keys() == {"event_type.json_schema"}
    assert "could take more than 16 million steps" in told.message
    assert "use fewer alternatives" in told.message
    name = await create(client, json_schema=nested(4))
    told = await refused(update(client, name, json_schema=nested(24)))
    assert told.violations.keys() == {"event_type.json_schema"}
    assert (await client.emit(GOOD, type=name)).event_id


async def test_a_tree_is_no_danger(client: Client) -> None:
    """Its payload breaks eight alternatives at each of sixty levels, and is refused, in words, all the same."""
    ways = [{"properties": {"c": {"$ref": "#"}}, "required": ["c"], "minProperties": n % 2} for n in range(8)]
    deep = '{"c":' * 60 + "{}" + "}" * 60
    name = await create(client, json_schema=json.dumps({"anyOf": [*ways, {"const": {}}]}), example=deep)
    told = await refused(client.emit('{"c":' * 60 + '{"d": 1}' + "}" * 60, type=name))
    assert "does not fit anyOf" in told.violations["json"]
    assert (await client.emit(deep, type=name)).event_id


async def test_a_payload_too_large_for_its_schema(client: Client) -> None:
    many = json.dumps({"properties": {"n": {"anyOf": [{"const": n} for n in range(400)]}}})
    name = await create(client, json_schema=many)
    assert (await client.emit(GOOD, type=name)).event_id
    told = await refused(client.emit('{"n": 1, "text": "%s"}' % ("x" * 9_000), type=name))
    assert "a schema that asks so much of each value is for at most" in told.violations["json"]


async def test_of_a_type_that_is_built_in(client: Client, database_url: str) -> None:
    """Its schema stays; whether it is enforced is the operator's choice, also after a restart."""
    settings = config(database_url)
    async with serving(settings) as server, connected(server.address) as own:
        await update(own, "Role.Created", enforce_schema=True)
    async with serving(settings) as server, connected(server.address) as own:
        told = await refused(own.emit("{}", type="Role.Created"))
        assert "required property" in told.violations["json"]
        kind = await own.types.GetEventType(event_type_service_pb2.GetEventTypeRequest(name="Role.Created"))
        assert (await own.emit(kind.event_type.example, type="Role.Created")).event_id
