"""Scans to train on: readers that turn every source into one type, :class:`Cohort`."""

from .check import check_cohort
from .dirlab import read_dirlab
from .dirlab_cases import COPDGENE, FOUR_D_CT, DirLabCase
from .learn2reg import read_learn2reg
from .manifest import read_manifest
from .scan import Cohort, CohortError, LoadedScan, Scan
from .sources import read_cohort
from .split import split_patients

__all__ = [
    "COPDGENE",
    "FOUR_D_CT",
    "Cohort",
    "CohortError",
    "DirLabCase",
    "LoadedScan",
    "Scan",
    "check_cohort",
    "read_cohort",
    "read_dirlab",
    "read_learn2reg",
    "read_manifest",
    "split_patients",
]
