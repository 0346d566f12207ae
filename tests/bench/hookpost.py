"""A Hookpost server for the benchmark: prints its gRPC address first. Settings come from the environment."""

import asyncio
import os
import signal

import uvloop

from hookpost_server import app, telemetry
from hookpost_server.config import Config


async def main() -> None:
    config = Config.from_env(os.environ)
    telemetry.configure(config.log_level, config.log_format)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await app.serve(config, ready=lambda running: print(running.grpc_address, flush=True), stop=stop)


if __name__ == "__main__":
    uvloop.run(main())
