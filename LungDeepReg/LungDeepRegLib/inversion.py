"""phi^-1, by iteration."""

from __future__ import annotations

import numpy as np

from .displacement_field import DisplacementField, lattice_points
from .field_sampling import displaced
from .geometry import Lattice, apply

DIVERGED_MM = 1e4


def affine_fit(field: DisplacementField, stride: int = 4) -> np.ndarray:
    """The 4x4 RAS-to-RAS matrix nearest to a field in the least squares of its displacement."""
    x = lattice_points(field.lattice).reshape(*field.lattice.shape, 3)[::stride, ::stride, ::stride].reshape(-1, 3)
    u = field.vectors[::stride, ::stride, ::stride].reshape(-1, 3).astype(np.float64)
    centre = x.mean(axis=0)
    linear, *_ = np.linalg.lstsq(np.c_[x - centre, np.ones(len(x))], u, rcond=1e-9)
    matrix = np.eye(4)
    matrix[:3, :3] += linear[:3].T
    matrix[:3, 3] = linear[3] - linear[:3].T @ centre
    return matrix


def invert(
    field: DisplacementField, lattice: Lattice, *, tolerance_mm: float = 0.01, iterations: int = 60
) -> tuple[DisplacementField, np.ndarray]:
    """phi^-1 on another lattice (usually one that encloses the moving image), see :func:`inverse_points`.

    Returns:
        The inverse, and what is left of ``|phi(phi^-1(y)) - y|`` in mm at each voxel, ``(K, J, I)`` float32.
    """
    y = lattice_points(lattice)
    x, residual = inverse_points(field, y, tolerance_mm=tolerance_mm, iterations=iterations)
    inverse = DisplacementField((x - y).reshape(*lattice.shape, 3), lattice)
    return inverse, residual.reshape(lattice.shape).astype(np.float32)


def inverse_points(
    field: DisplacementField, points_ras: np.ndarray, *, tolerance_mm: float = 0.001, iterations: int = 60
) -> tuple[np.ndarray, np.ndarray]:
    """phi^-1 of points, by a fixed-point iteration.

    ``x <- x + M^-1 (y - phi(x))`` with M the field's affine fit, so that a large rotation or offset doesn't slow it.

    Args:
        field: phi.
        points_ras: y, ``(N, 3)`` in the moving image's RAS mm.
        tolerance_mm: ``|phi(x) - y|`` at which a point is found.
        iterations: Most steps.

    Returns:
        The best x, ``(N, 3)`` in the fixed image's RAS mm, and its ``|phi(x) - y|`` in mm, ``(N,)``. Where y is not in
        phi's range (beyond the fixed image) or phi folds, the residual stays large.
    """
    y = np.asarray(points_ras, dtype=np.float64)
    back = np.linalg.inv(affine_fit(field))
    u = field.tensor().double()
    x = apply(back, y)
    best, residual = x.copy(), np.full(len(y), np.inf)
    unsettled = np.arange(len(y))
    for _ in range(iterations):
        miss = y[unsettled] - displaced(u, field.lattice, x[unsettled])
        size = np.linalg.norm(miss, axis=1)
        better = size < residual[unsettled]
        best[unsettled[better]], residual[unsettled[better]] = x[unsettled[better]], size[better]
        going_on = (size >= tolerance_mm) & (size < DIVERGED_MM)
        unsettled = unsettled[going_on]
        if not unsettled.size:
            break
        x[unsettled] += miss[going_on] @ back[:3, :3].T
    return best, residual
