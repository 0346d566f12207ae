"""What Logto's webhooks can do, each with the tests that show it of Hookpost; and a check that this and README.md are
not out of date."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CONSOLE = "console: later issue"
NOT_A_SENDERS = "not a sender's"


@dataclass(frozen=True)
class Row:
    """A capability of Logto. Tests are named below tests/."""

    number: int
    capability: str
    tests: tuple[str, ...] = ()
    note: str = ""


def row(number: int, capability: str, *tests: str, note: str = "") -> Row:
    return Row(number, capability, tests, note)


MANAGEMENT = "logto/test_management.py::"
SENDS = "logto/test_test_sends.py::"
STATS = "logto/test_stats.py::"
RETRIES = "logto/test_retries.py::"
PAYLOADS = "logto/test_payloads.py::"
SIGNATURE = "logto/test_signature.py::"
SCENARIOS = "logto/test_scenarios.py::"
BEYOND = "logto/test_beyond.py::"
SHAPE = f"{PAYLOADS}test_shape"

TABLE = [
    row(
        1,
        "Create webhook: name, URL, events",
        f"{MANAGEMENT}test_the_whole_cycle",
        "rpc/test_webhooks.py::TestCreate::test_every_setting_comes_back",
    ),
    row(
        2,
        "Name for own reference",
        f"{MANAGEMENT}test_an_empty_name",
        f"{MANAGEMENT}test_a_patch_changes_what_it_names",
    ),
    row(
        3,
        "URL: POST, public HTTPS, not local host",
        f"{MANAGEMENT}test_an_url_that_is_none",
        "unit/test_url.py::test_refused_in_words_that_help",
        "unit/test_url.py::test_http_needs_a_setting",
        "delivery/test_sender_addresses.py::test_this_machine_is_not_reached",
        "delivery/test_sender_addresses.py::test_private_addresses_are_refused",
    ),
    row(
        4,
        "Select one or many events, change later",
        f"{MANAGEMENT}test_several_events",
        f"{MANAGEMENT}test_the_available_events",
        "rpc/test_webhooks.py::TestUpdate::test_subscriptions_follow",
    ),
    row(5, "Enabled at once after creation", f"{MANAGEMENT}test_defaults", f"{SIGNATURE}test_the_request"),
    row(
        6,
        "Disable / reactivate in three-dots menu",
        f"{MANAGEMENT}test_a_disabled_webhook_gets_nothing",
        note=f"the menu: {CONSOLE}",
    ),
    row(7, "Delete webhook", f"{MANAGEMENT}test_the_whole_cycle", f"{MANAGEMENT}test_a_deleted_webhook_keeps_its_log"),
    row(
        8, "Signing key per webhook, generated", f"{MANAGEMENT}test_defaults", f"{SIGNATURE}test_a_key_for_each_webhook"
    ),
    row(
        9,
        "Signature per request payload, HMAC SHA-256 hex",
        f"{SIGNATURE}test_every_event_of_every_family_verifies",
        f"{SIGNATURE}test_over_the_raw_body",
        f"{SIGNATURE}test_the_signature_can_not_be_overridden",
        "unit/test_signing.py::test_hex_signature_as_logto_makes_it",
    ),
    row(
        10,
        "Regenerate key",
        f"{MANAGEMENT}test_a_new_key_changes_the_key_alone",
        f"{MANAGEMENT}test_a_new_key_of_an_unknown_webhook",
        f"{MANAGEMENT}test_a_patch_can_not_change_the_key",
        "rpc/test_webhooks.py::TestSigningKeys::test_rotate_with_overlap",
    ),
    row(
        11,
        "Reveal / copy key",
        "rpc/test_webhooks.py::TestSigningKeys::test_reveal",
        f"{SIGNATURE}test_a_key_brought_along_from_logto",
        note=f"the eye and the copy button: {CONSOLE}",
    ),
    row(12, "Custom headers", f"{SIGNATURE}test_custom_headers", f"{SIGNATURE}test_what_can_be_overridden"),
    row(
        13,
        "Header checks (duplicate, invalid)",
        f"{SIGNATURE}test_header_checks",
        "unit/test_headers.py::test_what_is_accepted_can_not_break_the_request",
    ),
    row(
        14,
        '"Send test payload": a sample per selected event',
        f"{SENDS}test_once_for_each_event",
        f"{SENDS}test_all_that_is_subscribed_to",
        f"{SENDS}test_the_form_before_it_is_saved",
        f"{SENDS}test_while_disabled",
    ),
    row(
        15,
        "Test data anonymous and not recorded",
        f"{SENDS}test_nothing_of_it_is_kept",
        "unit/test_catalogue.py::test_example_names_nobody",
    ),
    row(
        16,
        "Test shows status/body of the failure",
        f"{SENDS}test_an_endpoint_that_answers_500",
        f"{SENDS}test_nobody_listens",
    ),
    row(
        17,
        "Health: success rate + requests in 24 h in the list",
        f"{STATS}TestStats::test_one_delivery",
        f"{STATS}TestStats::test_the_list_has_them_on_every_webhook",
        f"{STATS}TestStats::test_deliveries_are_counted_and_not_attempts",
        "store/test_record.py::test_health_equals_the_log",
    ),
    row(18, "Colours by rate (90 / 99)", note=CONSOLE),
    row(
        19,
        "Recent requests of 24 h, each with details",
        f"{STATS}TestRecentLogs::test_a_registration_is_in_the_log",
        f"{STATS}TestRecentLogs::test_what_an_entry_says",
        f"{STATS}TestRecentLogs::test_nobody_listens",
        f"{STATS}TestTimeWindow::test_24_hours_by_default",
    ),
    row(20, "Filter recent requests by event", f"{STATS}TestRecentLogs::test_by_event_and_by_page"),
    row(
        21,
        "Own time window over the API",
        f"{STATS}TestTimeWindow::test_start_and_end",
        f"{STATS}TestTimeWindow::test_the_end_before_the_start",
        f"{STATS}TestTimeWindow::test_no_time",
    ),
    row(
        22,
        "Capped count",
        f"{STATS}TestRecentLogs::test_by_event_and_by_page",
        note="pages go by tokens; nothing is counted to show one",
    ),
    row(
        23,
        "Retry on status >= 500, up to three times",
        f"{RETRIES}test_server_errors",
        f"{RETRIES}test_two_server_errors_and_then_success",
        f"{RETRIES}test_fewer_retries",
        "unit/test_retry.py::test_the_default_is_four_attempts",
    ),
    row(
        24,
        "One log entry for all retries",
        f"{RETRIES}test_server_errors",
        f"{RETRIES}test_two_server_errors_and_then_success",
        "rpc/test_deliveries.py::test_an_entry_with_its_attempts",
    ),
    row(
        25,
        "No retry on 4xx / network / time-out",
        f"{RETRIES}test_errors_of_the_request",
        f"{RETRIES}test_connection_reset",
        f"{RETRIES}test_connection_reset_without_retries",
        f"{RETRIES}test_no_answer_in_time",
        note="on purpose: no answer at all is retried, and so are 408, 425 and 429",
    ),
    row(
        26,
        "Ignore Retry-After",
        f"{RETRIES}test_retry_after_0",
        f"{RETRIES}test_retry_after_a_day",
        f"{RETRIES}test_retry_after_is_for_429_and_503",
        note="on purpose: it is heeded with 429 and 503, within 24 h",
    ),
    row(27, "Time-out 10 s", f"{MANAGEMENT}test_defaults", f"{RETRIES}test_no_answer_in_time"),
    row(
        28,
        "Answer 2xx fast, work in own queue (advice)",
        f"{RETRIES}test_any_2xx_is_success",
        note="the explanation of a time-out gives the advice",
    ),
    row(
        29,
        "Events for user account, role, permission, organization, organization role, organization permission, "
        "interaction",
        f"{PAYLOADS}test_every_type_is_there",
        f"{SCENARIOS}test_each_route_tells_its_event",
        f"{SCENARIOS}test_a_role_with_scopes",
        f"{SCENARIOS}test_an_organization_role_with_scopes",
        f"{SCENARIOS}test_a_user_deleted",
        f"{SCENARIOS}test_a_user_changes_their_own_account",
    ),
    row(
        30,
        "PostRegister, PostSignIn, PostResetPassword",
        f"{SCENARIOS}test_registration",
        f"{SCENARIOS}test_sign_in_without_change",
        f"{SCENARIOS}test_sign_in_that_fills_the_profile",
        f"{SCENARIOS}test_password_reset",
    ),
    row(31, "Payload with user id, user name, email", f"{SCENARIOS}test_registration", SHAPE),
    row(32, "IP and user agent in payload", f"{SCENARIOS}test_sign_in_without_change", SHAPE),
    row(33, "Several webhooks on one event", f"{SCENARIOS}test_registration", f"{BEYOND}test_the_use_cases"),
    row(34, "Asynchronous, flow never waits or fails", f"{BEYOND}test_the_caller_never_waits"),
    row(35, "Synchronous webhooks", f"{BEYOND}test_the_caller_may_wait", note="which Logto does not have"),
    row(
        36,
        "Management API context in payload (path, method, status, params, matchedRoute)",
        SHAPE,
        f"{SCENARIOS}test_each_route_tells_its_event",
    ),
    row(37, "Application object", SHAPE, f"{PAYLOADS}test_a_client_without_registration"),
    row(
        38,
        "Membership delta arrays, cap 5000",
        f"{PAYLOADS}test_delta_arrays",
        f"{PAYLOADS}test_the_cap_of_delta_arrays",
        f"{SCENARIOS}test_membership",
        f"{SCENARIOS}test_invitation",
        f"{SCENARIOS}test_just_in_time_provisioning",
        note=f"which members changed, and to cut a list: {NOT_A_SENDERS}",
    ),
    row(
        39,
        "Exception events (lockout, message limit, grant limit)",
        f"{SCENARIOS}test_lockout",
        f"{SCENARIOS}test_rate_limited",
        f"{SCENARIOS}test_grant_limit",
    ),
    row(40, "Adaptive MFA event", f"{SCENARIOS}test_sign_in_with_mfa", f"{MANAGEMENT}test_adaptive_mfa"),
    row(41, "Trusted device events (experimental)", SHAPE, f"{MANAGEMENT}test_the_available_events"),
    row(
        42,
        "Legacy single `event` and `retries`",
        f"{RETRIES}test_fewer_retries",
        note="there are no old webhooks: a list of one, and a policy, stand for them",
    ),
    row(
        43,
        "REST API with paging and stats",
        f"{MANAGEMENT}test_pages",
        f"{STATS}TestStats::test_the_list_has_them_on_every_webhook",
        "rpc/test_webhooks.py::TestList::test_pages_newest_first",
        note="over gRPC",
    ),
    row(
        44,
        "Masking of sensitive keys in logs",
        f"{STATS}TestRecentLogs::test_what_an_entry_says",
        "rpc/test_webhooks.py::TestList::test_a_list_shows_no_secret",
        note="headers are masked; a payload is shown as it was signed and sent",
    ),
    row(
        45,
        "Concurrency limit 10",
        "delivery/test_engine.py::test_the_cap_in_flight_of_a_webhook",
        "delivery/test_engine.py::test_the_cap_in_flight_of_the_process",
    ),
    row(46, "Quota on number of hooks", note=f"{NOT_A_SENDERS}: there is no plan to pay for"),
    row(47, "Test result kept for the session", note=CONSOLE),
    row(48, "Unsaved-changes guard", note=CONSOLE),
    row(49, "Multi-language Console", note=CONSOLE),
    row(50, "Event for role assignment / org role change", f"{BEYOND}test_an_event_of_ones_own"),
    row(51, "Event for social sign-in with tokens", f"{BEYOND}test_an_event_of_ones_own"),
    row(
        52,
        "Durable queue, retry while offline, notice of loss",
        f"{BEYOND}test_a_receiver_that_was_away",
        f"{BEYOND}test_all_changes_can_be_watched",
        "faults/test_faults.py::test_nothing_is_lost",
        "delivery/test_shutdown.py::test_what_a_stopped_process_left_is_done_by_the_next",
    ),
    row(53, "Manual resend of a logged request", f"{BEYOND}test_a_request_can_be_sent_again"),
    row(54, "Unique message id", f"{BEYOND}test_a_message_has_an_id"),
    row(
        55,
        "Case: welcome mail, CRM notice, role assignment, data sync, reports",
        f"{BEYOND}test_the_use_cases",
    ),
    row(56, "Three-dots menu in the header, top right", note=CONSOLE),
    row(57, 'Link to "secure your webhooks" code', note=CONSOLE),
]
CASES = re.findall(r"`(test_\w+\.py::[\w:]+)`", (HERE / "README.md").read_text(encoding="utf-8"))


def find(test: str) -> object:
    """What "package/test_module.py::Class::test_name", below tests/, names."""
    path, *names = test.split("::")
    found: object = importlib.import_module("tests." + path.removesuffix(".py").replace("/", "."))
    for name in names:
        found = getattr(found, name)
    assert names[-1].startswith("test_")
    return found


def collected(module: str) -> Iterator[str]:
    """The names of all tests of a module of this package, as `find` reads them."""
    found = importlib.import_module(f"tests.logto.{module}")
    for name, member in vars(found).items():
        if name.startswith("test_") and inspect.isfunction(member):
            yield f"logto/{module}.py::{name}"
        elif name.startswith("Test") and inspect.isclass(member):
            yield from (f"logto/{module}.py::{name}::{each}" for each in vars(member) if each.startswith("test_"))


def test_the_rows_are_all_there() -> None:
    assert [each.number for each in TABLE] == list(range(1, 58))


@pytest.mark.parametrize("entry", TABLE, ids=lambda entry: f"{entry.number} {entry.capability}")
def test_a_capability_has_tests_or_a_reason(entry: Row) -> None:
    assert entry.tests or entry.note.startswith((CONSOLE, NOT_A_SENDERS))
    assert len(set(entry.tests)) == len(entry.tests)
    for test in entry.tests:
        assert inspect.isfunction(find(test)), test


@pytest.mark.parametrize("test", sorted(set(CASES)))
def test_a_case_has_its_test(test: str) -> None:
    assert inspect.isfunction(find(f"logto/{test}")), test


def test_no_test_is_forgotten() -> None:
    named = {test for entry in TABLE for test in entry.tests} | {f"logto/{test}" for test in CASES}
    modules = [path.stem for path in HERE.glob("test_*.py") if path.stem != Path(__file__).stem]
    assert len(modules) == 8
    assert {test for module in modules for test in collected(module)} - named == set()
