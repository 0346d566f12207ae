"""One of the processes of `hookpost serve --processes N`; started by the supervisor, not by people."""

from __future__ import annotations

import asyncio
import os
import sys

from hookpost_server import app, telemetry
from hookpost_server.cli.running import once_closed, run, settle
from hookpost_server.config import Config
from hookpost_server.startup import StartError


def main(says_ready: int, lives: int) -> int:
    """Serves until a signal comes or the supervisor is gone: then `lives` reads as ended."""
    config = Config.from_env(os.environ)
    telemetry.configure(config.log_level, config.log_format)

    def ready(running: app.Running) -> None:
        settle()
        os.write(says_ready, b".")
        os.close(says_ready)

    async def serve(stop: asyncio.Event) -> None:
        once_closed(lives, stop.set)
        await app.serve(config, ready=ready, stop=stop)

    try:
        run(serve)
    except StartError as error:
        print(f"{error}; {error.hint}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
