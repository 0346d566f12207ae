"""The gRPC edge: the only part of the server that knows `hookpost.v1`."""
