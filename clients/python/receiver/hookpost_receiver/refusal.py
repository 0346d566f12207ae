"""The one error of a receiver."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a request is not taken; the same words in every language."""

    MISSING_HEADER = "missing_header"
    BAD_TIMESTAMP = "bad_timestamp"
    TOO_OLD = "too_old"
    TOO_NEW = "too_new"
    BAD_SIGNATURE = "bad_signature"
    MALFORMED = "malformed"  # signed, but no JSON object
    BODY_PARSED = "body_parsed"  # what was verified are not the bytes that came
    NO_KEY = "no_key"  # none was given, or one that can't be used
    TOO_LARGE = "too_large"


class InvalidWebhook(Exception):
    """The request must not be trusted. Answer 4xx; the text may be logged, it holds nothing secret."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message

    @property
    def status(self) -> int:
        """What to answer with: 401 to what is not authentic, 400, 413, and 500 where this program is at fault."""
        match self.reason:
            case Reason.TOO_LARGE:
                return 413
            case Reason.MALFORMED:
                return 400
            case Reason.NO_KEY | Reason.BODY_PARSED:
                return 500
            case _:
                return 401


def parsed(why: str = "something else has read the request") -> InvalidWebhook:
    """For bytes that are gone, or are not those that came."""
    return InvalidWebhook(
        Reason.BODY_PARSED,
        f"the body was parsed before verification ({why}); give the bytes of the request as they came",
    )


def too_large(most: int) -> InvalidWebhook:
    """For a body of more than `most` bytes."""
    return InvalidWebhook(Reason.TOO_LARGE, f"the body has more than {most:,} bytes")
