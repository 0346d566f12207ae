"""The command `hookpost`. Modules that a `--help` needs import click only; grpc, aiohttp and the app come when used."""
