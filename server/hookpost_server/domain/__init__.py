"""The rules of the trade, pure: no await, no SQL, no gRPC, no HTTP. Time and chance come in as arguments."""
