"""What the network sees of a residual: the part that no affine map explains, in the lungs' own box.

How deeply somebody breathes, how large the chest is and how it lies differ far more between patients than disease
does; an affine map holds most of that. In boxes of one shape the bases of all lungs are at the same place.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import map_coordinates

from .residuals import SPACING_MM, Residuals

BOX = (16, 12, 16)
"""Voxels of the box around the lungs along S, A and R."""


def in_lung_boxes(found: Residuals) -> Residuals:
    """All residuals without their affine parts, in mm, zero outside the lungs, on :data:`BOX` voxels around these."""
    pairs = [boxed(nonlinear(u, lungs), lungs) for u, lungs in zip(found.displacement, found.lungs, strict=True)]
    displacement, lungs = (np.stack(arrays).astype(np.float32) for arrays in zip(*pairs, strict=True))
    return Residuals(displacement, lungs, found.warnings)


def nonlinear(displacement: np.ndarray, lungs: np.ndarray) -> np.ndarray:
    """A displacement ``(3, K, J, I)`` in mm without the affine map nearest to it in the least squares over lung."""
    voxels = np.stack(np.meshgrid(*(np.arange(n) for n in lungs.shape), indexing="ij")).reshape(3, -1).T
    position = np.c_[SPACING_MM * voxels, np.ones(len(voxels))]
    inside, u = (lungs > 0.5).ravel(), displacement.reshape(3, -1).T
    affine = np.linalg.lstsq(position[inside], u[inside], rcond=None)[0]
    return (u - position @ affine).T.reshape(displacement.shape)


def boxed(displacement: np.ndarray, lungs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A displacement ``(3, K, J, I)``, zero outside the lungs, and how much of each voxel is lung, on the box."""
    inside = np.argwhere(lungs > 0.5)
    low, size = inside.min(axis=0) - 0.5, np.ptp(inside, axis=0) + 1
    centres = [start + (np.arange(n) + 0.5) * length / n for start, length, n in zip(low, size, BOX, strict=True)]
    places = np.stack(np.meshgrid(*centres, indexing="ij"))
    amount = map_coordinates(lungs, places, order=1, mode="nearest")
    return np.stack([map_coordinates(u, places, order=1, mode="nearest") * amount for u in displacement]), amount
