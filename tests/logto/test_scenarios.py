"""Logto's cases end to end: a producer tells what Logto would tell, and each webhook gets its own and nothing else.

When to tell is the producer's business; what is tested here is who hears it, in what shape, how often.
"""

import pytest

from tests.logto.payloads import (
    ACCOUNT,
    ADAPTIVE_MFA,
    ORGANIZATION_ROLE,
    ROLE,
    ROUTES,
    SCOPE,
    USER,
    Case,
    account,
    deleted_user,
    grant_limit,
    interaction,
    management,
    membership,
    step,
)
from tests.logto.telling import heard, names, told
from tests.receiver import Receiver
from tests.rpc.serving import Client

pytestmark = pytest.mark.asyncio(loop_scope="package")

MEMBERSHIP = "Organization.Membership.Updated"
DELTAS = {"addedUserIds", "removedUserIds", "addedApplicationIds", "removedApplicationIds"}
PAGES = {
    "register": ["PostRegister"],
    "sign-in": ["PostSignIn"],
    "adaptive": ["PostSignInAdaptiveMfaTriggered"],
    "reset": ["PostResetPassword"],
    "created": ["User.Created"],
    "updated": ["User.Data.Updated"],
}


@pytest.mark.parametrize("case", ROUTES, ids=lambda case: case.id)
async def test_each_route_tells_its_event(client: Client, receiver: Receiver, case: Case) -> None:
    """trigger.data, trigger.organization: User.Created and 5 user PATCH routes, Role, Scope, Organization,
    OrganizationScope, OrganizationRole created, patched, scopes changed, deleted: each gives the right event."""
    group = case.type.partition(".")[0]
    others = "OrganizationRole.*" if group == "Role" else "Role.*"
    got = await heard(
        client,
        receiver,
        {"exact": [case.type], "group": [f"{group}.*"], "other": [others, "PostSignIn"]},
        (case.type, case.payload),
    )
    assert [names(got[name]) for name in ("exact", "group", "other")] == [[case.type], [case.type], []]
    (body,) = got["exact"]
    assert (body["method"], body["matchedRoute"], body["path"]) == tuple(
        case.payload[name] for name in ("method", "matchedRoute", "path")
    )
    assert body.get("data") == case.payload.get("data")
    assert body["status"] != 404


@pytest.mark.parametrize(
    ("method", "route", "status", "deltas"),
    [
        pytest.param("POST", "users", 201, {"addedUserIds": ["u1"]}, id="POST users"),
        pytest.param("PUT", "users", 204, {}, id="PUT users without change"),
        pytest.param("DELETE", "users/:userId", 204, {"removedUserIds": ["u1"]}, id="DELETE user"),
        pytest.param("POST", "applications", 201, {"addedApplicationIds": ["app1"]}, id="POST applications"),
        pytest.param("POST", "applications", 201, {}, id="re-POST of a member"),
        pytest.param("PUT", "applications", 204, {}, id="PUT applications without change"),
        pytest.param(
            "PUT",
            "applications",
            204,
            {"addedApplicationIds": ["B"], "removedApplicationIds": ["A"]},
            id="PUT applications A to B",
        ),
        pytest.param(
            "DELETE", "applications/:applicationId", 204, {"removedApplicationIds": ["app1"]}, id="DELETE application"
        ),
    ],
)
async def test_membership(
    client: Client, receiver: Receiver, method: str, route: str, status: int, deltas: dict[str, list[str]]
) -> None:
    """trigger.organization: POST, PUT, DELETE of users and applications; undeclared delta keys must be absent."""
    got = await heard(
        client, receiver, {"members": [MEMBERSHIP]}, (MEMBERSHIP, membership(method, route, status, **deltas))
    )
    (body,) = got["members"]
    assert {name: value for name, value in body.items() if name in DELTAS} == deltas
    assert (body["organizationId"], body["method"], body["status"]) == ("o1", method, status)


@pytest.mark.parametrize("deltas", [{"addedUserIds": ["u1"]}, {}], ids=["accepted", "already a member"])
async def test_invitation(client: Client, receiver: Receiver, deltas: dict[str, list[str]]) -> None:
    """trigger.organization, trigger.custom.data: invitation accepted → addedUserIds, no removedUserIds; already a
    member → event without delta."""
    payload = management("PUT", "/organization-invitations/:id/status", 200, organizationId="o1", **deltas)
    got = await heard(client, receiver, {"members": [MEMBERSHIP]}, (MEMBERSHIP, payload))
    (body,) = got["members"]
    assert {name: value for name, value in body.items() if name in DELTAS} == deltas


async def test_a_role_with_scopes(client: Client, receiver: Receiver) -> None:
    """trigger.custom.data: role with scopeIds → Role.Created and Role.Scopes.Updated (`roleId`, `data: [scope]`, path
    `/roles`): one call of the API, two events, two requests."""
    got = await heard(
        client,
        receiver,
        {"roles": ["Role.*"], "scopes": ["Role.Scopes.Updated"]},
        ("Role.Created", management("POST", "/roles", 200, ROLE)),
        ("Role.Scopes.Updated", management("POST", "/roles", 200, [SCOPE], roleId="r1")),
    )
    assert names(got["roles"]) == ["Role.Created", "Role.Scopes.Updated"]
    (body,) = got["scopes"]
    assert (body["roleId"], body["data"], body["path"]) == ("r1", [SCOPE], "/roles")


async def test_an_organization_role_with_scopes(client: Client, receiver: Receiver) -> None:
    """trigger.custom.data: organization role with scopes → also OrganizationRole.Scopes.Updated
    (`organizationRoleId`)."""
    got = await heard(
        client,
        receiver,
        {"created": ["OrganizationRole.Created"], "scopes": ["OrganizationRole.Scopes.Updated"], "roles": ["Role.*"]},
        ("OrganizationRole.Created", management("POST", "/organization-roles", 201, ORGANIZATION_ROLE)),
        (
            "OrganizationRole.Scopes.Updated",
            management("POST", "/organization-roles", 201, organizationRoleId="or1"),
        ),
    )
    assert names(got["created"]) == ["OrganizationRole.Created"]
    (body,) = got["scopes"]
    assert body["organizationRoleId"] == "or1"
    assert "data" not in body
    assert got["roles"] == []


async def test_a_user_deleted(client: Client, receiver: Receiver) -> None:
    """trigger.custom.data: delete user → User.Deleted with user info."""
    got = await heard(client, receiver, {"users": ["User.*"]}, ("User.Deleted", deleted_user()))
    (body,) = got["users"]
    assert (body["event"], body["data"], body["status"]) == ("User.Deleted", USER, 204)


async def test_registration(client: Client, receiver: Receiver) -> None:
    """trigger.experience: registration fires PostRegister on two different hooks and User.Created on a third, no
    User.Data.Updated."""
    got = await heard(
        client,
        receiver,
        {"first": ["PostRegister"], "second": ["PostRegister", "PostSignIn"]} | PAGES,
        ("PostRegister", interaction("PostRegister")),
        ("User.Created", step("Register", data=USER)),
    )
    assert names(got["first"]) == names(got["second"]) == ["PostRegister"]
    assert names(got["created"]) == ["User.Created"]
    assert got["updated"] == got["sign-in"] == []
    assert got["first"][0]["hookId"] != got["second"][0]["hookId"]
    first, second = (
        {name: value for name, value in body.items() if name != "hookId"}
        for body in (got["first"][0], got["second"][0])
    )
    assert first == second
    assert (first["user"]["id"], first["user"]["username"], first["user"]["primaryEmail"]) == (
        "u1",
        "ana",
        "ana@example.com",
    )


async def test_sign_in_without_change(client: Client, receiver: Receiver) -> None:
    """trigger.experience: sign-in without change → PostSignIn only."""
    got = await heard(client, receiver, PAGES, ("PostSignIn", interaction("PostSignIn")))
    assert {name: names(bodies) for name, bodies in got.items() if bodies} == {"sign-in": ["PostSignIn"]}
    (body,) = got["sign-in"]
    assert body["userIp"] == "203.0.113.9"
    assert body["userAgent"].startswith("Mozilla/5.0")
    assert body["application"]["name"] == "Shop"


async def test_sign_in_with_mfa(client: Client, receiver: Receiver) -> None:
    """trigger.experience, adaptive-mfa: no PostSignIn at the 403, exactly one after the code; the adaptive event once,
    with `untrusted_ip`; libraries/hook/index.test: it does not drop PostSignIn."""
    asked = interaction("PostSignInAdaptiveMfaTriggered", adaptiveMfaResult=ADAPTIVE_MFA)
    got = await heard(client, receiver, PAGES, ("PostSignInAdaptiveMfaTriggered", asked))
    assert {name: names(bodies) for name, bodies in got.items() if bodies} == {
        "adaptive": ["PostSignInAdaptiveMfaTriggered"]
    }
    (body,) = got["adaptive"]
    assert [rule["rule"] for rule in body["adaptiveMfaResult"]["triggeredRules"]] == ["untrusted_ip"]
    await told(client, "PostSignIn", interaction("PostSignIn"))
    assert [(request.path, request.json["event"]) for request in receiver.requests] == [
        ("/adaptive", "PostSignInAdaptiveMfaTriggered"),
        ("/sign-in", "PostSignIn"),
    ]


async def test_sign_in_that_fills_the_profile(client: Client, receiver: Receiver) -> None:
    """trigger.experience: sign-in with profile fill → PostSignIn + User.Data.Updated, no User.Created."""
    got = await heard(
        client,
        receiver,
        PAGES,
        ("User.Data.Updated", step("SignIn", data=USER)),
        ("PostSignIn", interaction("PostSignIn")),
    )
    assert {name: names(bodies) for name, bodies in got.items() if bodies} == {
        "sign-in": ["PostSignIn"],
        "updated": ["User.Data.Updated"],
    }


async def test_password_reset(client: Client, receiver: Receiver) -> None:
    """trigger.experience: password reset → PostResetPassword + User.Data.Updated."""
    got = await heard(
        client,
        receiver,
        PAGES,
        ("User.Data.Updated", step("ForgotPassword", data=USER)),
        ("PostResetPassword", interaction("PostResetPassword")),
    )
    assert {name: names(bodies) for name, bodies in got.items() if bodies} == {
        "reset": ["PostResetPassword"],
        "updated": ["User.Data.Updated"],
    }
    assert got["reset"][0]["interactionEvent"] == "ForgotPassword"


@pytest.mark.parametrize("kind", ["Register", "SignIn"], ids=["by e-mail domain", "by SSO"])
async def test_just_in_time_provisioning(client: Client, receiver: Receiver, kind: str) -> None:
    """trigger.custom.data, trigger.experience: JIT by domain; JIT by SSO → Organization.Membership.Updated, one for
    each organization."""
    events = [(MEMBERSHIP, step(kind, organizationId=each, addedUserIds=["u1"])) for each in ("o1", "o2")]
    got = await heard(client, receiver, {"members": ["Organization.*"], "users": ["User.*"]}, *events)
    assert [body["organizationId"] for body in got["members"]] == ["o1", "o2"]
    assert all(DELTAS & set(body) == {"addedUserIds"} for body in got["members"])
    assert not any("path" in body for body in got["members"])
    assert got["users"] == []


async def test_lockout(client: Client, receiver: Receiver) -> None:
    """trigger.experience: 3 wrong passwords → Identifier.Lockout with type and value."""
    payload = step("SignIn", type="username", value="ana")
    got = await heard(client, receiver, PAGES | {"lockout": ["Identifier.*"]}, ("Identifier.Lockout", payload))
    assert {name: names(bodies) for name, bodies in got.items() if bodies} == {"lockout": ["Identifier.Lockout"]}
    (body,) = got["lockout"]
    assert (body["type"], body["value"], body["interactionEvent"]) == ("username", "ana", "SignIn")


async def test_grant_limit(client: Client, receiver: Receiver) -> None:
    """grant-limit: `maxAllowedGrants: 1`, second sign-in → Grant.LimitExceeded with
    `preRevocationActiveGrantCount: 2`."""
    got = await heard(
        client,
        receiver,
        {"grants": ["Grant.LimitExceeded"], "sign-in": ["PostSignIn"]},
        ("PostSignIn", interaction("PostSignIn")),
        ("PostSignIn", interaction("PostSignIn")),
        ("Grant.LimitExceeded", grant_limit()),
    )
    assert names(got["sign-in"]) == ["PostSignIn"] * 2
    (body,) = got["grants"]
    assert (body["maxAllowedGrants"], body["preRevocationActiveGrantCount"]) == (1, 2)
    assert body["revokedGrantIds"] == ["g1"]


async def test_rate_limited(client: Client, receiver: Receiver) -> None:
    """message-rate-limited: 10 sends fine, 11th → 429 and Message.RateLimited with action and recipient."""
    payload = step("SignIn", action="VerificationCodeSend", recipient="ana@example.com")
    got = await heard(client, receiver, {"security": ["Message.*", "Grant.*"]}, ("Message.RateLimited", payload))
    (body,) = got["security"]
    assert (body["event"], body["action"], body["recipient"]) == (
        "Message.RateLimited",
        "VerificationCodeSend",
        "ana@example.com",
    )


async def test_a_user_changes_their_own_account(client: Client, receiver: Receiver) -> None:
    """events, account API → User.Data.Updated with `userAgent` and `ip`, without the context of a call."""
    got = await heard(client, receiver, PAGES, ("User.Data.Updated", account(ACCOUNT)))
    (body,) = got["updated"]
    assert list(body) == ["event", "createdAt", "userAgent", "ip", "data", "hookId"]


async def test_nobody_subscribes(client: Client, receiver: Receiver) -> None:
    """koa-management-api-hooks.test: nothing without context: what nobody asked for is sent to nobody."""
    got = await heard(client, receiver, {"roles": ["Role.*"]}, ("PostSignIn", interaction("PostSignIn")))
    assert got["roles"] == []
