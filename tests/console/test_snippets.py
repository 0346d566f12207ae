"""What the console offers to copy really checks signatures: Python is run here, the others do the same steps."""

from __future__ import annotations

import time
from typing import Any

import pytest

from hookpost_server.console.pages.webhook_created import FOLDER, LANGUAGES
from hookpost_server.domain import signing

BODY = '{"n": 1.0, "é": true}'.encode()


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> str:
    made = signing.new_secret()
    monkeypatch.setenv("HOOKPOST_SIGNING_KEY", made)
    return made


def headers(*secrets: str, age: int = 0) -> dict[str, str]:
    timestamp = int(time.time()) - age
    keys = [signing.standard_key(each) for each in secrets]
    return {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signing.standard_signature(keys, "evt_1", timestamp, BODY),
    }


def test_python_verifies(secret: str) -> None:
    offered: dict[str, Any] = {}
    exec((FOLDER / dict(LANGUAGES)["Python"]).read_text(), offered)
    verify, other = offered["verify"], signing.new_secret()
    assert verify(headers(secret), BODY)
    assert verify(headers(other, secret), BODY), "during a rotation both keys sign"
    assert not verify(headers(other), BODY)
    assert not verify(headers(secret), BODY + b" ")
    assert not verify(headers(secret, age=301), BODY)


@pytest.mark.parametrize("name", [file for _, file in LANGUAGES])
def test_every_language_does_the_same(name: str) -> None:
    text = (FOLDER / name).read_text()
    for word in ("HOOKPOST_SIGNING_KEY", "webhook-id", "webhook-timestamp", "webhook-signature", "v1,", "whsec_"):
        assert word in text
    assert "300" in text or "5*time.Minute" in text
    assert any(word in text for word in ("compare_digest", "timingSafeEqual", "hmac.Equal", "isEqual")), (
        "in constant time"
    )
