"""How far apart the lungs of the synthetic patients are before any registration, beside the paper's figures.

    python -m training.patients.calibration --workers 2

``[breathing] descent_mm`` in ``frozen.toml`` was set by this, for the overlap of exhaled and inhaled lungs of a
patient; the shifts in ``[placement]``, for that between patients, were right as first guessed. It draws the patients
and their breaths, no pictures, and compares the lungs on a coarse lattice; no registration is run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from LungDeepRegLib.displacement_field import lattice_points
from LungDeepRegLib.geometry import Lattice

from ..cohorts.scan import VALIDATION
from ..errors import TrainingError
from ..worker_processes import mapped
from .case import EXHALE, INHALE, sample_case
from .members import members
from .parameters import FROZEN, read_parameters

PAPER_WITHIN, PAPER_BETWEEN = (75.62, 10.89), (57.22, 12.90)
"""The paper's unregistered Dice in percent, mean and standard deviation: 13 patients, and all 169 combinations."""
STEP_MM = 5.0
LOW_MM, HIGH_MM = (-190.0, -150.0, -240.0), (190.0, 150.0, 200.0)
BAD_INPUT = 3


class Lungs(NamedTuple):
    """The lungs of one patient on the common lattice, bool ``(N,)``."""

    exhaled: np.ndarray
    inhaled: np.ndarray


def lungs_of(number: int, file: Path = FROZEN) -> Lungs:
    """The lungs of patient 0, 1, ... of a file of parameters."""
    case = sample_case(read_parameters(file), number)
    count = np.round((np.array(HIGH_MM) - LOW_MM) / STEP_MM).astype(int) + 1
    matrix = np.diag([STEP_MM, STEP_MM, STEP_MM, 1.0])
    matrix[:3, 3] = LOW_MM
    points = lattice_points(Lattice(tuple(count[::-1]), matrix)).astype(np.float32)
    return Lungs(case.lungs(EXHALE, points), case.lungs(INHALE, points))


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Dice of two masks, in percent."""
    return float(200 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))


def combinations(lungs: Sequence[Lungs]) -> np.ndarray:
    """Dice in percent of each patient's exhaled lungs (rows) with each one's inhaled lungs (columns)."""
    return np.array([[overlap(a.exhaled, b.inhaled) for b in lungs] for a in lungs])


def report(lungs: Sequence[Lungs], validating: int) -> str:
    """The figures in words.

    Args:
        lungs: Of all patients, those for validation first.
        validating: How many those are.
    """
    table = combinations(lungs[:validating])
    within = [overlap(*one) for one in lungs]
    lines = [
        ("exhaled with inhaled, validation", np.diag(table), PAPER_WITHIN),
        ("exhaled with inhaled, all patients", within, PAPER_WITHIN),
        ("all combinations of validation", table, PAPER_BETWEEN),
    ]
    return "".join(
        f"{name}: {np.mean(dice):.2f} +- {np.std(dice, ddof=1):.2f} (n = {np.size(dice)});"
        f" the paper's data: {mean:.2f} +- {sd:.2f}\n"
        for name, dice, (mean, sd) in lines
    )


def main(arguments: list[str] | None = None) -> int:
    """Say how far apart the lungs are."""
    from tqdm import tqdm

    parser = argparse.ArgumentParser(prog="python -m training.patients.calibration", description=__doc__)
    parser.add_argument("--parameters", type=Path, default=FROZEN, help="another file than the frozen one")
    parser.add_argument("--workers", type=int, default=1, help="processes side by side (default: 1)")
    chosen = parser.parse_args(arguments)
    try:
        everybody = members(read_parameters(chosen.parameters))
        with mapped(chosen.workers) as run:
            found = run(partial(lungs_of, file=chosen.parameters), range(len(everybody)))
            lungs = list(tqdm(found, total=len(everybody), desc="Patients", unit="patient", file=sys.stderr))
    except TrainingError as error:
        sys.stderr.write(f"error: {error}\n")
        return BAD_INPUT
    sys.stdout.write(report(lungs, sum(member.split == VALIDATION for member in everybody)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
