"""One child process that outlives event loops and can be awaited from any of them."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import IO

from .account import Account

_LAUNCH = Path(__file__).with_name("launch.py")


class Child:
    """A process in a session of its own (Ctrl-C at the terminal reaches the application first), run as `account`.

    When the application dies, the kernel sends the child `on_orphaned`. The kernel ties that to the thread that
    started the child, so it is asked for only on the main thread, which lives as long as the process.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        account: Account,
        on_orphaned: signal.Signals,
        output: IO[bytes] | int,
        descriptors: tuple[int, ...] = (),
        environment: dict[str, str] | None = None,
    ) -> None:
        on_main_thread = threading.current_thread() is threading.main_thread()
        launcher = (
            *(sys.executable, "-I", "-S", str(_LAUNCH), account.way, str(account.uid), str(account.gid)),
            *(str(os.getpid()), str(int(on_orphaned) if on_main_thread else 0)),
        )
        self._process = subprocess.Popen(
            (*launcher, *command),
            cwd="/",
            pass_fds=descriptors,
            env=_environment() | (environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._ended: Future[int] = Future()
        self._ended.set_running_or_notify_cancel()  # so that a cancelled waiter does not cancel it for the others
        threading.Thread(target=self._watch, name=f"wait-{self.pid}", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return not self._ended.done()

    async def wait(self, timeout: float | None = None) -> int:
        """The exit code, negative for a signal. Raises TimeoutError after `timeout` seconds."""
        return await asyncio.wait_for(asyncio.wrap_future(self._ended), timeout)

    def send(self, number: signal.Signals) -> None:
        if self.running:
            self._process.send_signal(number)

    def kill_group(self) -> None:
        """The child and its own children."""
        if self.running:
            os.killpg(self.pid, signal.SIGKILL)

    def _watch(self) -> None:
        self._ended.set_result(self._process.wait())


def _environment() -> dict[str, str]:
    """Not the application's: that holds secrets, and PG* variables that would change PostgreSQL's defaults."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}
