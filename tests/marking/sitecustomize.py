"""Every random secret of 32 bytes begins with MARK in this process: signing keys, API keys, master keys, sessions.

Python imports a module of this name by itself when its folder is in PYTHONPATH, which `tests/canary.py` sees to: so it
holds for the servers and commands that tests start, without a hook in them.
"""

import base64
import os
import secrets

TEXT = "CANARYCANARY"  # what it reads in base64, of either alphabet
MARK = base64.b64decode(TEXT)
BYTES = 32

_urandom, _token_bytes = os.urandom, secrets.token_bytes


def _marked(size: int, random: bytes) -> bytes:
    return MARK + random[len(MARK) :] if size == BYTES else random


os.urandom = lambda size: _marked(size, _urandom(size))
secrets.token_bytes = lambda nbytes=None: _marked(nbytes or BYTES, _token_bytes(nbytes))
