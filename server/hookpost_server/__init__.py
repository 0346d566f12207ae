"""Hookpost, a self-hosted webhook sender. Start reading at `domain/delivery.py` and `store/deliveries.py`."""

from importlib.metadata import version as _version

__version__ = _version("hookpost-server")
