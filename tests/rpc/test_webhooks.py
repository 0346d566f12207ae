"""WebhookService: what is set comes back, what is changed is changed alone, keys sign as promised."""

import base64
import hashlib
import hmac
import re

import grpc
import pytest
from google.protobuf import duration_pb2, field_mask_pb2, json_format
from standardwebhooks import Webhook as Verifier

from hookpost.v1 import webhook_pb2, webhook_service_pb2
from tests.receiver import Received, Receiver
from tests.rpc.serving import Client, eventually, refused

pytestmark = pytest.mark.asyncio(loop_scope="module")

OWN_KEY = "a-key-from-the-old-system"


def seconds(value: float) -> duration_pb2.Duration:
    answer = duration_pb2.Duration()
    answer.FromNanoseconds(round(value * 1e9))
    return answer


def every_setting() -> dict[str, object]:
    return {
        "name": "Kundenstamm – Müller & Söhne 🏭",
        "url": "https://example.com:8443/hooks?a=1&b=%20",
        "event_types": ["User.*", "Role.Created", "*"],
        "headers": {"X-Team": "crm", "Authorization": "Bearer abc", "content-type": "application/vnd.acme+json"},
        "retry_policy": webhook_pb2.RetryPolicy(
            schedule=webhook_pb2.RETRY_SCHEDULE_CUSTOM, delays=[seconds(0.5), seconds(86400)], jitter=0.0
        ),
        "timeout": seconds(2.5),
        "payload_format": webhook_pb2.PAYLOAD_FORMAT_CLOUDEVENTS,
        "max_in_flight": 1000,
        "rate_limit": 0.1,
        "labels": {"team": "crm", "cost/center": "ü 7"},
    }


def as_shown() -> dict[str, object]:
    """What sounds like a secret is not shown."""
    return every_setting() | {
        "headers": {"X-Team": "crm", "Authorization": "***", "content-type": "application/vnd.acme+json"}
    }


def settings_of(webhook: webhook_pb2.Webhook) -> dict[str, object]:
    return {name: _plain(getattr(webhook, name)) for name in every_setting()}


def _plain(value: object) -> object:
    if isinstance(value, str | int | float):
        return value
    if hasattr(value, "items"):
        return dict(value)
    return list(value) if hasattr(value, "__iter__") else value


DEFAULTS = {
    "headers": {},
    "retry_policy": webhook_pb2.RetryPolicy(
        schedule=webhook_pb2.RETRY_SCHEDULE_DEFAULT, delays=[seconds(5), seconds(30), seconds(180)], jitter=0.2
    ),
    "timeout": seconds(10),
    "payload_format": webhook_pb2.PAYLOAD_FORMAT_FLAT,
    "max_in_flight": 16,
    "rate_limit": 0.0,
    "labels": {},
}


def create_request(client: Client, **more: object) -> webhook_service_pb2.CreateWebhookRequest:
    webhook = webhook_pb2.Webhook(tenant_id=client.tenant, name="one", url="https://example.com/", event_types=["*"])
    return webhook_service_pb2.CreateWebhookRequest(webhook=webhook, **more)


class TestCreate:
    async def test_defaults(self, client: Client) -> None:
        answer = await client.webhooks.CreateWebhook(create_request(client))
        webhook = answer.webhook
        assert re.fullmatch(r"whk_[0-7][0-9a-hjkmnp-tv-z]{25}", webhook.id)
        assert re.fullmatch(r"key_[0-7][0-9a-hjkmnp-tv-z]{25}", webhook.signing_keys[0].id)
        assert settings_of(webhook) == DEFAULTS | {"name": "one", "url": "https://example.com/", "event_types": ["*"]}
        assert webhook.state == webhook_pb2.WEBHOOK_STATE_ACTIVE
        assert webhook.state_reason == ""
        assert webhook.etag
        assert webhook.create_time == webhook.update_time
        assert not webhook.HasField("health")
        assert len(webhook.signing_keys) == 1
        assert not webhook.signing_keys[0].HasField("expire_time")
        assert len(base64.b64decode(answer.signing_key.removeprefix("whsec_"), validate=True)) == 32
        assert await client.webhook(webhook.id) == webhook

    async def test_the_default_tenant(self, client: Client) -> None:
        webhook = await client.create(tenant_id="")
        assert webhook.tenant_id == "default"
        request = webhook_service_pb2.GetWebhookRequest(webhook_id=webhook.id)
        assert (await client.webhooks.GetWebhook(request)).webhook == webhook

    async def test_every_setting_comes_back(self, client: Client) -> None:
        webhook = await client.create(**every_setting())
        assert settings_of(webhook) == as_shown()
        assert await client.webhook(webhook.id) == webhook

    async def test_output_only_fields_are_ignored(self, client: Client) -> None:
        webhook = await client.create(
            id="whk_00000000000000000000000000", state=webhook_pb2.WEBHOOK_STATE_DISABLED, state_reason="x", etag="e"
        )
        assert webhook.id != "whk_00000000000000000000000000"
        assert webhook.state == webhook_pb2.WEBHOOK_STATE_ACTIVE
        assert webhook.state_reason == ""

    async def test_repeated_event_types_are_dropped(self, client: Client) -> None:
        assert (await client.create(event_types=["User.*", "*", "User.*"])).event_types == ["User.*", "*"]

    @pytest.mark.parametrize(
        ("given", "schedule", "delays"),
        [
            ({"schedule": webhook_pb2.RETRY_SCHEDULE_NONE}, webhook_pb2.RETRY_SCHEDULE_NONE, []),
            (
                {"schedule": webhook_pb2.RETRY_SCHEDULE_STANDARD_WEBHOOKS},
                webhook_pb2.RETRY_SCHEDULE_STANDARD_WEBHOOKS,
                [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400],
            ),
            ({"delays": [seconds(1)]}, webhook_pb2.RETRY_SCHEDULE_CUSTOM, [1]),
            ({"jitter": 0.5}, webhook_pb2.RETRY_SCHEDULE_DEFAULT, [5, 30, 180]),
        ],
    )
    async def test_schedules(self, client: Client, given: dict, schedule: int, delays: list[int]) -> None:
        policy = (await client.create(retry_policy=webhook_pb2.RetryPolicy(**given))).retry_policy
        assert policy.schedule == schedule
        assert list(policy.delays) == [seconds(delay) for delay in delays]
        assert policy.jitter == given.get("jitter", 0.2)

    async def test_the_extremes_that_are_allowed(self, client: Client) -> None:
        longest = "https://example.com/" + "a" * (2048 - len("https://example.com/"))
        webhook = await client.create(
            longest,
            name="n" * 256,
            event_types=[f"Family{n}.*" for n in range(500)],
            headers={f"x-{n}": "v" for n in range(18)} | {"h" * 64: "v" * 1024, "empty": ""},
            timeout=seconds(0.1),
            max_in_flight=1,
            rate_limit=10_000,
            labels={f"k{n}": "" for n in range(19)} | {"k" * 63: "v" * 256},
            retry_policy=webhook_pb2.RetryPolicy(delays=[seconds(0)] * 12 + [seconds(86400)] * 7, jitter=0.0),
        )
        assert webhook.url == longest
        assert await client.webhook(webhook.id) == webhook

    async def test_a_key_may_be_brought_along(self, client: Client) -> None:
        answer = await client.webhooks.CreateWebhook(create_request(client, signing_key=OWN_KEY))
        assert answer.signing_key == OWN_KEY

    async def test_a_repeated_request_answers_the_first_webhook(self, client: Client) -> None:
        first = await client.webhooks.CreateWebhook(create_request(client, request_id="r 1"))
        assert await client.webhooks.CreateWebhook(create_request(client, request_id="r 1")) == first
        await client.update(first.webhook.id, name="renamed")
        again = await client.webhooks.CreateWebhook(create_request(client, request_id="r 1"))
        assert (again.webhook.id, again.webhook.name, again.signing_key) == (
            first.webhook.id,
            "renamed",
            first.signing_key,
        )

    async def test_a_request_id_with_other_content_is_refused(self, client: Client) -> None:
        first = await client.webhooks.CreateWebhook(create_request(client, request_id="r1"))
        other = create_request(client, request_id="r1", signing_key=OWN_KEY)
        refusal = await refused(client.webhooks.CreateWebhook(other))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
        assert refusal.metadata == {"request_id": "r1"}
        await client.webhooks.DeleteWebhook(
            webhook_service_pb2.DeleteWebhookRequest(webhook_id=first.webhook.id, tenant_id=client.tenant)
        )
        assert (await client.webhooks.CreateWebhook(other)).signing_key == OWN_KEY


class TestList:
    async def page(self, client: Client, **fields: object) -> webhook_service_pb2.ListWebhooksResponse:
        return await client.webhooks.ListWebhooks(
            webhook_service_pb2.ListWebhooksRequest(tenant_id=client.tenant, **fields)
        )

    async def names(self, client: Client, **fields: object) -> set[str]:
        return {webhook.name for webhook in (await self.page(client, **fields)).webhooks}

    async def test_nothing(self, client: Client) -> None:
        assert await self.page(client) == webhook_service_pb2.ListWebhooksResponse()

    async def test_pages_newest_first(self, client: Client) -> None:
        made = [await client.create(name=f"w{n}") for n in range(5)]
        seen, token, sizes = [], "", []
        while True:
            page = await self.page(client, page_size=2, page_token=token)
            seen += page.webhooks
            sizes.append(len(page.webhooks))
            if not (token := page.next_page_token):
                break
        assert sizes == [2, 2, 1]
        assert seen == made[::-1]

    async def test_a_full_last_page_has_no_next(self, client: Client) -> None:
        for _ in range(2):
            await client.create()
        assert not (await self.page(client, page_size=2)).next_page_token

    async def test_the_page_size_may_change_between_pages(self, client: Client) -> None:
        for _ in range(3):
            await client.create()
        first = await self.page(client, page_size=1)
        rest = await self.page(client, page_size=2**31 - 1, page_token=first.next_page_token)
        assert len(rest.webhooks) == 2

    async def test_what_is_made_meanwhile_does_not_disturb(self, client: Client) -> None:
        made = [await client.create(name=f"w{n}") for n in range(3)]
        first = await self.page(client, page_size=2)
        await client.create(name="late")
        second = await self.page(client, page_size=2, page_token=first.next_page_token)
        assert [*first.webhooks, *second.webhooks] == made[::-1]

    async def test_states(self, client: Client) -> None:
        await client.create(name="on")
        off = await client.create(name="off")
        await client.webhooks.DisableWebhook(
            webhook_service_pb2.DisableWebhookRequest(webhook_id=off.id, tenant_id=client.tenant)
        )
        active, disabled, suspended = 1, 2, 3
        assert await self.names(client, states=[active]) == {"on"}
        assert await self.names(client, states=[disabled, suspended]) == {"off"}
        assert await self.names(client, states=[suspended]) == set()

    async def test_event_type(self, client: Client) -> None:
        for pattern in ("User.Created", "User.*", "*", "Role.*", "User.Data.*"):
            await client.create(name=pattern, event_types=[pattern])
        assert await self.names(client, event_type="User.Created") == {"User.Created", "User.*", "*"}
        assert await self.names(client, event_type="User.Data.Updated") == {"User.Data.*", "User.*", "*"}
        assert await self.names(client, event_type="User") == {"*"}

    async def test_labels(self, client: Client) -> None:
        await client.create(name="both", labels={"team": "crm", "env": "prod"})
        await client.create(name="one", labels={"team": "crm"})
        assert await self.names(client, labels={"team": "crm"}) == {"both", "one"}
        assert await self.names(client, labels={"team": "crm", "env": "prod"}) == {"both"}
        assert await self.names(client, labels={"team": "CRM"}) == set()

    async def test_query_is_literal_and_without_case(self, client: Client) -> None:
        await client.create(name="100% Größe_a")
        await client.create("https://example.com/Kunden", name="b")
        assert await self.names(client, query="GRÖß") == {"100% Größe_a"}
        assert await self.names(client, query="KUNDEN") == {"b"}
        assert await self.names(client, query="%") == {"100% Größe_a"}
        assert await self.names(client, query="_") == {"100% Größe_a"}
        assert await self.names(client, query="'; drop table webhooks; --") == set()

    async def test_a_page_fits_into_a_message(self, client: Client) -> None:
        big = {"event_types": [f"F{n:03}{'x' * 120}.*" for n in range(500)], "labels": {"k": "v" * 256}}
        made = [await client.create(name=f"w{n}", **big) for n in range(50)]
        seen, token = [], ""
        while True:
            page = await self.page(client, page_size=1000, page_token=token)
            assert page.ByteSize() < 4 * 1024 * 1024
            seen += page.webhooks
            if not (token := page.next_page_token):
                break
        assert seen == made[::-1]

    async def test_a_list_shows_no_secret(self, client: Client) -> None:
        answer = await client.webhooks.CreateWebhook(create_request(client))
        assert answer.signing_key not in str(await self.page(client))


class TestUpdate:
    async def test_a_hidden_value_given_back_stays(self, client: Client, receiver: Receiver) -> None:
        webhook = await client.create(receiver.url, headers={"Authorization": "Bearer abc", "X-Team": "crm"})
        read = await client.webhook(webhook.id)
        assert dict(read.headers) == {"Authorization": "***", "X-Team": "crm"}
        await client.update(webhook.id, "headers", headers={**read.headers, "X-Team": "ops", "X-Api-Key": "k"})
        assert dict((await client.webhook(webhook.id)).headers)["X-Api-Key"] == "***"
        await client.test(webhook.id, "User.Created")
        await client.test(webhook.id, "User.Created", headers={"Authorization": "***"})
        stored, given = await receiver.received(2)
        assert [stored.headers[name] for name in ("authorization", "x-team", "x-api-key")] == ["Bearer abc", "ops", "k"]
        assert (given.headers["authorization"], "x-team" in given.headers) == ("Bearer abc", False)

    async def test_nothing_is_stored_by_the_name_of_a_hidden_value(self, client: Client) -> None:
        webhook = await client.create(headers={"Authorization": "Bearer abc"})
        answer = await refused(client.update(webhook.id, "headers", headers={"X-Api-Key": "***"}))
        assert answer.violations.keys() == {'webhook.headers["X-Api-Key"]'}
        assert (await refused(client.create(headers={"X-Api-Key": "***"}))).violations.keys() == {
            'webhook.headers["X-Api-Key"]'
        }

    async def test_named_fields_only(self, client: Client) -> None:
        before = await client.create(**every_setting())
        after = await client.update(before.id, "name", "timeout", name="new", timeout=seconds(1), rate_limit=7)
        assert settings_of(after) == as_shown() | {"name": "new", "timeout": seconds(1)}
        assert after.etag != before.etag
        assert after.update_time.ToNanoseconds() > before.update_time.ToNanoseconds()
        assert after.create_time == before.create_time
        assert after.signing_keys == before.signing_keys
        assert await client.webhook(before.id) == after

    async def test_without_a_mask_what_is_set(self, client: Client) -> None:
        before = await client.create(**every_setting())
        after = await client.update(before.id, name="new", labels={"a": "b"})
        assert settings_of(after) == as_shown() | {"name": "new", "labels": {"a": "b"}}

    async def test_everything(self, client: Client) -> None:
        before = await client.create(**every_setting())
        minimal = {"name": "new", "url": "https://example.org/", "event_types": ["*"]}
        after = await client.update(before.id, "*", **minimal)
        assert settings_of(after) == DEFAULTS | minimal

    @pytest.mark.parametrize("name", list(DEFAULTS))
    async def test_named_and_not_set_is_put_back(self, client: Client, name: str) -> None:
        before = await client.create(**every_setting())
        after = await client.update(before.id, name)
        assert settings_of(after) == as_shown() | {name: DEFAULTS[name]}

    async def test_camel_case_as_tools_write_it(self, client: Client) -> None:
        before = await client.create(**every_setting())
        text = (
            f'{{"webhook": {{"id": "{before.id}", "tenantId": "{client.tenant}", "maxInFlight": 5}},'
            ' "updateMask": "maxInFlight,rateLimit"}'
        )
        request = json_format.Parse(text, webhook_service_pb2.UpdateWebhookRequest())
        after = (await client.webhooks.UpdateWebhook(request)).webhook
        assert settings_of(after) == as_shown() | {"max_in_flight": 5, "rate_limit": 0.0}

    async def test_a_path_may_occur_twice(self, client: Client) -> None:
        before = await client.create()
        assert (await client.update(before.id, "name", "name", name="new")).name == "new"

    async def test_the_right_etag(self, client: Client) -> None:
        before = await client.create()
        assert (await client.update(before.id, etag=before.etag, name="new")).name == "new"

    async def test_a_stale_etag(self, client: Client) -> None:
        before = await client.create()
        now = await client.update(before.id, name="theirs")
        refusal = await refused(client.update(before.id, etag=before.etag, name="mine"))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
        assert refusal.metadata == {"etag": now.etag}
        assert await client.webhook(before.id) == now

    async def test_subscriptions_follow(self, client: Client, receiver: Receiver) -> None:
        webhook = await client.create(receiver.url, event_types=["Role.Created"])
        assert (await client.emit()).delivery_count == 0
        await client.update(webhook.id, "event_types", event_types=["User.*"])
        assert (await client.emit()).delivery_count == 1
        assert (await client.emit(type="Role.Created")).delivery_count == 0

    async def test_later_attempts_go_by_the_new_settings(self, client: Client, receiver: Receiver) -> None:
        webhook = await client.create(f"{receiver.url}/old")
        await client.ended((await client.emit()).event_id)
        await client.update(webhook.id, url=f"{receiver.url}/new", headers={"x-new": "1"})
        await client.ended((await client.emit()).event_id)
        old, new = await receiver.received(2)
        assert (old.path, new.path) == ("/old", "/new")
        assert "x-new" not in old.headers
        assert new.headers["x-new"] == "1"


def named(client: Client, webhook: webhook_pb2.Webhook, kind: type, **fields: object) -> object:
    return kind(webhook_id=webhook.id, tenant_id=client.tenant, **fields)


class TestDelete:
    async def test_it_is_gone(self, client: Client) -> None:
        webhook = await client.create()
        request = named(client, webhook, webhook_service_pb2.DeleteWebhookRequest, etag=webhook.etag)
        assert (await client.webhooks.DeleteWebhook(request)).cancelled_delivery_count == 0
        refusal = await refused(client.webhook(webhook.id))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND")
        assert (await refused(client.webhooks.DeleteWebhook(request))).code == grpc.StatusCode.NOT_FOUND
        assert (await client.emit()).delivery_count == 0

    async def test_a_stale_etag(self, client: Client) -> None:
        webhook = await client.create()
        request = named(client, webhook, webhook_service_pb2.DeleteWebhookRequest, etag='"7"')
        assert (await refused(client.webhooks.DeleteWebhook(request))).reason == "ETAG_MISMATCH"
        assert await client.webhook(webhook.id) == webhook

    async def test_waiting_deliveries_are_cancelled_and_stay_in_the_log(
        self, client: Client, receiver: Receiver
    ) -> None:
        receiver.answers.append((500, "no"))
        slow = await client.create(receiver.url, retry_policy=webhook_pb2.RetryPolicy(delays=[seconds(3600)]))
        event = (await client.emit()).event_id

        async def failed_once() -> bool | None:
            (entry,) = (await client.event(event)).deliveries
            return True if entry.attempt_count else None

        await eventually(failed_once)
        answer = await client.webhooks.DeleteWebhook(named(client, slow, webhook_service_pb2.DeleteWebhookRequest))
        assert answer.cancelled_delivery_count == 1
        (entry,) = (await client.event(event)).deliveries
        assert (entry.state, entry.attempt_count) == (4, 1)
        assert entry.HasField("finish_time")
        assert not entry.HasField("next_attempt_time")


class TestEnableAndDisable:
    async def test_there_and_back(self, client: Client) -> None:
        webhook = await client.create()
        request = named(client, webhook, webhook_service_pb2.DisableWebhookRequest, reason="on holiday 🏖")
        disabled = (await client.webhooks.DisableWebhook(request)).webhook
        assert (disabled.state, disabled.state_reason) == (webhook_pb2.WEBHOOK_STATE_DISABLED, "on holiday 🏖")
        assert disabled.etag != webhook.etag
        assert (await client.webhooks.DisableWebhook(request)).webhook == disabled
        assert (await client.emit()).delivery_count == 0
        enable = named(client, webhook, webhook_service_pb2.EnableWebhookRequest)
        enabled = (await client.webhooks.EnableWebhook(enable)).webhook
        assert (enabled.state, enabled.state_reason) == (webhook_pb2.WEBHOOK_STATE_ACTIVE, "")
        assert (await client.webhooks.EnableWebhook(enable)).webhook == enabled
        assert (await client.emit()).delivery_count == 1

    async def test_waiting_deliveries_go_on(self, client: Client, receiver: Receiver) -> None:
        receiver.answers.append((500, "no"))
        policy = webhook_pb2.RetryPolicy(delays=[seconds(1)], jitter=0.0)
        webhook = await client.create(receiver.url, retry_policy=policy)
        event = (await client.emit()).event_id
        await receiver.received(1)
        await client.webhooks.DisableWebhook(named(client, webhook, webhook_service_pb2.DisableWebhookRequest))
        await client.webhooks.EnableWebhook(named(client, webhook, webhook_service_pb2.EnableWebhookRequest))
        (entry,) = await client.ended(event)
        assert [attempt.status_code for attempt in entry.attempts] == [500, 200]

    async def test_gone_suspends_and_enabling_ends_it(self, client: Client, receiver: Receiver) -> None:
        receiver.answers.append((410, "gone"))
        webhook = await client.create(receiver.url)
        await client.ended((await client.emit()).event_id)

        async def suspended() -> webhook_pb2.Webhook | None:
            found = await client.webhook(webhook.id)
            return found if found.state == webhook_pb2.WEBHOOK_STATE_SUSPENDED else None

        assert "410" in (await eventually(suspended)).state_reason
        await client.webhooks.EnableWebhook(named(client, webhook, webhook_service_pb2.EnableWebhookRequest))
        assert (await client.emit()).delivery_count == 1


def hex_matches(request: Received, key: str) -> bool:
    expected = hmac.new(key.encode(), request.body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(request.headers["hookpost-signature-sha-256"], expected)


def standard_matches(request: Received, key: str) -> bool:
    try:
        Verifier(key).verify(request.body, request.headers)
    except Exception:
        return False
    return True


class TestSigningKeys:
    async def rotate(self, client: Client, webhook: webhook_pb2.Webhook, **fields: object) -> object:
        return await client.webhooks.RotateSigningKey(
            named(client, webhook, webhook_service_pb2.RotateSigningKeyRequest, **fields)
        )

    async def secrets(self, client: Client, webhook: webhook_pb2.Webhook) -> list[str]:
        request = named(client, webhook, webhook_service_pb2.GetSigningKeyRequest)
        return [key.secret for key in (await client.webhooks.GetSigningKey(request)).keys]

    async def test_reveal(self, client: Client) -> None:
        made = await client.webhooks.CreateWebhook(create_request(client))
        request = named(client, made.webhook, webhook_service_pb2.GetSigningKeyRequest)
        (revealed,) = (await client.webhooks.GetSigningKey(request)).keys
        assert revealed.secret == made.signing_key
        assert revealed.key == made.webhook.signing_keys[0]

    async def test_rotate_at_once(self, client: Client, receiver: Receiver) -> None:
        webhook = await client.create(receiver.url)
        (old,) = await self.secrets(client, webhook)
        await client.ended((await client.emit()).event_id)
        answer = await self.rotate(client, webhook)
        assert answer.signing_key != old
        assert [key.id for key in answer.webhook.signing_keys] != [key.id for key in webhook.signing_keys]
        assert len(answer.webhook.signing_keys) == 1
        assert answer.webhook.etag != webhook.etag
        assert await self.secrets(client, webhook) == [answer.signing_key]
        await client.ended((await client.emit()).event_id)
        before, after = await receiver.received(2)
        assert hex_matches(before, old)
        assert standard_matches(before, old)
        assert hex_matches(after, answer.signing_key)
        assert standard_matches(after, answer.signing_key)
        assert not standard_matches(after, old)
        assert len(after.headers["webhook-signature"].split()) == 1

    async def test_rotate_with_overlap(self, client: Client, receiver: Receiver) -> None:
        webhook = await client.create(receiver.url)
        (old,) = await self.secrets(client, webhook)
        answer = await self.rotate(client, webhook, overlap=seconds(3600))
        current, former = answer.webhook.signing_keys
        assert not current.HasField("expire_time")
        assert former.id == webhook.signing_keys[0].id
        span = former.expire_time.ToNanoseconds() - current.create_time.ToNanoseconds()
        assert abs(span / 1e9 - 3600) < 10
        assert await self.secrets(client, webhook) == [answer.signing_key, old]
        await client.ended((await client.emit()).event_id)
        (request,) = await receiver.received(1)
        assert hex_matches(request, answer.signing_key)
        assert standard_matches(request, answer.signing_key)
        assert standard_matches(request, old)
        assert len(request.headers["webhook-signature"].split()) == 2

    async def test_an_overlap_can_be_cut_short(self, client: Client) -> None:
        webhook = await client.create()
        await self.rotate(client, webhook, overlap=seconds(7 * 86400))
        latest = await self.rotate(client, webhook)
        assert await self.secrets(client, webhook) == [latest.signing_key]

    async def test_a_key_may_be_brought_along(self, client: Client) -> None:
        webhook = await client.create()
        assert (await self.rotate(client, webhook, signing_key=OWN_KEY)).signing_key == OWN_KEY
        assert await self.secrets(client, webhook) == [OWN_KEY]

    async def test_a_repeated_request_changes_nothing(self, client: Client) -> None:
        webhook = await client.create()
        first = await self.rotate(client, webhook, overlap=seconds(60), request_id="r1")
        assert await self.rotate(client, webhook, overlap=seconds(60), request_id="r1") == first
        second = await self.rotate(client, webhook, overlap=seconds(60), request_id="r2")
        assert second.signing_key != first.signing_key


async def test_a_mask_on_the_wire_is_in_snake_case(client: Client) -> None:
    webhook = await client.create()
    request = webhook_service_pb2.UpdateWebhookRequest(
        webhook=webhook, update_mask=field_mask_pb2.FieldMask(paths=["maxInFlight"])
    )
    refusal = await refused(client.webhooks.UpdateWebhook(request))
    assert refusal.violations.keys() == {"update_mask.paths[0]"}
