"""Ids: UUIDv7 inside, TypeID outside, both in order of creation."""

from __future__ import annotations

import itertools
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hookpost_server.domain import ids

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
UUIDS = st.integers(0, 2**128 - 1).map(lambda number: UUID(int=number))
# Valid cases of the TypeID specification 0.3.
VECTORS = [
    ("00000000-0000-0000-0000-000000000000", "00000000000000000000000000"),
    ("00000000-0000-0000-0000-000000000001", "00000000000000000000000001"),
    ("00000000-0000-0000-0000-00000000000a", "0000000000000000000000000a"),
    ("00000000-0000-0000-0000-000000000010", "0000000000000000000000000g"),
    ("00000000-0000-0000-0000-000000000020", "00000000000000000000000010"),
    ("ffffffff-ffff-ffff-ffff-ffffffffffff", "7zzzzzzzzzzzzzzzzzzzzzzzzz"),
    ("0110c853-1d09-52d8-d73e-1194e95b5f19", "0123456789abcdefghjkmnpqrs"),
    ("01890a5d-ac96-774b-bcce-b302099a8057", "01h455vb4pex5vsknk084sn02q"),
]


@pytest.mark.parametrize(("uuid", "suffix"), VECTORS)
def test_the_vectors_of_the_specification(uuid: str, suffix: str) -> None:
    assert ids.text("evt", UUID(uuid)) == f"evt_{suffix}"
    assert ids.parse("evt", f"evt_{suffix}") == UUID(uuid)


@given(UUIDS)
def test_there_and_back(identity: UUID) -> None:
    text = ids.text("whk", identity)
    assert text == "whk_" + "".join(ALPHABET[identity.int >> 5 * n & 31] for n in range(25, -1, -1))
    assert ids.parse("whk", text) == identity


@given(UUIDS, UUIDS)
def test_both_forms_sort_alike(one: UUID, other: UUID) -> None:
    assert (one < other) == (ids.text("evt", one) < ids.text("evt", other))


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("", id="empty"),
        pytest.param("evt", id="prefix alone"),
        pytest.param("evt_", id="no suffix"),
        pytest.param("01h455vb4pex5vsknk084sn02q", id="no prefix"),
        pytest.param("_01h455vb4pex5vsknk084sn02q", id="empty prefix"),
        pytest.param("whk_01h455vb4pex5vsknk084sn02q", id="another prefix"),
        pytest.param("EVT_01h455vb4pex5vsknk084sn02q", id="prefix in upper case"),
        pytest.param("evt_01H455VB4PEX5VSKNK084SN02Q", id="suffix in upper case"),
        pytest.param("evt_evt_01h455vb4pex5vsknk084sn02q", id="two prefixes"),
        pytest.param("evt_1h455vb4pex5vsknk084sn02q", id="25 characters"),
        pytest.param("evt_001h455vb4pex5vsknk084sn02q", id="27 characters"),
        pytest.param("evt_8zzzzzzzzzzzzzzzzzzzzzzzzz", id="more than 128 bits"),
        pytest.param("evt_01h455vb4pex5vsknk084sn02u", id="letter u"),
        pytest.param("evt_01h455vb4pex5vsknk084sn02l", id="letter l"),
        pytest.param("evt_01h455vb4pex5vsknk084sn02i", id="letter i"),
        pytest.param("evt_01h455vb4pex5vsknk084sn02o", id="letter o"),
        pytest.param("evt_01h455vb4pex5vsknk084sn02q\n", id="line feed"),
        pytest.param(" evt_01h455vb4pex5vsknk084sn02q", id="space"),
        pytest.param("evt_01h455vb4pex5vsknk084sn02١", id="Arabic digit"),
        pytest.param("01890a5d-ac96-774b-bcce-b302099a8057", id="UUID"),
    ],
)
def test_refused(value: str) -> None:
    with pytest.raises(ValueError, match='must be "evt_" and 26 characters'):
        ids.parse("evt", value)


@given(st.text(max_size=40) | st.text(ALPHABET + "_", min_size=26, max_size=30).map(lambda suffix: "evt_" + suffix))
def test_what_is_read_is_written_the_same(value: str) -> None:
    try:
        identity = ids.parse("evt", value)
    except ValueError:
        return
    assert ids.text("evt", identity) == value


@given(st.integers(1_600_000_000_000, 4_000_000_000_000))
@example(2_158_345_324_015)  # in 2038, where a float times 1000 is a little too small
def test_a_moment_is_found_in_its_ids(milliseconds: int) -> None:
    first = ids.first_of(milliseconds / 1000)
    assert first.int == milliseconds << 80
    assert ids.seconds_of(first) == milliseconds / 1000


def test_before_1970_the_first_id_is_the_first_of_all() -> None:
    assert ids.first_of(-1) == UUID(int=0)


def test_new_ids_are_uuid_7_and_ascend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids, "_last_tick", 0)
    moments = [1_700_000_000.5, 1_700_000_000.5, 1_699_999_999.0, *(1_700_000_001.0 + n / 1e5 for n in range(5000))]
    made = [ids.new(moment) for moment in moments]
    assert all(earlier < later for earlier, later in itertools.pairwise(made))
    assert {(each.version, each.variant) for each in made} == {(7, "specified in RFC 4122")}
    assert ids.seconds_of(made[0]) == 1_700_000_000.5
    assert ids.seconds_of(made[2]) == 1_700_000_000.5  # the clock was set back: time stands still, ids go on
    assert ids.first_of(1_700_000_000.5) <= made[0] < ids.first_of(1_700_000_000.501)
    assert len({each.int & (2**62 - 1) for each in made}) == len(made)


@given(UUIDS, UUIDS, UUIDS)
def test_a_delivery_lies_with_its_event_and_is_one_for_each_webhook(event: UUID, webhook: UUID, other: UUID) -> None:
    made = ids.delivery(event, webhook)
    first, last = ids.deliveries_of(event)
    assert made == ids.delivery(event, webhook)
    assert first <= made <= last
    assert first.int >> 48 == last.int >> 48 == made.int >> 48 == event.int >> 48
    assert (made == ids.delivery(event, other)) == (webhook == other)


def test_the_id_of_a_delivery_is_what_sql_makes_it() -> None:
    event, webhook = UUID("01890a5d-ac96-774b-bcce-b302099a8057"), UUID("01890a5d-ac96-774b-8bcd-000000000001")
    # left(event::text, 24) || left(md5(event::text || webhook::text), 12), worked out by hand
    assert ids.delivery(event, webhook) == UUID("01890a5d-ac96-774b-bcce-0edb4e39ce8b")
