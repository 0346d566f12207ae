"""Options that are durations and moments, as `domain/duration.py` reads them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from hookpost_server.domain.duration import parse_duration, parse_moment


class DurationType(click.ParamType[timedelta]):
    """An option's value such as 10s."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class MomentType(click.ParamType[datetime]):
    """An option's value such as 2026-08-21T10:00:00Z, or 24h for a day ago."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            return parse_moment(value, datetime.now(UTC))
        except (ValueError, OverflowError) as error:
            self.fail(str(error), param, ctx)


DURATION = DurationType()
MOMENT = MomentType()
