"""How the volume of the fixed image's lungs changes by a transformation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..displacement_field import DisplacementField, lattice_points
from ..geometry import apply, corner_indices
from ..metrics import jacobian_determinant
from ..resampling import resample
from ..volume import Volume
from .images import box_around, extent
from .pair import Pair

USUAL = (0.3, 3.0)
"""Tissue that breathing shrinks to less than a third of its volume, or more than triples, is rare."""


@dataclass(frozen=True)
class JacobianStatistics:
    """Of the Jacobian determinant.

    Attributes:
        min: The least.
        max: The greatest.
        percent_outside: How much lies outside :data:`USUAL`.
        log_sd: Standard deviation of the natural logarithm; of what is folded there is none.
    """

    min: float
    max: float
    percent_outside: float
    log_sd: float

    @classmethod
    def of(cls, determinants: np.ndarray) -> JacobianStatistics:
        """Of at least one determinant."""
        low, high = USUAL
        positive = determinants[determinants > 0]
        return cls(
            min=float(determinants.min()),
            max=float(determinants.max()),
            percent_outside=100 * float(np.mean((determinants < low) | (determinants > high))),
            log_sd=float(np.log(positive).std(dtype=np.float64)) if positive.size else float("nan"),
        )


def lungs_on_field(mask: Volume, phi: DisplacementField) -> tuple[DisplacementField, np.ndarray]:
    """The part of a field around the fixed image's lungs, and which of its nodes lie in them, bool ``(K, J, I)``."""
    part = field_around(mask, phi)
    inside = mask.lattice.contains(lattice_points(part.lattice)).reshape(part.lattice.shape)
    return part, resample(mask, part.lattice, mode="nearest").array & inside


def field_around(mask: Volume, phi: DisplacementField) -> DisplacementField:
    """The part of a field around what is marked in the fixed image, two nodes wider; all of it if that is nowhere."""
    first, last = extent(mask.array)
    corners = apply(mask.ijk_to_ras, first + corner_indices(tuple((last - first + 1)[::-1])))
    box = box_around(phi.lattice, corners, margin=2)
    return phi if box is None else DisplacementField(phi.vectors[box[1]], box[0])


def lung_determinants(pair: Pair, phi: DisplacementField) -> np.ndarray | None:
    """The Jacobian determinant at the voxels of the fixed image's lungs, ``(N,)`` float32; None without a mask.

    Linear between the field's nodes.
    """
    if pair.fixed_mask is None:
        return None
    part = field_around(pair.fixed.with_array(pair.fixed_mask), phi)
    corners = apply(pair.fixed.ijk_to_ras, np.stack(extent(pair.fixed_mask)).astype(float))
    box = box_around(pair.fixed.lattice, corners)
    assert box is not None, "the lungs lie in their image"
    determinant = resample(Volume(jacobian_determinant(part), part.lattice.ijk_to_ras), box[0])
    return determinant.array[pair.fixed_mask[box[1]]]


def volume_ratio(pair: Pair) -> float | None:
    """Volume of the moving image's lungs over that of the fixed image's; None without both masks."""
    if pair.fixed_mask is None or pair.moving_mask is None:
        return None
    voxels = int(pair.moving_mask.sum()) / int(pair.fixed_mask.sum())
    return voxels * pair.moving.lattice.voxel_volume_mm3 / pair.fixed.lattice.voxel_volume_mm3
