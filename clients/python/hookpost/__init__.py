"""Hookpost for Python: the generated gRPC API lives in `hookpost.v1`."""
