"""All experiments, in the order of the table."""

from . import database, processes, receivers
from .experiment import EXPERIMENTS

__all__ = ["EXPERIMENTS", "database", "processes", "receivers"]
