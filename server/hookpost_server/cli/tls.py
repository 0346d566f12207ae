"""What the commands show and trust when the server's address begins with https://."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import grpc

from hookpost_server.cli.failures import ExitCode, Failure


def credentials(environ: Mapping[str, str]) -> grpc.ChannelCredentials:
    """HOOKPOST_CA: authorities to trust instead of the system's. HOOKPOST_CLIENT_CERT and _KEY: who we are (mTLS).

    All are files of PEM. Raises Failure.
    """
    names = ("HOOKPOST_CA", "HOOKPOST_CLIENT_CERT", "HOOKPOST_CLIENT_KEY")
    authorities, certificate, key = (_read(name, environ.get(name, "")) for name in names)
    if (certificate is None) != (key is None):
        raise Failure("HOOKPOST_CLIENT_CERT, HOOKPOST_CLIENT_KEY: set both, or neither", code=ExitCode.USAGE)
    return grpc.ssl_channel_credentials(authorities, key, certificate)


def _read(variable: str, name: str) -> bytes | None:
    if not name:
        return None
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise Failure(f"{variable}={name}: can't be read: {error.strerror}", code=ExitCode.USAGE) from None
