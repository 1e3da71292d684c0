"""Figures that judge a registration: overlap, landmark errors, the Jacobian determinant, folding, consistency."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from .displacement_field import DisplacementField


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Dice coefficient of two bool arrays of one shape; NaN where both are empty."""
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else float("nan")


@dataclass(frozen=True)
class Distribution:
    """Mean, standard deviation, median, 95th percentile and maximum, in the values' own unit."""

    mean: float
    sd: float
    median: float
    p95: float
    max: float

    @classmethod
    def of(cls, values: np.ndarray) -> Distribution:
        """The distribution of at least one value; the standard deviation is the population's."""
        return cls(
            mean=float(np.mean(values)),
            sd=float(np.std(values)),
            median=float(np.median(values)),
            p95=float(np.percentile(values, 95)),
            max=float(np.max(values)),
        )


def landmark_errors(mapped: np.ndarray, moving: np.ndarray) -> dict[str, Distribution]:
    """Distances in mm between phi(fixed landmarks) and the moving landmarks, both ``(N, 3)`` in the moving RAS frame.

    Returns:
        ``dx``, ``dy``, ``dz``: absolute distances along R, A, S; ``ds``: the Euclidean distance (target registration
        error).
    """
    difference = np.abs(mapped - moving)
    found = {name: Distribution.of(difference[:, axis]) for axis, name in enumerate(("dx", "dy", "dz"))}
    return {**found, "ds": Distribution.of(np.linalg.norm(difference, axis=1))}


def jacobian_determinant(field: DisplacementField) -> np.ndarray:
    """``det(d phi / d x)`` at the lattice's voxel centres, ``(K, J, I)`` float32, by central differences.

    Above 1 the moving image is larger there than the fixed one: volumes grow from fixed to moving.
    """
    ijk_to_ras, u = field.lattice.ijk_to_ras[:3, :3], components(field)
    along = [
        np.gradient(u, axis=axis) + column[:, None, None, None]
        for axis, column in zip((3, 2, 1), ijk_to_ras.T.astype(np.float32), strict=True)
    ]
    return determinant(*along) / np.float32(np.linalg.det(ijk_to_ras))


def components(field: DisplacementField) -> np.ndarray:
    """A field's vectors as three arrays, ``(3, K, J, I)``."""
    return np.ascontiguousarray(np.moveaxis(field.vectors, -1, 0))


def determinant(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """``det(a, b, c)`` of vectors, their components along the first axis; numpy's own cross product is slow."""
    found = a[0] * (b[1] * c[2] - b[2] * c[1])
    found += a[1] * (b[2] * c[0] - b[0] * c[2])
    found += a[2] * (b[0] * c[1] - b[1] * c[0])
    return found


def least_corner_determinant(field: DisplacementField) -> np.ndarray:
    """The least Jacobian determinant of each cell, ``(K-1, J-1, I-1)`` float32.

    Of the eight determinants made of one-sided differences, one at each corner of the cell along the three edges that
    meet there.
    """
    ijk_to_ras = field.lattice.ijk_to_ras[:3, :3].astype(np.float32)
    u = components(field)
    along = zip((3, 2, 1), ijk_to_ras.T, strict=True)
    edges = [np.diff(u, axis=axis) + column[:, None, None, None] for axis, column in along]
    voxel_volume = np.linalg.det(ijk_to_ras)
    k, j, i = (n - 1 for n in field.lattice.shape)
    least = np.full((k, j, i), np.inf, np.float32)
    for a, b, c in product((0, 1), repeat=3):
        along_i = edges[0][:, b : b + k, c : c + j]
        along_j = edges[1][:, b : b + k, :, a : a + i]
        along_k = edges[2][:, :, c : c + j, a : a + i]
        np.minimum(least, determinant(along_i, along_j, along_k) / voxel_volume, out=least)
    return least


def folded_cells(field: DisplacementField) -> np.ndarray:
    """Cells of the lattice, bool ``(K-1, J-1, I-1)``, where the map folds: a corner's determinant is zero or less."""
    return least_corner_determinant(field) <= 0


def folded_percent(field: DisplacementField, region: np.ndarray | None = None) -> float:
    """Percentage of folded cells, of all or of those with a corner in ``region``, bool ``(K, J, I)``."""
    folded = folded_cells(field)
    if region is None:
        return 100 * float(folded.mean())
    cells = any_corner(region)
    return 100 * float(folded[cells].mean()) if cells.any() else float("nan")


def any_corner(voxels: np.ndarray) -> np.ndarray:
    """Cells ``(K-1, J-1, I-1)`` that have a marked voxel at a corner."""
    k, j, i = (n - 1 for n in voxels.shape)
    corners = product((0, 1), repeat=3)
    return np.any([voxels[a : a + k, b : b + j, c : c + i] for a, b, c in corners], axis=0)


def consistency_mm(forward: DisplacementField, backward: DisplacementField, points_ras: np.ndarray) -> np.ndarray:
    """``|psi(phi(x)) - x|`` in mm for points ``(N, 3)``: psi is the registration of the swapped pair."""
    return np.linalg.norm(backward(forward(points_ras)) - points_ras, axis=-1)
