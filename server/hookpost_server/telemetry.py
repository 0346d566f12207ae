"""Logging. One line a deed, with all that is known about it; these are the lines:

event                   when                                        fields
----------------------  ------------------------------------------  ---------------------------------------------------
server.started          it answers calls                            grpc, metrics, console, database,
                                                                    sender, open_files, version
server.stopping         the order to stop came                      in_flight
server.stopped          everything is written and closed
supervisor.started      all processes of --processes answer         grpc, processes
supervisor.stopped      all of them have ended
process.ended           one of them ended by itself                 number, code
process.restarted       it was started anew                         number
process.not_restarted   it could not be; tried again each second    number, error
process.killed          it took too long to end                     number
delivery.attempted      an attempt was recorded                     delivery_id, event_id, type, webhook_id, attempt,
                                                                    outcome, status, latency_ms, state, queue_wait_ms,
                                                                    retry_in, error, trace_id
delivery.superseded     an outcome came after its lease; dropped    as delivery.attempted
delivery.postponed      no attempt: the database is away, or no     delivery_id, error
                        socket can be made
webhook.unreadable      its deliveries wait: what is stored of it   error, deliveries
                        can't be read; tried again each lease
names.filtered          a name led to refused addresses too         host, refused
delivery.fault          a bug while an attempt was made             delivery_id, traceback
webhook.suspended       the server stopped a webhook                webhook_id, reason
rpc.finished            a call ended; debug if OK or one of too     method, code, latency_ms, trace_id
                        many failures, else info
breaker.opened          a webhook is down: held back for a while    webhook_id, pause
breaker.closed          it is back, and recovers                    webhook_id
deliveries.stalled      some are due, and nothing is being sent     oldest
deliveries.flow         they are sent again
deliveries.expired      given up, having been held back too long    deliveries
rpc.fault               a bug in a call                             incident, traceback
console.fault           a bug in a page                             incident, path, traceback
claim.postponed         no claim: the database is away              error
claim.failed            a bug in a claim                            traceback
recorder.waiting        outcomes wait for the database              outcomes, error
secrets.sealed          what an older version had left unsealed     secrets
recorder.abandoned      the process ends without the last outcomes,
                        because the database is away
recorder.refused        PostgreSQL refuses one outcome: a bug       delivery_id, error
release.postponed       claims could not be given back; they lapse  deliveries, error
directory.refresh_failed  webhooks could not be read again          error
api_keys.refresh_failed  API keys could not be read again           error
tls.reloaded            the certificate's files have changed        certificate
tls.not_reloaded        they don't fit; the old one goes on         error
emit.batch_failed       a shared statement failed; made singly      submissions, error
emit.unanswered         events whose commit was not answered are    released
                        stored; their deliveries go on at once
backlog.unknown         the backlog could not be read               error
partitions.made         day partitions were made                    names
retention.dropped       a day's events and deliveries were dropped  day, bytes, seconds
retention.held          a day is too old, but must stay; once       day, reason, deliveries, webhooks
retention.stripped      a day's payloads and answers were removed   day, payloads, answers, kept, seconds
retention.swept         keys, figures and the like were deleted     a number for each table, seconds
retention.postponed     a reader is in the way; tried again soon    chore
clock.off               this host's clock differs from the          seconds
                        database's by more than a second
upkeep.failed           a chore failed; tried again next time       chore, error
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson
import structlog
import structlog.tracebacks

# Without the frames' variables, which the library would show: requests and rows are among them, with secrets.
_tracebacks = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))
_out: TextIO = sys.stderr


def configure(level: str, form: str) -> None:
    """Log to standard error; `form` is console, json, or auto (console on a terminal)."""
    global _out
    _out = sys.stderr
    console = form == "console" or (form == "auto" and _out.isatty())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([structlog.dev.ConsoleRenderer()] if console else [_tracebacks, _to_json]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(_out),
        cache_logger_on_first_use=True,
    )


def write_lines(level: str, lines: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """Several lines of one level at once, each as event and fields; whether the level is on is the caller's to know.

    As JSON that costs 3 µs a line instead of 40, which matters where there is one for each attempt.
    """
    if structlog.get_config()["processors"][-1] is not _to_json:
        log = structlog.get_logger()
        for event, fields in lines:
            getattr(log, level)(event, **fields)
        return
    moment = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    _out.write(
        "".join(
            _to_json(None, level, {**fields, "event": event, "level": level, "timestamp": moment}) + "\n"
            for event, fields in lines
        )
    )
    _out.flush()


def _to_json(logger: Any, method: str, fields: Any) -> str:
    """The last of structlog's processors. What JSON has no type for is shown as Python does."""
    try:
        return orjson.dumps(fields, default=repr).decode()
    except orjson.JSONEncodeError:  # half a character, a number beyond 64 bits
        return json.dumps(fields, default=repr)
