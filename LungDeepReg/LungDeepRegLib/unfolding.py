"""Taking folds out of a displacement field."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .displacement_field import DisplacementField
from .metrics import least_corner_determinant

LEAST_DETERMINANT = 0.02
ROUNDS = 100


def unfolded(field: DisplacementField) -> DisplacementField:
    """The field, smoothed around its folded cells, and nowhere else, until no cell folds.

    Each round replaces the vectors next to cells whose least corner determinant is below 0.02 by local means; where
    that isn't enough, the neighbourhood grows. A constant field doesn't fold, so it ends.
    """
    vectors = field.vectors
    for round_ in range(ROUNDS):
        folded = least_corner_determinant(DisplacementField(vectors, field.lattice)) < LEAST_DETERMINANT
        if not folded.any():
            break
        weight = near_cells(folded, reach=1 + round_ // 5)[..., None]
        smooth = np.stack([ndimage.gaussian_filter(vectors[..., axis], 1.0, mode="nearest") for axis in range(3)], -1)
        vectors = vectors + weight * (smooth - vectors)
    return DisplacementField(vectors, field.lattice)


def near_cells(cells: np.ndarray, reach: int) -> np.ndarray:
    """Weights in [0, 1], ``(K, J, I)``: 1 at the corners of marked cells, falling off over ``reach`` voxels."""
    corners = np.zeros(np.array(cells.shape) + 1, bool)
    for k, j, i in np.argwhere(cells):
        corners[k : k + 2, j : j + 2, i : i + 2] = True
    near = ndimage.binary_dilation(corners, iterations=reach)
    return np.clip(ndimage.gaussian_filter(near.astype(np.float32), reach / 2) * near + corners, 0, 1)
