"""A CT under known breaths, as files that every method can be run on, with the truth beside them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.image_io import write_volume
from LungDeepRegLib.metrics import Distribution
from LungDeepRegLib.results.staging import failing_as_output
from LungDeepRegLib.volume import Volume

from ..errors import TrainingError
from ..known_motion import Breath, KnownPair, error_mm, simulate

MOTIONS_MM = (15.0, 30.0)
SEEDS = (0, 1)


class KnownMotionError(TrainingError):
    """A breath that can't be simulated."""


@dataclass(frozen=True, eq=False)
class KnownFiles:
    """A pair whose truth is known.

    Attributes:
        name: Of its motion, such as ``15 mm, seed 0``.
        fixed: The fixed image's file.
        moving: The moving image's.
        pair: The images and the truth.
    """

    name: str
    fixed: Path
    moving: Path
    pair: KnownPair

    def error_mm(self, phi: DisplacementField) -> Distribution:
        """``|phi(x) - psi(x)|`` over the fixed image's lungs."""
        return error_mm(phi, self.pair)

    def truth(self, points_ras: np.ndarray) -> np.ndarray:
        """Where points of the fixed image really are in the moving one, RAS mm."""
        return self.pair.psi(points_ras)


def known_files(ct: Volume, motion_mm: float, seed: int, folder: Path) -> KnownFiles:
    """Simulate a breath, and write its images unless they are there.

    Raises:
        KnownMotionError: An image in which no lung is found, or a motion that folds.
        OutputError: They can't be written.
    """
    try:
        pair = simulate(ct, Breath(motion_mm=motion_mm, seed=seed))
    except ValueError as error:
        raise KnownMotionError(str(error)) from error
    fixed, moving = (folder / f"{role}_{motion_mm:g}mm_{seed}.nii.gz" for role in ("fixed", "moving"))
    with failing_as_output(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for path, image in zip((fixed, moving), (pair.fixed, pair.moving), strict=True):
            if not path.exists():
                write_volume(path, image)
    return KnownFiles(f"{motion_mm:g} mm, seed {seed}", fixed, moving, pair)
