"""From what alignment and refinement found to the one field that is written."""

from __future__ import annotations

import numpy as np

from .displacement_field import DisplacementField, lattice_points
from .geometry import Lattice, apply, corner_indices, covering_lattice, index_box, orthonormal_axes
from .volume import slabs

FIELD_SPACING_MM = 5.0
"""Spacing of a field that holds an affine map only."""


def written_field(matrix: np.ndarray, residual: DisplacementField | None, fixed: Lattice) -> DisplacementField:
    """phi(x) = matrix @ (x + v(x)) on a lattice that encloses the whole fixed image.

    Beyond its own lattice v goes on at its border value. The refinement leaves v without a slope across its border
    (nothing but smoothness acts there), so it goes on smoothly and unfolded.

    Args:
        matrix: T_align, 4x4, RAS mm to RAS mm.
        residual: v, in RAS mm in the fixed frame, or None for zero.
        fixed: The fixed image's lattice.
    """
    if residual is None:
        return DisplacementField.from_matrix(matrix, covering_lattice(fixed, FIELD_SPACING_MM, FIELD_SPACING_MM))
    lattice = extended(residual.lattice, fixed)
    vectors = residual.on(lattice).vectors
    for planes, slab in slabs(lattice):
        x, v = lattice_points(slab), vectors[planes].reshape(-1, 3)
        vectors[planes] = (apply(matrix, x + v) - x).reshape(*slab.shape, 3)
    return DisplacementField(vectors, lattice)


def extended(lattice: Lattice, fixed: Lattice) -> Lattice:
    """The lattice going on, voxel centres in place, until they enclose the fixed image with a margin of one voxel.

    A sheared lattice (gantry tilt), which ITK cannot hold, gives an orthonormal one of the same spacing.
    """
    directions = lattice.ijk_to_ras[:3, :3] / lattice.spacing_mm
    if not np.allclose(directions, orthonormal_axes(lattice.ijk_to_ras), atol=1e-4):
        spacing = float(lattice.spacing_mm.min())
        return covering_lattice(fixed, spacing, spacing)
    corners = apply(lattice.ras_to_ijk, apply(fixed.ijk_to_ras, corner_indices(fixed.shape, outer=True)))
    start = np.floor(np.minimum(corners.min(axis=0), 0)).astype(int) - 1
    stop = np.ceil(np.maximum(corners.max(axis=0), np.array(lattice.shape[::-1]) - 1)).astype(int) + 1
    return index_box(lattice, start, stop - start + 1)
