"""The master key of the tests' databases, with the mark that tests/canary.py looks for."""

from hookpost_server.domain.sealing import KeyRing

MASTER_KEY = "CANARYCANARYdGVzdHMtb25seS10ZXN0cy1vbmx5LXQ="
RING = KeyRing.parse(MASTER_KEY)
