"""How hypothesis runs here: no deadline (machines differ), no files."""

from hypothesis import HealthCheck, settings

settings.register_profile("unit", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unit")
