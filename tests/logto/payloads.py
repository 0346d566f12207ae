"""What an identity server such as Logto tells about, family by family, members in the order in which Logto sends them.

`event`, `createdAt` and `hookId` are not among them: Hookpost adds those itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

Payload = dict[str, Any]

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0"
ADDRESS = "203.0.113.9"
APPLICATION = {"id": "app1", "type": "SPA", "name": "Shop", "description": None}
MACHINE = {"id": "m2m1", "type": "MachineToMachine", "name": "Directory sync", "description": None}
USER = {
    "id": "u1",
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
}
ACCOUNT = USER | {"hasPassword": True}
ROLE = {"tenantId": "default", "id": "r1", "name": "admin", "description": "x", "type": "User", "isDefault": False}
SCOPE = {"tenantId": "default", "id": "s1", "resourceId": "api1", "name": "read:orders", "description": None}
SCOPE |= {"createdAt": 1787306400000}
ORGANIZATION = {"tenantId": "default", "id": "o1", "name": "Bakery", "description": None, "customData": {}}
ORGANIZATION |= {"createdAt": 1787306400000}
ORGANIZATION_ROLE = {"tenantId": "default", "id": "or1", "name": "manager", "description": None, "type": "User"}
ORGANIZATION_SCOPE = {"tenantId": "default", "id": "os1", "name": "invite", "description": None}
DEVICE = {"id": "d1", "userId": "u1", "expiresAt": 1789898400000}
IDS = {"userId": "u1", "resourceId": "api1", "scopeId": "s1", "organizationScopeId": "os1", "applicationId": "app1"}


def interaction(event: str, **custom: Any) -> Payload:
    """A sign-up, a sign-in or a reset of the password that went through; `userIp`, where the others have `ip`."""
    kind = {"PostRegister": "Register", "PostResetPassword": "ForgotPassword"}.get(event, "SignIn")
    return {
        **custom,
        "interactionEvent": kind,
        "sessionId": "V1StGXR8_Z5j",
        "userAgent": BROWSER,
        "userId": "u1",
        "userIp": ADDRESS,
        "user": USER,
        "application": APPLICATION,
    }


def management(method: str, route: str, status: int, data: Any = None, **extra: Any) -> Payload:
    """A call of the management API; without `data` the member is absent, not null."""
    params = {part[1:]: IDS.get(part[1:], "x1") for part in route.split("/") if part.startswith(":")}
    path = route
    for name, value in params.items():
        path = path.replace(f":{name}", value, 1)
    return {
        "userAgent": "node",
        "ip": "::ffff:192.168.65.1",
        "application": MACHINE,
        "path": path,
        "method": method,
        "status": status,
        "params": params,
        "matchedRoute": route,
        **extra,
        **({} if data is None else {"data": data}),
    }


def deleted_user() -> Payload:
    """Logto tells it by hand, with the user as it was before, ahead of the call."""
    call = management("DELETE", "/users/:userId", 204)
    first = {name: call.pop(name) for name in ("userAgent", "ip", "application")}
    return {**first, "data": USER, **call}


def step(interaction_event: str, **extra: Any) -> Payload:
    """Something that happened on the sign-in pages."""
    return {
        "interactionEvent": interaction_event,
        "userAgent": BROWSER,
        "applicationId": "app1",
        "sessionId": "V1StGXR8_Z5j",
        "ip": ADDRESS,
        "application": APPLICATION,
        **extra,
    }


def device_step() -> Payload:
    """As any step, but Logto leaves the address out."""
    payload = step("SignIn", data=DEVICE)
    del payload["ip"]
    return payload


def account(data: Any) -> Payload:
    """What a user did by the account API."""
    return {"userAgent": BROWSER, "ip": ADDRESS, "data": data}


def grant_limit() -> Payload:
    return {
        "ip": ADDRESS,
        "userAgent": BROWSER,
        "application": APPLICATION,
        "userId": "u1",
        "applicationId": "app1",
        "revokedGrantIds": ["g1"],
        "maxAllowedGrants": 1,
        "preRevocationActiveGrantCount": 2,
    }


ADAPTIVE_MFA = {"requiresMfa": True, "triggeredRules": [{"rule": "untrusted_ip", "details": {"ip": ADDRESS}}]}


@dataclass(frozen=True)
class Case:
    """An event of a type, in the shape of a family."""

    type: str
    family: str
    payload: Payload

    @property
    def json(self) -> str:
        return json.dumps(self.payload)

    @property
    def id(self) -> str:
        call = f"{self.payload['method']} {self.payload['matchedRoute']}" if "matchedRoute" in self.payload else ""
        return " ".join(filter(None, (self.type, self.family, call)))


def _route(event: str, method: str, route: str, status: int, data: Any = None, **extra: Any) -> Case:
    return Case(event, "management", management(method, route, status, data, **extra))


USER_ROUTES = [
    _route("User.Created", "POST", "/users", 200, ACCOUNT),
    _route("User.Data.Updated", "PATCH", "/users/:userId", 200, ACCOUNT),
    _route("User.Data.Updated", "PATCH", "/users/:userId/custom-data", 200, {"theme": "dark"}),
    _route("User.Data.Updated", "PATCH", "/users/:userId/profile", 200, {"locale": "pt"}),
    _route("User.Data.Updated", "PATCH", "/users/:userId/password", 200, ACCOUNT),
    _route("User.SuspensionStatus.Updated", "PATCH", "/users/:userId/is-suspended", 200, ACCOUNT),
]
ROLE_ROUTES = [
    _route("Role.Created", "POST", "/roles", 200, ROLE),
    _route("Role.Data.Updated", "PATCH", "/roles/:id", 200, ROLE),
    _route("Role.Deleted", "DELETE", "/roles/:id", 204),
    _route("Role.Scopes.Updated", "POST", "/roles/:id/scopes", 201, [SCOPE]),
    _route("Role.Scopes.Updated", "DELETE", "/roles/:id/scopes/:scopeId", 204),
]
SCOPE_ROUTES = [
    _route("Scope.Created", "POST", "/resources/:resourceId/scopes", 201, SCOPE),
    _route("Scope.Data.Updated", "PATCH", "/resources/:resourceId/scopes/:scopeId", 200, SCOPE),
    _route("Scope.Deleted", "DELETE", "/resources/:resourceId/scopes/:scopeId", 204),
]
ORGANIZATION_ROUTES = [
    _route("Organization.Created", "POST", "/organizations", 201, ORGANIZATION),
    _route("Organization.Data.Updated", "PATCH", "/organizations/:id", 200, ORGANIZATION),
    _route("Organization.Deleted", "DELETE", "/organizations/:id", 204),
]
ORGANIZATION_SCOPE_ROUTES = [
    _route("OrganizationScope.Created", "POST", "/organization-scopes", 201, ORGANIZATION_SCOPE),
    _route("OrganizationScope.Data.Updated", "PATCH", "/organization-scopes/:id", 200, ORGANIZATION_SCOPE),
    _route("OrganizationScope.Deleted", "DELETE", "/organization-scopes/:id", 204),
]
ORGANIZATION_ROLE_ROUTES = [
    _route("OrganizationRole.Created", "POST", "/organization-roles", 201, ORGANIZATION_ROLE),
    _route("OrganizationRole.Data.Updated", "PATCH", "/organization-roles/:id", 200, ORGANIZATION_ROLE),
    _route("OrganizationRole.Deleted", "DELETE", "/organization-roles/:id", 204),
    _route("OrganizationRole.Scopes.Updated", "POST", "/organization-roles/:id/scopes", 201),
    _route("OrganizationRole.Scopes.Updated", "PUT", "/organization-roles/:id/scopes", 204),
    _route("OrganizationRole.Scopes.Updated", "DELETE", "/organization-roles/:id/scopes/:organizationScopeId", 204),
]
ROUTES = [
    *(*USER_ROUTES, *ROLE_ROUTES, *SCOPE_ROUTES),
    *(*ORGANIZATION_ROUTES, *ORGANIZATION_SCOPE_ROUTES, *ORGANIZATION_ROLE_ROUTES),
]


def membership(method: str, route: str, status: int, **deltas: list[str]) -> Payload:
    """Organization.Membership.Updated by the management API; a delta that is not given is absent."""
    return management(method, f"/organizations/:id/{route}", status, organizationId="o1", **deltas)


OTHERS = [
    Case("PostRegister", "interaction", interaction("PostRegister")),
    Case("PostSignIn", "interaction", interaction("PostSignIn")),
    Case(
        "PostSignInAdaptiveMfaTriggered",
        "interaction",
        interaction("PostSignInAdaptiveMfaTriggered", adaptiveMfaResult=ADAPTIVE_MFA),
    ),
    Case("PostResetPassword", "interaction", interaction("PostResetPassword")),
    Case("User.Deleted", "by hand", deleted_user()),
    Case(
        "Organization.Membership.Updated",
        "management",
        membership("PUT", "users", 204, addedUserIds=["u2"], removedUserIds=["u1"]),
    ),
    Case("User.Created", "sign-in pages", step("Register", data=USER)),
    Case("User.Data.Updated", "sign-in pages", step("SignIn", data=USER)),
    Case(
        "Organization.Membership.Updated", "sign-in pages", step("Register", organizationId="o1", addedUserIds=["u1"])
    ),
    Case("TrustedDevice.Created", "sign-in pages", device_step()),
    Case("TrustedDevice.Deleted", "account API", {"userAgent": BROWSER, "data": DEVICE}),
    Case("User.Data.Updated", "account API", account(USER)),
    Case("Identifier.Lockout", "exception", step("SignIn", type="username", value="ana")),
    Case(
        "Message.RateLimited",
        "exception",
        step("ForgotPassword", action="VerificationCodeSend", recipient="ana@example.com"),
    ),
    Case("Grant.LimitExceeded", "exception", grant_limit()),
]
EVERY = [*ROUTES, *OTHERS]
