"""All experiments, in the order of their references."""

from . import database, processes, receivers
from .experiment import EXPERIMENTS

__all__ = ["EXPERIMENTS", "database", "processes", "receivers"]

EXPERIMENTS.sort(key=lambda experiment: int(experiment.reference.removeprefix("R")) if experiment.reference else 99)
