"""Reading requests: tenants, ids and field masks, with violations that name the field."""

from __future__ import annotations

from uuid import UUID

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from hookpost.v1.webhook_pb2 import Webhook
from hookpost.v1.webhook_service_pb2 import GetWebhookRequest
from hookpost_server.domain.errors import InvalidFields
from hookpost_server.rpc import fields

SETTABLE = ("name", "url", "retry_policy", "labels")


def test_tenants() -> None:
    assert fields.tenant(GetWebhookRequest()) == "default"
    assert fields.tenant(GetWebhookRequest(tenant_id="acme")) == "acme"
    with pytest.raises(InvalidFields, match=r"webhook\.tenant_id: must be 1 to 64 characters"):
        fields.tenant(GetWebhookRequest(tenant_id="a b"), "webhook.tenant_id")


def test_identities() -> None:
    parsed = fields.identity("whk", "whk_01h455vb4pex5vsknk084sn02q", "webhook_id")
    assert parsed == UUID("01890a5d-ac96-774b-bcce-b302099a8057")
    with pytest.raises(InvalidFields, match="webhook_id: is required"):
        fields.identity("whk", "", "webhook_id")
    with pytest.raises(InvalidFields, match='webhook_id: must be "whk_" and 26 characters'):
        fields.identity("whk", "evt_01h455vb4pex5vsknk084sn02q", "webhook_id")


@pytest.mark.parametrize(
    ("paths", "taken"),
    [
        pytest.param([], ["name", "labels"], id="none: what is set"),
        pytest.param(["*"], ["name", "url", "retry_policy", "labels"], id="all"),
        pytest.param(["url"], ["url"], id="one that is not set"),
        pytest.param(["url", "name", "url"], ["url", "name"], id="twice"),
    ],
)
def test_masks(paths: list[str], taken: list[str]) -> None:
    resource = Webhook(name="a", labels={"a": "b"}, id="whk_x", etag='"1"', state=1)
    assert fields.mask(FieldMask(paths=paths), resource, SETTABLE) == taken


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nme", '"nme" is no field; choose of name, url, retry_policy, labels or "*"'),
        ("", '"" is no field'),
        ("state", '"state" can\'t be changed'),
        ("id", '"id" can\'t be changed'),
        ("retry_policy.jitter", '"retry_policy.jitter" can\'t be changed'),
        ("x" * 1000, f'"{"x" * 64}" is no field'),
    ],
    ids=lambda text: text[:20],
)
def test_masks_that_are_refused(path: str, words: str) -> None:
    with pytest.raises(InvalidFields) as caught:
        fields.mask(FieldMask(paths=["name", path]), Webhook(), SETTABLE)
    (fault,) = caught.value.violations
    assert fault.field == "update_mask.paths[1]"
    assert fault.description.startswith(words)


def test_request_ids() -> None:
    assert fields.request_id("") == ""
    assert fields.request_id("r" * 128) == "r" * 128
    for wrong in ("r" * 129, "r\n", " r", "é"):
        with pytest.raises(InvalidFields, match="request_id: must be at most 128 printable ASCII"):
            fields.request_id(wrong)
