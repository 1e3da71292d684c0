"""Scans to train on: readers that turn every source into one type, :class:`Cohort`."""

from .check import check_cohort
from .scan import Cohort, CohortError, LoadedScan, Scan
from .split import split_patients

__all__ = [
    "Cohort",
    "CohortError",
    "LoadedScan",
    "Scan",
    "check_cohort",
    "split_patients",
]
