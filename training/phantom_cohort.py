"""A cohort of synthetic patients, written as files: an exhaled and an inhaled chest each, with masks and landmarks.

    python -m training.phantom_cohort --patients 4 --out phantoms

The folder holds NIfTI images and masks, landmarks for 3D Slicer (``.mrk.json``), and ``manifest.csv``, which
:func:`training.cohorts.read_manifest` reads. It appears whole or not at all.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from LungDeepRegLib.phantom import BreathingError, PhantomConfig, PhantomError, chest_lattice, make_pair
from LungDeepRegLib.results.staging import OutputError

from .cohorts.manifest import YES
from .cohorts.writing import staged_cohort, write_manifest, write_scan
from .errors import TrainingError

SPACING_LIMITS_MM = (0.5, 20.0)
INHALE_SHIFT_MM = (3.0, 5.0, -6.0)
INHALE_SLICE_FACTOR = 1.2
FIELDS = {"label": "synthetic", "synthetic": YES}
FAILED = 3


class PhantomCohortError(TrainingError):
    """Options that describe no cohort of phantoms."""


@dataclass(frozen=True)
class PhantomCohort:
    """Which synthetic patients.

    Attributes:
        patients: How many, at least 1.
        seed: Chooses them; neighbouring seeds have no patients in common.
        spacing_mm: Distance between voxel centres; the inhaled image has slices thicker by a fifth, and another place.
        config: How all of them are imaged and breathe; its seed is replaced by each patient's own.

    Raises:
        PhantomCohortError: No patient, a negative seed, or a spacing that no chest can be imaged with.
    """

    patients: int
    seed: int = 0
    spacing_mm: float = 2.5
    config: PhantomConfig = field(default_factory=partial(PhantomConfig, motion_mm=25.0))

    def __post_init__(self) -> None:
        if self.patients < 1 or self.seed < 0:
            msg = f"found {self.patients} patients and seed {self.seed}, expected 1 or more and 0 or more"
            raise PhantomCohortError(msg)
        low, high = SPACING_LIMITS_MM
        if not low <= self.spacing_mm <= high:
            msg = f"found a spacing of {self.spacing_mm} mm, expected {low} to {high} mm"
            raise PhantomCohortError(msg)

    def patient_config(self, number: int) -> PhantomConfig:
        """The phantom of patient 0, 1, ...: its seed is drawn from the cohort's seed and the number."""
        seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
        return replace(self.config, seed=seed)


def write_phantom_cohort(
    out: Path, cohort: PhantomCohort, progress: Callable[[Iterable[int]], Iterable[int]] = iter
) -> Path:
    """Make the patients and write them to a folder.

    Args:
        out: The folder, which must be empty or not there yet.
        cohort: Which patients.
        progress: Wraps the patients' numbers, to show how far it is: ``tqdm``, for instance.

    Returns:
        The manifest.

    Raises:
        OutputError: The folder isn't empty, or can't be written.
        BreathingError: A motion that would fold tissue.
    """
    with staged_cohort(out) as folder:
        rows: list[dict[str, str]] = []
        for number in progress(range(cohort.patients)):
            rows += write_patient(folder, f"P{number + 1:03}", cohort.patient_config(number), cohort.spacing_mm)
        write_manifest(folder / "manifest.csv", rows)
    return out / "manifest.csv"


def write_patient(folder: Path, patient: str, config: PhantomConfig, spacing_mm: float) -> list[dict[str, str]]:
    """Write one patient's files; their lines of the manifest."""
    slices = (spacing_mm, spacing_mm, spacing_mm * INHALE_SLICE_FACTOR)
    pair = make_pair(config, chest_lattice(spacing_mm), chest_lattice(slices, INHALE_SHIFT_MM))
    scans = (
        ("exhale", pair.fixed, pair.fixed_mask, pair.fixed_landmarks),
        ("inhale", pair.moving, pair.moving_mask, pair.moving_landmarks),
    )
    return [
        write_scan(folder, image, mask, {"landmarks": points}, {"patient": patient, "phase": phase, **FIELDS})
        for phase, image, mask, points in scans
    ]


def options() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(
        prog="python -m training.phantom_cohort",
        description="Write a cohort of synthetic patients, exhaled and inhaled, with lung masks and landmarks. The"
        " chests are computed, not scanned: figures on them say little about patients.",
    )
    parser.add_argument("--patients", type=int, required=True, help="how many patients")
    parser.add_argument("--out", type=Path, required=True, help="a folder that is empty or not there yet")
    parser.add_argument("--seed", type=int, default=0, help="chooses the patients (default: 0)")
    parser.add_argument("--contrast", choices=("ct", "mri"), default="ct", help="ct (HU) or mri (default: ct)")
    parser.add_argument("--spacing-mm", type=float, default=2.5, help="between voxel centres (default: 2.5)")
    parser.add_argument("--motion-mm", type=float, default=25.0, help="of the diaphragm (default: 25)")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Write the cohort; 3 if it can't be made or written, with the reason on standard error."""
    from tqdm import tqdm

    chosen = options().parse_args(arguments)
    try:
        config = PhantomConfig(contrast=chosen.contrast, motion_mm=chosen.motion_mm)
        cohort = PhantomCohort(chosen.patients, chosen.seed, chosen.spacing_mm, config)
        manifest = write_phantom_cohort(
            chosen.out, cohort, lambda numbers: tqdm(numbers, desc="Phantoms", unit="patient", file=sys.stderr)
        )
    except (PhantomError, PhantomCohortError, BreathingError, OutputError) as error:
        sys.stderr.write(f"error: {error}\n")
        return FAILED
    sys.stdout.write(f"{manifest}: {chosen.patients} synthetic patients, two scans each\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
