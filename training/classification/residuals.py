"""What a patient is classified by: the deformation between the two images, G - G_identity.

Every patient's is brought to a lattice of one size and spacing whose centre is that of the patient's own lungs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import LungDeepRegLib
import numpy as np
from LungDeepRegLib import Options, Registration, register
from LungDeepRegLib.checkpoint import BUNDLED
from LungDeepRegLib.geometry import Lattice, apply
from LungDeepRegLib.resampling import averaged
from LungDeepRegLib.volume import Volume

from ..kept_arrays import Arrays, file_state, kept_arrays
from ..prepared_scans import state_of
from .patients import ClassificationError, Patient

VERSION = 1
"""Raised whenever the same images would give another residual, so that no stale file is read."""
SPACING_MM = 10.0
SHAPE = (28, 20, 30)
"""Voxels along S, A and R: 280 x 200 x 300 mm, in which exhaled lungs lie."""


@dataclass(frozen=True, eq=False)
class Residuals:
    """What was found of all patients, in one order.

    Attributes:
        displacement: phi(x) - x, exhaled to inhaled where the fixed image is exhaled, ``(N, 3, K, J, I)`` float32 in
            mm, components R, A, S, on lattices of :data:`SHAPE` along S, A, R.
        lungs: How much of each voxel is lung in the fixed image, ``(N, K, J, I)`` float32, 0 to 1.
        warnings: Of the registration, by patient, for those who have any.
    """

    displacement: np.ndarray
    lungs: np.ndarray
    warnings: dict[str, tuple[str, ...]]


def residuals(
    patients: list[Patient],
    cache: Path,
    device: str,
    progress: Callable[[Iterable[Patient]], Iterable[Patient]] = iter,
) -> Residuals:
    """Register each patient's two images by the product's defaults, or read what is kept of that.

    Args:
        patients: At least one.
        cache: The folder in which each patient's residual is kept.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        progress: Wraps the patients, to show how far it is.

    Raises:
        CohortError: A file that can't be read or used.
        ClassificationError: An image whose lungs aren't known.
        RegistrationError: Images that don't overlap, or a device that isn't there.
        OSError: The cache can't be written.
    """
    settings = [VERSION, LungDeepRegLib.__version__, file_state(BUNDLED), asdict(Options(device=device)), SHAPE]
    found = []
    for patient in progress(patients):
        key = [*settings, SPACING_MM, state_of(patient.fixed), state_of(patient.moving)]
        found.append(kept_arrays(cache, "residual", key, partial(registered, patient, device)))
    warnings = {
        patient.name: tuple(str(text) for text in arrays["warnings"])
        for patient, arrays in zip(patients, found, strict=True)
        if len(arrays["warnings"])
    }
    displacement, lungs = (np.stack([arrays[name] for arrays in found]) for name in ("displacement", "lungs"))
    return Residuals(displacement, lungs, warnings)


def registered(patient: Patient, device: str) -> Arrays:
    """One patient's residual and lungs, on the common lattice."""
    fixed, moving = patient.fixed.load(), patient.moving.load()
    found = register(
        fixed.image, moving.image, Options(device=device), fixed_mask=fixed.lungs, moving_mask=moving.lungs
    )
    return on_common_lattice(found, patient.fixed.name)


def on_common_lattice(found: Registration, name: str) -> Arrays:
    """A registration's displacement and the fixed image's lungs, on the lattice around these lungs."""
    if found.fixed_lungs is None:
        msg = f"{name}: found no lung mask, expected one in the cohort (column mask)"
        raise ClassificationError(msg)
    lungs = found.warped.with_array(found.fixed_lungs.astype(np.uint8), name)
    lattice = common_lattice(lungs)
    return {
        "displacement": np.moveaxis(found.field.on(lattice).vectors, -1, 0),
        "lungs": averaged(lungs, lattice, lambda array: array.astype(np.float32)).array,
        "warnings": np.array(found.warnings, dtype=str),
    }


def common_lattice(lungs: Volume) -> Lattice:
    """The lattice along R, A and S whose middle is that of the box around the lungs."""
    points = apply(lungs.ijk_to_ras, np.argwhere(lungs.array)[:, ::-1].astype(np.float64))
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    matrix = np.diag([SPACING_MM] * 3 + [1.0])
    matrix[:3, 3] = middle - SPACING_MM * (np.array(SHAPE[::-1]) - 1) / 2
    return Lattice(SHAPE, matrix)
