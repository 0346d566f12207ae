"""Becomes PostgreSQL: a script of its own, run as `python -I -S launch.py way uid gid parent signal command...`.

It changes account, asks the kernel for a signal when the application dies, and executes the command under the same
process id. A process of its own rather than `preexec_fn`, so that no Python code runs between fork and exec of an
application with threads. It imports nothing of Hookpost: that would cost start-up time and need its path.
"""

import os
import signal
import sys

# Now, because the account that is to come may be unable to read Python's own files.
try:
    import ctypes

    LIBC: ctypes.CDLL | None = ctypes.CDLL(None, use_errno=True)
except ImportError:  # a Python built without it does without the kernel's help
    LIBC = None

PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000


def become(way: str, uid: int, gid: int) -> None:
    if way == "switch":
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    elif way == "namespace":
        _enter_user_namespace(uid, gid)


def _enter_user_namespace(uid: int, gid: int) -> None:
    """Looks like `uid` to the program itself and stays what it was to the file system."""
    outside_uid, outside_gid = os.getuid(), os.getgid()
    if LIBC is None:
        raise OSError("user namespace: this Python has no ctypes")
    if LIBC.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), f"user namespace: {os.strerror(ctypes.get_errno())}")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {outside_uid} 1"),
        ("gid_map", f"{gid} {outside_gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def end_with(parent: int, number: int) -> None:
    """After the account changed, because changing it clears the request.

    Where the kernel has no such signal, the next start finds the orphan and stops it.
    """
    if not sys.platform.startswith("linux") or LIBC is None or number == 0:
        return
    if LIBC.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:  # it died before the request was made
        os.kill(os.getpid(), signal.SIGKILL)


def main(arguments: list[str]) -> None:
    way, uid, gid, parent, number, *command = arguments
    try:
        become(way, int(uid), int(gid))
        end_with(int(parent), int(number))
        os.execv(command[0], command)
    except OSError as error:
        sys.exit(f"cannot run {command[0]}: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
