"""The engine: claims deliveries, POSTs them, records what came of it."""
