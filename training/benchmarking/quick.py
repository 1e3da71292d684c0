"""A small synthetic cohort, so that anybody can see a benchmark work."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from LungDeepRegLib.phantom import PhantomConfig
from tqdm import tqdm

from ..phantom_cohort import PhantomCohort, write_phantom_cohort
from .task import OptionsError

QUICK_DRAWN = 2
PATIENTS = 3
SPACING_MM = 3.0
COHORT, MANIFEST = "cohort", "manifest.csv"


def quick_cohort(chosen: Namespace) -> Path:
    """The manifest of a small cohort in the benchmark's own folder, which is written unless it is there already.

    Raises:
        OptionsError: Images are given as well.
        OutputError: It can't be written.
    """
    if chosen.cohort is not None or chosen.pair is not None:
        msg = "found images beside --quick, expected none: it makes its own"
        raise OptionsError(msg)
    folder = chosen.out / COHORT
    if (folder / MANIFEST).exists():
        return Path(folder / MANIFEST)
    config = PhantomConfig(contrast="mri", motion_mm=25.0)
    cohort = PhantomCohort(PATIENTS, chosen.seed, SPACING_MM, config)
    return write_phantom_cohort(
        folder, cohort, lambda numbers: tqdm(numbers, "cohort", unit="patient", file=sys.stderr)
    )
