"""A small synthetic cohort, so that anybody can see a benchmark work."""

from __future__ import annotations

import sys
from argparse import Namespace
from functools import partial
from pathlib import Path

from tqdm import tqdm

from .task import OptionsError

QUICK_DRAWN = 2
PATIENTS = 3
COARSER = 2.0
COHORT, MANIFEST = "cohort", "manifest.csv"


def quick_cohort(chosen: Namespace) -> Path:
    """The manifest of a small cohort in the benchmark's own folder, which is written unless it is there already.

    Raises:
        OptionsError: Images are given as well.
        TrainingError: A cohort that can't be made.
        OutputError: It can't be written.
    """
    if chosen.cohort is not None or chosen.pair is not None:
        msg = "found images beside --quick, expected none: it makes its own"
        raise OptionsError(msg)
    folder = Path(chosen.out) / COHORT
    if (folder / MANIFEST).exists():
        return folder / MANIFEST
    from ..cohort import SyntheticCohort, write_cohort  # here, since methods' processes import this file too

    bar = partial(tqdm, total=PATIENTS, desc="cohort", unit="patient", file=sys.stderr)
    return write_cohort(folder, SyntheticCohort(PATIENTS, COARSER), chosen.workers, bar)
