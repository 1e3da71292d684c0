"""What is drawn of each cut: both images, their differences, the deformation and its Jacobian determinant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...displacement_field import DisplacementField
from ...geometry import apply
from ...intensity import Intensity, comparable_readings
from ...metrics import jacobian_determinant
from ...volume import Volume
from ..pair import Pair
from .cuts import Cut, cuts, sample


@dataclass(frozen=True, eq=False)
class Slice:
    """All that is drawn of one cut, arrays ``(H, W)`` with NaN where nothing is known.

    Attributes:
        cut: The plane.
        fixed: The fixed image, in HU if it is CT, otherwise in stored units.
        moving: The moving image where it lies in world coordinates.
        warped: The moving image through the transformation.
        difference_before: Moving minus fixed.
        difference_after: Warped minus fixed.
        deformation: Displacement beyond :func:`reference_map`, ``(H, W, 3)`` RAS mm.
        jacobian: Determinant of the whole transformation.
        fixed_lungs: How much lung, 0 to 1, or None without a mask.
        moving_lungs: The same, of the moving image where it lies in world coordinates.
        warped_lungs: The same, through the transformation.
    """

    cut: Cut
    fixed: np.ndarray
    moving: np.ndarray
    warped: np.ndarray
    difference_before: np.ndarray
    difference_after: np.ndarray
    deformation: np.ndarray
    jacobian: np.ndarray
    fixed_lungs: np.ndarray | None
    moving_lungs: np.ndarray | None
    warped_lungs: np.ndarray | None


def slices(pair: Pair, phi: DisplacementField, alignment: np.ndarray | None = None) -> list[Slice]:
    """The coronal, the sagittal and the axial cut of a result."""
    determinant = Volume(jacobian_determinant(phi), phi.lattice.ijk_to_ras, "jacobian")
    reference = reference_map(pair, phi, alignment)
    return [sliced(cut, pair, phi, determinant, reference) for cut in cuts(pair)]


def sliced(cut: Cut, pair: Pair, phi: DisplacementField, determinant: Volume, reference: np.ndarray) -> Slice:
    """Sample all that is drawn of one cut."""
    x, y = cut.points, phi(cut.points)
    read_moving, read_fixed = comparable_readings(pair.moving_intensity, pair.fixed_intensity)
    fixed, moving, warped = sample(pair.fixed, x), sample(pair.moving, x), sample(pair.moving, y)
    outside = ~pair.fixed.lattice.contains(x)
    for image in (moving, warped):
        image[outside] = np.nan
    return Slice(
        cut=cut,
        fixed=shown(pair.fixed_intensity, fixed),
        moving=shown(pair.moving_intensity, moving),
        warped=shown(pair.moving_intensity, warped),
        difference_before=read_moving(moving) - read_fixed(fixed),
        difference_after=read_moving(warped) - read_fixed(fixed),
        deformation=apply(np.linalg.inv(reference), y) - x,
        jacobian=sample(determinant, x),
        fixed_lungs=lungs(pair.fixed, pair.fixed_mask, x),
        moving_lungs=lungs(pair.moving, pair.moving_mask, x),
        warped_lungs=lungs(pair.moving, pair.moving_mask, y),
    )


def shown(intensity: Intensity, values: np.ndarray) -> np.ndarray:
    """Stored values as they are drawn: HU for CT, otherwise as stored."""
    return intensity.hounsfield(values) if intensity.modality == "ct" else values


def lungs(volume: Volume, mask: np.ndarray | None, points: np.ndarray) -> np.ndarray | None:
    """How much lung there is at the points, 0 outside the image; None without a mask."""
    return None if mask is None else np.nan_to_num(sample(volume.with_array(mask), points))


def reference_map(pair: Pair, phi: DisplacementField, alignment: np.ndarray | None) -> np.ndarray:
    """The 4x4 map beyond which the deformation is drawn: the alignment, or else the median translation in the cuts.

    The whole displacement mostly tells how the patient lay on the table.
    """
    if alignment is not None:
        return alignment
    matrix = np.eye(4)
    points = np.concatenate([cut.points[::8, ::8].reshape(-1, 3) for cut in cuts(pair)])
    matrix[:3, 3] = np.median(phi(points) - points, axis=0)
    return matrix
