"""What hypothesis may choose: few values each, so that they meet."""

from __future__ import annotations

from hypothesis import strategies as st

from .expected import OUTCOMES, POLICIES

ROOMS = st.sampled_from((1000, 2, 1))
KINDS = st.sampled_from(("User.Created", "User.Deleted", "Role.Created"))
PATTERNS = st.sets(
    st.sampled_from(("*", "User.*", "User.Created", "Role.Created", "Other.*")), min_size=1, max_size=3
).map(lambda patterns: tuple(sorted(patterns)))
CONTENTS = st.fixed_dictionaries(
    {
        "kind": KINDS,
        "idempotency_key": st.sampled_from((None, None, "a", "b", "c")),
        "payload": st.sampled_from((b'{"n": 1}', b'{"n": 2}')),
    }
)
BATCHES = st.lists(CONTENTS, min_size=1, max_size=3)
ENDS = st.lists(st.sampled_from(sorted(OUTCOMES)), min_size=1, max_size=4)
SETTINGS = st.fixed_dictionaries(
    {
        "event_types": PATTERNS,
        "url": st.sampled_from(("https://example.com/a", "https://example.com/b")),
        "max_in_flight": st.sampled_from((1, 16)),
        "retry_policy": st.sampled_from(POLICIES),
    }
)
