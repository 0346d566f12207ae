"""What the commands that work on the database itself have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from hookpost_server.cli.failures import ExitCode, Failure
from hookpost_server.cli.serve import settings

if TYPE_CHECKING:
    from hookpost_server.operators import Desk

R = TypeVar("R")


def at_the_desk(data_dir: Path | None, work: Callable[[Desk], Awaitable[R]]) -> R:
    """What `work` answers. Raises Failure."""
    from hookpost_server import operators, telemetry
    from hookpost_server.cli.running import run
    from hookpost_server.domain import errors
    from hookpost_server.startup import StartError

    config = settings(data_dir=data_dir)
    telemetry.configure(config.log_level, config.log_format)

    async def main(stop: asyncio.Event) -> R:
        async with operators.desk(config) as desk:
            return await work(desk)

    try:
        return run(main)
    except StartError as error:
        raise Failure(str(error), hint=error.hint) from error
    except errors.NotFound as error:
        raise Failure(error.message, code=ExitCode.NOT_FOUND) from error
    except errors.InvalidFields as error:
        raise Failure(error.message.replace("api_key.", ""), code=ExitCode.USAGE) from error
    except errors.HookpostError as error:
        raise Failure(error.message) from error
