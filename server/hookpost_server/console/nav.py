"""The main navigation, in order."""

from __future__ import annotations

# (key of the text `nav.…`, path, key to press after g)
NAV = (
    ("webhooks", "/webhooks", "w"),
    ("events", "/events", "e"),
    ("live", "/live", "l"),
    ("catalogue", "/catalogue", "c"),
    ("system", "/system", "s"),
)
