"""The built-in catalogue: names receivers know, schemas that mean something, examples that name nobody."""

import ipaddress
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from hookpost_server.domain import ids
from hookpost_server.domain.catalogue import CatalogueEntry, builtin, operational
from hookpost_server.domain.suspension import EVENT_TYPE, Suspension

NAMES = (
    "PostRegister",
    "PostSignIn",
    "PostSignInAdaptiveMfaTriggered",
    "PostResetPassword",
    "User.Created",
    "User.Deleted",
    "User.Data.Updated",
    "User.SuspensionStatus.Updated",
    "TrustedDevice.Created",
    "TrustedDevice.Deleted",
    "Role.Created",
    "Role.Deleted",
    "Role.Data.Updated",
    "Role.Scopes.Updated",
    "Scope.Created",
    "Scope.Deleted",
    "Scope.Data.Updated",
    "Organization.Created",
    "Organization.Deleted",
    "Organization.Data.Updated",
    "Organization.Membership.Updated",
    "OrganizationRole.Created",
    "OrganizationRole.Deleted",
    "OrganizationRole.Data.Updated",
    "OrganizationRole.Scopes.Updated",
    "OrganizationScope.Created",
    "OrganizationScope.Deleted",
    "OrganizationScope.Data.Updated",
    "Identifier.Lockout",
    "Message.RateLimited",
    "Grant.LimitExceeded",
)
GROUP_OF_PREFIX = {
    "User": "User",
    "TrustedDevice": "Trusted device",
    "Organization": "Organization",
    "Role": "Role",
    "OrganizationRole": "Organization role",
    "Scope": "Permission",
    "OrganizationScope": "Organization permission",
    "PostRegister": "User interaction",
    "PostSignIn": "User interaction",
    "PostSignInAdaptiveMfaTriggered": "User interaction",
    "PostResetPassword": "User interaction",
    "Identifier": "Security",
    "Message": "Security",
    "Grant": "Security",
}
RESERVED = ("event", "createdAt", "hookId")
ENTRIES = {entry.name: entry for entry in builtin()}

INTERACTION = "adaptiveMfaResult interactionEvent sessionId userAgent userId userIp user application"
API_CALL = (
    "userAgent ip application path method status params matchedRoute organizationId addedUserIds removedUserIds data"
)
API_CALL_OF_DELETED_USER = "userAgent ip application data path method status params matchedRoute"
SIGN_IN_STEP = "interactionEvent userAgent applicationId sessionId ip application data type value action recipient"
GRANT = "ip userAgent application userId applicationId revokedGrantIds maxAllowedGrants preRevocationActiveGrantCount"


def example(name: str) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(ENTRIES[name].example)
    return payload


def schema(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(ENTRIES[name].schema)
    return content


def is_valid(name: str, payload: object) -> bool:
    valid: bool = Draft202012Validator(schema(name)).is_valid(payload)
    return valid


def walk(node: object) -> Iterator[tuple[str, object]]:
    """Every (member name, value) inside a JSON value."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield key, value
            yield from walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from walk(value)


def declared(node: dict[str, Any], defs: dict[str, Any]) -> set[str]:
    """The top-level members that a schema describes, through its references."""
    parts = [*node.get("allOf", []), *node.get("anyOf", [])]
    if "$ref" in node:
        parts.append(defs[node["$ref"].removeprefix("#/$defs/")])
    return set(node.get("properties", {})).union(*(declared(part, defs) for part in parts))


every_entry = pytest.mark.parametrize("entry", builtin(), ids=lambda entry: entry.name)


def test_the_31_names_in_order() -> None:
    assert tuple(entry.name for entry in builtin()) == NAMES
    assert len(set(NAMES)) == 31


def test_it_is_read_once() -> None:
    assert builtin() is builtin()


def test_descriptions_are_unique() -> None:
    assert len({entry.description for entry in builtin()}) == len(NAMES)


@every_entry
def test_group_and_description(entry: CatalogueEntry) -> None:
    assert entry.group == GROUP_OF_PREFIX[entry.name.partition(".")[0]]
    assert entry.description == entry.description.strip()
    assert entry.description.endswith(".")
    assert len(re.findall(r"\.(?:\s|$)", entry.description)) <= 2


@every_entry
def test_schema_is_a_schema_that_stands_alone(entry: CatalogueEntry) -> None:
    content = schema(entry.name)
    Draft202012Validator.check_schema(content)
    assert content["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert content["title"] == entry.name
    assert content["type"] == "object"
    used = {target for key, target in walk(content) if key in ("$ref", "$dynamicRef")}
    assert used == {f"#/$defs/{name}" for name in content["$defs"]}, "each definition used, none missing"


@every_entry
def test_example_fits_its_schema(entry: CatalogueEntry) -> None:
    payload = example(entry.name)
    Draft202012Validator(schema(entry.name)).validate(payload)
    assert is_valid(entry.name, payload | {"addedByTheProducer": {"any": "thing"}})
    assert entry.example == json.dumps(payload, ensure_ascii=False, separators=(",", ":"))


@every_entry
def test_every_member_of_an_example_is_described(entry: CatalogueEntry) -> None:
    content = schema(entry.name)
    assert set(example(entry.name)) <= declared(content, content["$defs"])


@every_entry
def test_members_come_in_the_order_receivers_know(entry: CatalogueEntry) -> None:
    members = list(example(entry.name))
    if entry.group == "User interaction":
        order = INTERACTION
    elif entry.name == "User.Deleted":
        order = API_CALL_OF_DELETED_USER
    elif entry.name == "Grant.LimitExceeded":
        order = GRANT
    else:
        order = SIGN_IN_STEP if "interactionEvent" in members else API_CALL
    assert members == [name for name in order.split() if name in members]


@every_entry
def test_no_schema_accepts_just_anything(entry: CatalogueEntry) -> None:
    assert not is_valid(entry.name, {})
    assert not is_valid(entry.name, [])
    assert not is_valid(entry.name, example(entry.name) | {"userAgent": 7})


@every_entry
@pytest.mark.parametrize("member", RESERVED)
def test_members_of_the_envelope_are_refused(entry: CatalogueEntry, member: str) -> None:
    payload, content = example(entry.name), schema(entry.name)
    assert member not in payload
    assert member not in declared(content, content["$defs"])
    assert not is_valid(entry.name, payload | {member: "2026-08-21T10:00:00.000Z"})


@every_entry
def test_example_names_nobody(entry: CatalogueEntry) -> None:
    hosts = re.findall(r"(?<![\w.-])(?:[a-z0-9-]+\.)+[a-z]{2,}(?![\w-])", entry.example, re.IGNORECASE)
    assert all(re.fullmatch(r"(?:.+\.)?example(?:\.com|\.net|\.org)?", host) for host in hosts), hosts
    assert "fake" not in entry.example.lower()

    payload = example(entry.name)
    addresses = [str(value) for key, value in walk(payload) if key in ("ip", "userIp")]
    addresses += re.findall(r"\d+\.\d+\.\d+\.\d+", entry.example)
    reserved = [ipaddress.ip_network(net) for net in ("203.0.113.0/24", "2001:db8::/32")]
    assert all(any(ipaddress.ip_address(address) in net for net in reserved) for address in addresses)

    phones = [value for key, value in walk(payload) if key == "primaryPhone" and value is not None]
    phones += [value for value in (payload.get("recipient"), payload.get("value")) if value and "@" not in value]
    assert all(re.fullmatch(r"1\d{3}55501\d\d", str(phone)) for phone in phones), phones


@pytest.mark.parametrize(
    ("name", "change"),
    [
        # interaction
        ("PostRegister", {"interactionEvent": "SignIn"}),
        ("PostSignIn", {"interactionEvent": "Register"}),
        ("PostSignIn", {"user": {"username": "no id"}}),
        ("PostSignIn", {"application": {"id": "a", "type": "Toaster"}}),
        ("PostResetPassword", {"interactionEvent": "SignIn"}),
        ("PostResetPassword", {"userIp": None}),
        (
            "PostSignInAdaptiveMfaTriggered",
            {"adaptiveMfaResult": {"requiresMfa": "yes", "triggeredRules": []}},
        ),
        (
            "PostSignInAdaptiveMfaTriggered",
            {"adaptiveMfaResult": {"requiresMfa": True, "triggeredRules": [{"rule": "full_moon"}]}},
        ),
        # data
        ("User.Created", {"data": None}),
        ("User.Created", {"data": {"id": "u", "createdAt": "2026-08-21T10:00:00.000Z"}}),
        ("User.Created", {"interactionEvent": "Login"}),
        ("User.Deleted", {"data": {"id": 17}}),
        ("User.Data.Updated", {"data": "u"}),
        ("User.SuspensionStatus.Updated", {"data": {"id": "u", "isSuspended": "yes"}}),
        ("User.SuspensionStatus.Updated", {"data": {"id": "u"}}),
        ("TrustedDevice.Created", {"data": {"id": "d", "userId": "u", "expiresAt": "tomorrow"}}),
        ("TrustedDevice.Deleted", {"data": {"id": "d"}}),
        ("Role.Created", {"status": "200"}),
        ("Role.Created", {"data": {"id": "r", "name": "n", "type": "Robot"}}),
        ("Role.Deleted", {"params": {"id": 5}}),
        ("Role.Deleted", {"params": {}}),
        ("Role.Scopes.Updated", {"data": {"id": "s", "name": "n"}}),
        ("Role.Scopes.Updated", {"params": {}}),
        ("Scope.Created", {"method": "post"}),
        ("Scope.Deleted", {"params": {"resourceId": "r"}}),
        ("Scope.Data.Updated", {"data": {"id": "s"}}),
        ("Organization.Created", {"data": {"id": "o", "name": None}}),
        ("Organization.Membership.Updated", {"addedUserIds": "u"}),
        ("Organization.Membership.Updated", {"removedApplicationIds": [1]}),
        ("Organization.Membership.Updated", {"addedUserIds": ["u"] * 5001}),
        ("Organization.Membership.Updated", {"organizationId": None}),
        ("OrganizationRole.Data.Updated", {"data": []}),
        ("OrganizationRole.Scopes.Updated", {"params": {}}),
        ("OrganizationScope.Created", {"status": 2010}),
        # exception
        ("Identifier.Lockout", {"type": ""}),
        ("Identifier.Lockout", {"value": None}),
        ("Message.RateLimited", {"action": "SendCode"}),
        ("Message.RateLimited", {"recipient": ["a@example.com"]}),
        ("Grant.LimitExceeded", {"revokedGrantIds": []}),
        ("Grant.LimitExceeded", {"maxAllowedGrants": "2"}),
        ("Grant.LimitExceeded", {"preRevocationActiveGrantCount": 2.5}),
    ],
)
def test_a_wrong_value_is_refused(name: str, change: dict[str, Any]) -> None:
    assert not is_valid(name, example(name) | change)


SHOP = {"id": "app1", "type": "SPA", "name": "Shop", "description": None}
CALL = {"userAgent": "node", "ip": "::1", "method": "PATCH", "status": 200}


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        # As Logto sends them, without the members of the envelope.
        (
            "PostSignIn",
            {
                "interactionEvent": "SignIn",
                "sessionId": "V1StGXR8_Z5j",
                "userAgent": "Mozilla/5.0",
                "userId": "u758hu661ovk",
                "userIp": "203.0.113.9",
                "user": {
                    "id": "u758hu661ovk",
                    "username": "ana",
                    "primaryEmail": "ana@example.com",
                    "primaryPhone": None,
                    "name": None,
                    "avatar": None,
                    "customData": {},
                    "identities": {},
                    "lastSignInAt": 1787306400000,
                    "createdAt": 1787000000000,
                    "updatedAt": 1787306400000,
                    "profile": {},
                    "applicationId": "app1",
                    "cimdClientId": None,
                    "isSuspended": False,
                },
                "application": SHOP,
            },
        ),
        (
            "Organization.Membership.Updated",
            {
                "userAgent": "Mozilla/5.0",
                "ip": "::ffff:192.168.65.1",
                "path": "/organizations/unaytimk8mj9/users",
                "method": "POST",
                "status": 201,
                "params": {"id": "unaytimk8mj9"},
                "matchedRoute": "/organizations/:id/users",
                "organizationId": "unaytimk8mj9",
                "addedUserIds": ["u758hu661ovk"],
            },
        ),
        (
            "Role.Created",
            {
                "userAgent": "node",
                "ip": "::1",
                "path": "/roles",
                "method": "POST",
                "status": 200,
                "params": {},
                "matchedRoute": "/roles",
                "data": {
                    "tenantId": "default",
                    "id": "r1",
                    "name": "admin",
                    "description": "x",
                    "type": "User",
                    "isDefault": False,
                },
            },
        ),
        (
            "User.Created",
            {
                "interactionEvent": "Register",
                "userAgent": "Mozilla/5.0",
                "applicationId": "app1",
                "sessionId": "V1St",
                "ip": "203.0.113.9",
                "application": SHOP,
                "data": {"id": "u1", "username": "ana", "primaryEmail": None},
            },
        ),
        (
            "Identifier.Lockout",
            {
                "interactionEvent": "SignIn",
                "userAgent": "Mozilla/5.0",
                "applicationId": "app1",
                "sessionId": "V1St",
                "ip": "203.0.113.9",
                "application": SHOP,
                "type": "username",
                "value": "ana",
            },
        ),
        # The other forms an event can take.
        ("PostSignIn", {"interactionEvent": "SignIn", "cimdClientId": "https://client.example/id.json"}),
        ("PostSignInAdaptiveMfaTriggered", {"interactionEvent": "SignIn", "userId": "u1"}),
        (
            "User.Data.Updated",
            {
                **CALL,
                "path": "/users/u1/custom-data",
                "params": {"userId": "u1"},
                "matchedRoute": "/users/:userId/custom-data",
                "data": {"id": 5, "profile": [], "whatever": {"is": None}},
            },
        ),
        (
            "User.Data.Updated",
            {
                **CALL,
                "path": "/users/u1/profile",
                "params": {"userId": "u1"},
                "matchedRoute": "/users/:userId/profile",
                "data": {"locale": "pt"},
            },
        ),
        ("User.Data.Updated", {"interactionEvent": "SignIn", "sessionId": "V1St", "data": {"id": "u1"}}),
        ("User.Data.Updated", {"userAgent": "Mozilla/5.0", "ip": "203.0.113.9", "data": {"id": "u1"}}),
        ("User.Data.Updated", {"data": {"id": "u1", "name": None, "lastSignInAt": None}}),
        (
            "TrustedDevice.Deleted",
            {
                "userAgent": "node",
                "path": "/users/u1/trusted-devices/d1",
                "method": "DELETE",
                "status": 204,
                "params": {"userId": "u1", "deviceId": "d1"},
                "data": {"id": "d1", "userId": "u1", "expiresAt": 1789898400000.5},
            },
        ),
        (
            "Role.Scopes.Updated",
            {"params": {}, "roleId": "r1", "data": [{"id": "s1", "name": "read", "description": None}]},
        ),
        ("Role.Scopes.Updated", {"status": 204, "params": {"id": "r1", "scopeId": "s1"}}),
        ("Organization.Created", {"data": {"id": "o1", "name": "Bakery"}}),
        ("Organization.Membership.Updated", {"organizationId": "o1"}),
        ("Organization.Membership.Updated", {"organizationId": "o1", "addedUserIds": ["u"] * 5000}),
        (
            "Organization.Membership.Updated",
            {"interactionEvent": "Register", "organizationId": "o1", "addedUserIds": ["u1"]},
        ),
        (
            "Organization.Membership.Updated",
            {"organizationId": "o1", "addedApplicationIds": ["b"], "removedApplicationIds": ["a"]},
        ),
        ("OrganizationRole.Scopes.Updated", {"params": {}, "organizationRoleId": "r1"}),
        ("Identifier.Lockout", {"type": "employee_number", "value": "4711"}),
        ("Message.RateLimited", {"action": "VerificationCodeSend", "recipient": "ana@example.com"}),
        (
            "Grant.LimitExceeded",
            {
                "userId": "u1",
                "cimdClientId": "https://client.example/id.json",
                "revokedGrantIds": ["g1"],
                "maxAllowedGrants": 1,
                "preRevocationActiveGrantCount": 2,
            },
        ),
    ],
)
def test_every_known_form_is_accepted(name: str, payload: dict[str, Any]) -> None:
    Draft202012Validator(schema(name)).validate(payload)


def test_the_operational_events_are_complete() -> None:
    """What is emitted is what the schema says, and none is in the identity events."""
    (entry,) = operational()
    assert (entry.name, entry.group) == (EVENT_TYPE, "Hookpost")
    validator = Draft202012Validator(json.loads(entry.schema), format_checker=Draft202012Validator.FORMAT_CHECKER)
    validator.validate(json.loads(entry.example))
    now = datetime.now(UTC)
    bare = Suspension(
        tenant_id="t", webhook_id=ids.new(1.0), webhook_name="n", reason="r", time=now, failing_since=None,
        last_failure=None,
    )  # fmt: skip
    emitted = json.loads(bare.event().payload)
    validator.validate(emitted)
    assert emitted.keys() == json.loads(entry.example).keys()
    assert entry.name not in ENTRIES


def test_a_grant_names_the_application_or_the_client() -> None:
    payload = example("Grant.LimitExceeded")
    del payload["applicationId"]
    assert not is_valid("Grant.LimitExceeded", payload)
