"""Page sizes and page tokens: opaque, and good for the list and the filter they came from only."""

from __future__ import annotations

import base64
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookpost.v1.delivery_service_pb2 import DeliveryFilter, ListDeliveriesRequest
from hookpost.v1.event_service_pb2 import ListEventsRequest
from hookpost.v1.event_type_service_pb2 import ListEventTypesRequest
from hookpost.v1.webhook_service_pb2 import ListWebhooksRequest
from hookpost_server.domain.errors import InvalidFields
from hookpost_server.rpc import paging

LAST = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
LABELS = {f"label-{n}": str(n) for n in range(20)}


def webhooks(**fields: Any) -> ListWebhooksRequest:
    return ListWebhooksRequest(**fields)


def refusal(request: Any) -> str:
    with pytest.raises(InvalidFields) as caught:
        paging.id_position(request)
    (fault,) = caught.value.violations
    assert fault.field == "page_token"
    return fault.description


@pytest.mark.parametrize(
    ("asked", "size"), [(0, 50), (1, 1), (50, 50), (999, 999), (1000, 1000), (1001, 1000), (2**31 - 1, 1000)]
)
def test_sizes(asked: int, size: int) -> None:
    assert paging.size(webhooks(page_size=asked)) == size


@pytest.mark.parametrize("asked", [-1, -(2**31)])
def test_a_negative_size_is_refused(asked: int) -> None:
    with pytest.raises(InvalidFields, match="page_size: must not be negative; 0 means 50"):
        paging.size(webhooks(page_size=asked))


def test_the_first_page_has_no_token() -> None:
    assert paging.position(webhooks()) is None
    assert paging.id_position(webhooks()) is None


@given(st.binary(min_size=1, max_size=130))
def test_there_and_back(last: bytes) -> None:
    request = webhooks(tenant_id="a", query="q", labels=LABELS)
    token = paging.token(request, last)
    assert token.isascii() and token.replace("-", "").replace("_", "").isalnum()
    for size in (0, 1, 500):
        following = webhooks(tenant_id="a", query="q", labels=dict(reversed(LABELS.items())))
        following.page_size, following.page_token = size, token
        assert paging.position(following) == last


def test_a_page_in_the_middle_makes_tokens_for_the_same_list() -> None:
    middle = webhooks(page_token=paging.token(webhooks(), bytes(16)), page_size=7)
    assert paging.id_position(webhooks(page_token=paging.token(middle, LAST.bytes))) == LAST


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(webhooks(tenant_id="b"), id="another tenant"),
        pytest.param(webhooks(tenant_id="a", query="q"), id="another query"),
        pytest.param(webhooks(tenant_id="a", labels={"x": "y"}), id="other labels"),
        pytest.param(webhooks(tenant_id="a", states=[1]), id="other states"),
        pytest.param(ListEventsRequest(tenant_id="a"), id="another list"),
        pytest.param(ListDeliveriesRequest(tenant_id="a"), id="a third list"),
        pytest.param(ListDeliveriesRequest(filter=DeliveryFilter(event_type="a")), id="another filter"),
        pytest.param(ListEventTypesRequest(), id="list of names"),
    ],
)
def test_a_token_of_another_list_is_refused(other: Any) -> None:
    other.page_token = paging.token(webhooks(tenant_id="a"), LAST.bytes)
    assert "is not a next_page_token of this call with these other fields; begin without one" in refusal(other)


GOOD = paging.token(webhooks(), LAST.bytes)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("x", id="no base64"),
        pytest.param("!" * len(GOOD), id="no base64 at all"),
        pytest.param("é" * 8, id="beyond ASCII"),
        pytest.param("=", id="padding alone"),
        pytest.param(" " + GOOD, id="space"),
        pytest.param("    " + GOOD, id="spaces that keep the length"),
        pytest.param(GOOD + "\n", id="line feed"),
        pytest.param(GOOD[: len(GOOD) // 2], id="cut off"),
        pytest.param(GOOD[:12], id="no position"),
        pytest.param(GOOD[:-4], id="short position"),
        pytest.param(GOOD + "AAAA", id="long position"),
        pytest.param("B" + GOOD[1:], id="another version"),
        pytest.param("whk_01h455vb4pex5vsknk084sn02q", id="an id"),
        pytest.param(base64.urlsafe_b64encode(bytes(25)).decode(), id="zeros"),
        pytest.param("A" * 1_000_000, id="long"),
    ],
)
def test_a_token_that_is_none_is_refused(token: str) -> None:
    assert "begin without one" in refusal(webhooks(page_token=token))


@given(st.integers(0, 24), st.integers(1, 255))
def test_no_byte_but_the_positions_can_change(at: int, flip: int) -> None:
    content = bytearray(base64.urlsafe_b64decode(GOOD + "=" * (-len(GOOD) % 4)))
    content[at] ^= flip
    request = webhooks(page_token=base64.urlsafe_b64encode(content).decode())
    if at < 9:
        assert "begin without one" in refusal(request)
    else:
        assert paging.id_position(request) not in (None, LAST)
