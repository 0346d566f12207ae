"""What every command that talks to a server has in common: its options, and the connection handed to it."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import click

from hookpost import credentials
from hookpost_server.cli.failures import ExitCode, Failure

if TYPE_CHECKING:
    from hookpost_server.cli.channel import Remote

P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_ADDRESS = "127.0.0.1:50051"
DEADLINE = 10.0  # seconds, for one command's call with all its tries

address_option = click.option(
    "--address",
    envvar="HOOKPOST_ADDRESS",
    default=DEFAULT_ADDRESS,
    show_default=True,
    show_envvar=True,
    metavar="HOST:PORT",
    help="Where the server listens; https://HOST:PORT for TLS.",
)
tenant_option = click.option(
    "--tenant",
    envvar="HOOKPOST_TENANT",
    default="default",
    show_default=True,
    show_envvar=True,
    help="Whose webhooks and events.",
)


def api_key() -> str:
    """The key of HOOKPOST_API_KEY or HOOKPOST_API_KEY_FILE, if any. Raises Failure."""
    try:
        return credentials.api_key(os.environ)
    except ValueError as error:
        raise Failure(str(error), code=ExitCode.USAGE) from None


def remote_command(function: Callable[Concatenate[Remote, P], R]) -> Callable[P, R]:
    """Adds --address and --tenant and calls `function` with the open connection first.

    The API key comes from HOOKPOST_API_KEY or a file: an argument shows in every process list.
    """

    @address_option
    @tenant_option
    @functools.wraps(function)
    def command(*args: P.args, **kwargs: P.kwargs) -> R:
        from hookpost_server.cli.channel import Remote

        address, tenant = str(kwargs.pop("address")), str(kwargs.pop("tenant"))
        with Remote(address, tenant=tenant, key=api_key()) as remote:
            return function(remote, *args, **kwargs)

    return command
