"""EventTypeService: the catalogue, which all tenants share."""

import json
import uuid

import grpc
import pytest
from google.protobuf import field_mask_pb2

from hookpost.v1 import event_type_pb2, event_type_service_pb2
from tests.rpc.serving import Client, refused

pytestmark = pytest.mark.asyncio(loop_scope="module")

BUILT_IN = 31 + 1  # identity events, and Hookpost's own


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"T{uuid.uuid4().hex}.Happened"


async def create(client: Client, name: str, **fields: object) -> event_type_pb2.EventType:
    request = event_type_service_pb2.CreateEventTypeRequest(event_type=event_type_pb2.EventType(name=name, **fields))
    return (await client.types.CreateEventType(request)).event_type


async def get(client: Client, name: str) -> event_type_pb2.EventType:
    return (await client.types.GetEventType(event_type_service_pb2.GetEventTypeRequest(name=name))).event_type


async def update(client: Client, name: str, *paths: str, **fields: object) -> event_type_pb2.EventType:
    request = event_type_service_pb2.UpdateEventTypeRequest(
        event_type=event_type_pb2.EventType(name=name, **fields),
        update_mask=field_mask_pb2.FieldMask(paths=paths) if paths else None,
    )
    return (await client.types.UpdateEventType(request)).event_type


async def delete(client: Client, name: str, etag: str = "") -> None:
    await client.types.DeleteEventType(event_type_service_pb2.DeleteEventTypeRequest(name=name, etag=etag))


async def test_what_comes_along(client: Client) -> None:
    answer = await client.types.ListEventTypes(event_type_service_pb2.ListEventTypesRequest(page_size=1000))
    built_in = [each for each in answer.event_types if each.built_in]
    assert len(built_in) == BUILT_IN
    for each in built_in:
        assert each.group
        assert each.description
        assert isinstance(json.loads(each.json_schema), dict)
        assert isinstance(json.loads(each.example), dict)


async def test_defaults(client: Client, name: str) -> None:
    made = await create(client, name)
    assert (made.group, made.description, made.json_schema, made.example) == (name.split(".")[0], "", "", "{}")
    assert not made.built_in
    assert not made.deprecated
    assert not made.enforce_schema
    assert made.etag
    assert made.create_time == made.update_time
    assert await get(client, name) == made


async def test_every_setting_comes_back(client: Client, name: str) -> None:
    given = {
        "group": "Größen & more",
        "description": "Two\nlines.",
        "json_schema": '{ "type":"object" }',
        "example": '{"a": 1.0}',
        "deprecated": True,
    }
    made = await create(client, name, **given)
    assert {key: getattr(made, key) for key in given} == given
    assert await get(client, name) == made


async def test_a_new_type_can_be_emitted_and_subscribed_to_at_once(client: Client, name: str) -> None:
    await create(client, name)
    await client.create(event_types=[name])
    assert (await client.emit(type=name)).delivery_count == 1


async def test_a_deprecated_type_is_still_accepted(client: Client, name: str) -> None:
    await create(client, name, deprecated=True)
    assert (await client.emit(type=name)).event_id


async def test_a_name_is_taken_once(client: Client, name: str) -> None:
    made = await create(client, name)
    refusal = await refused(create(client, name, description="other"))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.ALREADY_EXISTS, "NAME_TAKEN")
    assert refusal.resource
    assert refusal.resource.resource_name == name
    assert refusal.resource.description == f'there is an event type "{name}" already'
    assert await get(client, name) == made


async def test_an_unknown_type(client: Client, name: str) -> None:
    for call in (get(client, name), update(client, name, deprecated=True), delete(client, name)):
        refusal = await refused(call)
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND")
        assert refusal.resource
        assert (refusal.resource.resource_type, refusal.resource.resource_name) == ("event type", name)


async def test_pages_by_name(client: Client) -> None:
    seen, token, sizes = [], "", []
    while True:
        request = event_type_service_pb2.ListEventTypesRequest(page_size=10, page_token=token)
        page = await client.types.ListEventTypes(request)
        seen += [each.name for each in page.event_types]
        sizes.append(len(page.event_types))
        if not (token := page.next_page_token):
            break
    assert seen == sorted(set(seen))
    assert len(seen) >= BUILT_IN
    assert set(sizes[:-1]) == {10}


async def test_a_group(client: Client, name: str) -> None:
    await create(client, name, group="only this 100%")
    request = event_type_service_pb2.ListEventTypesRequest(group="only this 100%")
    assert [each.name for each in (await client.types.ListEventTypes(request)).event_types] == [name]


async def test_a_page_fits_into_a_message(client: Client, name: str) -> None:
    schema = json.dumps({"description": "x" * 60_000})
    names = [f"{name}.N{n:02}" for n in range(80)]
    for each in names:
        await create(client, each, group=name[:64], json_schema=schema)
    seen, token = [], ""
    while True:
        request = event_type_service_pb2.ListEventTypesRequest(group=name[:64], page_size=1000, page_token=token)
        page = await client.types.ListEventTypes(request)
        seen += [each.name for each in page.event_types]
        if not (token := page.next_page_token):
            break
    assert seen == names


class TestUpdate:
    async def test_named_fields_only(self, client: Client, name: str) -> None:
        made = await create(client, name, description="old", example='{"a":1}')
        after = await update(client, name, "description", description="new", example="{}")
        assert (after.description, after.example) == ("new", '{"a":1}')
        assert after.etag != made.etag
        assert await get(client, name) == after

    async def test_without_a_mask_what_is_set(self, client: Client, name: str) -> None:
        await create(client, name, description="old", example='{"a":1}')
        after = await update(client, name, description="new")
        assert (after.description, after.example) == ("new", '{"a":1}')

    async def test_everything_not_set_is_put_back(self, client: Client, name: str) -> None:
        made = await create(client, name, group="g", description="d", example='{"a":1}', deprecated=True)
        after = await update(client, name, "*", json_schema="{}")
        assert (after.group, after.description, after.example) == (name.split(".")[0], "", "{}")
        assert after.json_schema == "{}"
        assert not after.deprecated
        assert after.create_time == made.create_time

    async def test_etags(self, client: Client, name: str) -> None:
        made = await create(client, name)
        now = await update(client, name, description="new", etag=made.etag)
        refusal = await refused(update(client, name, description="newer", etag=made.etag))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
        assert refusal.metadata == {"etag": now.etag}
        assert await get(client, name) == now

    async def test_a_built_in_type(self, client: Client) -> None:
        before = await get(client, "User.Deleted")
        refusal = await refused(update(client, "User.Deleted", "description", description="mine"))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "EVENT_TYPE_IN_USE")
        assert await get(client, "User.Deleted") == before
        assert (await update(client, "User.Deleted", deprecated=True)).deprecated
        assert not (await update(client, "User.Deleted", "deprecated")).deprecated

    @pytest.mark.parametrize("paths", [(), ("*",)])
    async def test_a_built_in_type_that_is_given_back(self, client: Client, paths: tuple[str, ...]) -> None:
        read = await get(client, "User.Deleted")
        read.deprecated = True
        request = event_type_service_pb2.UpdateEventTypeRequest(
            event_type=read, update_mask=field_mask_pb2.FieldMask(paths=paths)
        )
        assert (await client.types.UpdateEventType(request)).event_type.deprecated
        assert not (await update(client, "User.Deleted", "deprecated")).deprecated

    async def test_all_faults_at_once(self, client: Client, name: str) -> None:
        await create(client, name)
        refusal = await refused(update(client, name, "*", json_schema="[]", example="1", description="a\0b"))
        assert refusal.violations.keys() == {
            "event_type.json_schema", "event_type.example", "event_type.description"
        }  # fmt: skip


class TestDelete:
    async def test_it_is_gone(self, client: Client, name: str) -> None:
        made = await create(client, name)
        await delete(client, name, made.etag)
        assert (await refused(get(client, name))).reason == "RESOURCE_NOT_FOUND"

    async def test_a_stale_etag(self, client: Client, name: str) -> None:
        await create(client, name)
        assert (await refused(delete(client, name, '"9"'))).reason == "ETAG_MISMATCH"
        assert await get(client, name)

    async def test_a_built_in_type(self, client: Client) -> None:
        refusal = await refused(delete(client, "User.Deleted"))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "EVENT_TYPE_IN_USE")
        assert (await get(client, "User.Deleted")).built_in

    async def test_one_that_is_subscribed_to(self, client: Client, name: str) -> None:
        await create(client, name)
        webhook = await client.create(event_types=[name, "*"])
        assert (await refused(delete(client, name))).reason == "EVENT_TYPE_IN_USE"
        await client.update(webhook.id, "event_types", event_types=["*"])
        await delete(client, name)
