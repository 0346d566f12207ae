"""`hookpost replay`: sends many deliveries again, counted first, at a bounded rate, and can be stopped."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from hookpost_server.cli.delivery_filter import build, filter_options
from hookpost_server.cli.failures import ExitCode, Failure
from hookpost_server.cli.output import output_option, plural, print_one, say
from hookpost_server.cli.remote import remote_command
from hookpost_server.domain.duration import rough

if TYPE_CHECKING:
    from hookpost.v1.delivery_service_pb2 import ReplayDeliveriesRequest
    from hookpost_server.cli.channel import Remote
    from hookpost_server.cli.replay_progress import Outcome

RATE = 20.0  # a second; the server's default
_PATIENCE = 60.0  # seconds: a replay changes up to 50,000 rows


@click.command()
@filter_options(times=True)
@click.option("--missed", is_flag=True, help="Also what the webhook would have got, had it existed as it is now.")
@click.option("--rate", type=click.FloatRange(0.1, 1000), default=RATE, show_default=True, help="Requests a second.")
@click.option("--dry-run", is_flag=True, help="Only count.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--detach", is_flag=True, help="Do not wait until it is done.")
@click.option("--stop", "stop_id", default="", metavar="REPLAY", help="Stop this replay instead of beginning one.")
@output_option
@remote_command
def replay(
    remote: Remote,
    /,
    missed: bool,
    rate: float,
    dry_run: bool,
    yes: bool,
    detach: bool,
    stop_id: str,
    output: str,
    **chosen: Any,
) -> None:
    """Send many deliveries again.

    Those of a webhook, an event or an earlier replay that failed, unless --state says otherwise; of a webhook in the
    last 24 h, unless --since does. Counts first and asks. Each gets one more attempt, in the same log entry and with
    the same event id. Ctrl-C stops what has not been attempted yet.

    \b
    Exit codes, beside those of all commands:
      0    all have succeeded; with --dry-run, --detach and --stop: counted, begun, stopped
      1    some failed again, have not ended a minute after the last became due, or were stopped by somebody
      130  interrupted, and stopped

    \b
    Examples:
      hookpost replay --webhook whk_… --since 2h --dry-run
      hookpost replay --webhook whk_… --since 2h --rate 5
      hookpost replay --webhook whk_… --since 7d --missed --yes
      hookpost replay --replay rpl_… --yes
      hookpost replay --stop rpl_…
    """
    from hookpost.v1.delivery_service_pb2 import ReplayDeliveriesRequest

    if stop_id:
        stop(remote, stop_id)
        return
    request = ReplayDeliveriesRequest(
        tenant_id=remote.tenant, filter=build(chosen), include_missed=missed, rate=rate, dry_run=True
    )
    if not (chosen["webhook"] or chosen["event"] or chosen["replay"]):
        raise Failure(
            "a replay needs --webhook, --event or --replay", hint="hookpost replay --help", code=ExitCode.USAGE
        )
    if not dry_run and not yes and not sys.stdin.isatty():
        raise Failure("a replay needs a yes", hint="--dry-run counts, --yes begins", code=ExitCode.USAGE)
    counted = remote.call(remote.deliveries.ReplayDeliveries, request, deadline=_PATIENCE)
    if dry_run or not counted.delivery_count:
        print_one(output, counted, "", lambda: f"This would send {amount(counted.delivery_count, rate)}.")
        return
    if not yes:
        click.confirm(f"This will send {amount(counted.delivery_count, rate)}. Continue?", abort=True, err=True)
    _begin(remote, request, output, detach=detach)


def amount(count: int, rate: float) -> str:
    """How much, and how long it takes: "120 requests over about 6.0 s"."""
    if count < 2:
        return f"{count} request{'' if count else 's'}"
    return f"{plural(count, 'request')} over about {rough(timedelta(seconds=(count - 1) / rate))}"


def stop(remote: Remote, replay_id: str) -> None:
    """Takes back what has not been attempted yet."""
    from hookpost.v1.delivery_service_pb2 import StopReplayRequest

    request = StopReplayRequest(replay_id=replay_id, tenant_id=remote.tenant)
    count = remote.call(remote.deliveries.StopReplay, request, deadline=_PATIENCE).stopped_count
    say(f"Stopped; {plural(count, 'delivery')} as before, not sent again.")


def _begin(remote: Remote, request: ReplayDeliveriesRequest, output: str, *, detach: bool) -> None:
    from hookpost_server.cli.replay_progress import Followed

    request.dry_run = False
    begun = remote.call(remote.deliveries.ReplayDeliveries, request, deadline=_PATIENCE)
    if not begun.replay_id:
        print_one(output, begun, "", lambda: "Nothing matches any more.")
        return
    say(f"Replaying {plural(begun.delivery_count, 'delivery')}; hookpost replay --stop {begun.replay_id} stops it.")
    if detach:
        print_one(output, begun, begun.replay_id, lambda: begun.replay_id)
        return
    followed = Followed(remote, begun)
    try:
        followed.until_done()
    except KeyboardInterrupt:
        stop(remote, begun.replay_id)
        raise
    outcome = followed.outcome()
    print_one(output, begun, begun.replay_id, lambda: str(outcome))
    if fault := shortfall(outcome):
        raise Failure(
            fault,
            hint=f"hookpost delivery list --replay {begun.replay_id} shows them, hookpost delivery explain says why",
        )


def shortfall(outcome: Outcome) -> str:
    """What keeps one from saying that all have succeeded; empty when all have."""
    if outcome.failed:
        return f"{plural(outcome.failed, 'delivery')} failed again"
    if outcome.pending:
        return "not all of them have ended"
    if outcome.succeeded != outcome.count:
        return f"{plural(outcome.unsent, 'delivery')} had been stopped, cancelled or removed"
    return ""
