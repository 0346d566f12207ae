"""The master key of the tests' databases."""

from hookpost_server.domain.sealing import KeyRing

MASTER_KEY = "dGVzdHMtb25seS10ZXN0cy1vbmx5LXRlc3RzLW9ubHk="
RING = KeyRing.parse(MASTER_KEY)
