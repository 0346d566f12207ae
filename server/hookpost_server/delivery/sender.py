"""What the engine asks of an HTTP client, and nothing more."""

from __future__ import annotations

from typing import Protocol

from ..domain.delivery import Outcome
from ..domain.request import Request

BODY_CAP = 64 * 1024  # bytes of an answer's body that are read
HEADER_CAP = 16 * 1024  # bytes of an answer's headers that are kept
MAX_HEADERS = 64  # of an answer's headers that are kept
MAX_LINE = 8190  # bytes of one line of an answer's head; beyond it the answer is not HTTP
MAX_LINES = 128  # lines of an answer's head; likewise
MAX_LIFE = 600  # seconds after which a kept connection is not used again


class Sender(Protocol):
    """POSTs a request as it is and answers with a value, whatever the receiver does.

    The timeout bounds the whole exchange, names and TLS included. Redirects are not followed, cookies not kept, bodies
    not decompressed, proxies of the environment not used; addresses are checked where the socket is made. Only bugs
    raise, and NoSocket: what this machine is short of is no failure of the receiver's.
    """

    async def send(self, request: Request) -> Outcome:
        """One exchange."""
        ...

    async def close(self) -> None:
        """Drops all connections."""
        ...
