"""Random smooth maps: free-form deformations, cubic B-splines over a grid of random control points.

Rueckert et al. 1999, IEEE Transactions on Medical Imaging 18(8).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def spline_basis(points: int, spacing: float) -> np.ndarray:
    """How much each control point counts at each voxel of an axis, ``(points, controls)``; each row has sum 1.

    Args:
        points: Voxels along the axis.
        spacing: Voxels between control points, above 0; these lie symmetrically about the axis' middle and reach
            beyond its ends, so that every voxel has all four that count there.
    """
    controls = int(np.ceil((points - 1) / spacing)) + 4
    position = (np.arange(points) - (points - 1) / 2) / spacing + (controls - 1) / 2
    distance = np.abs(position[:, None] - np.arange(controls))
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    return np.where(distance < 1, near, far).astype(np.float32)


def random_free_form(
    shape: tuple[int, int, int], spacing_mm: Tensor, control_mm: tuple[float, float, float], random: np.random.Generator
) -> Tensor:
    """A smooth random field ``(1, 3, K, J, I)`` whose control values are standard normal, and which has no unit.

    Args:
        shape: ``(K, J, I)``.
        spacing_mm: Of the voxels along ``(i, j, k)``, ``(3,)``.
        control_mm: Distance between control points along ``(i, j, k)``.
        random: Where the randomness comes from.
    """
    voxels = [control / float(mm) for control, mm in zip(control_mm, spacing_mm, strict=True)]
    bases = [spline_basis(n, spacing) for n, spacing in zip(shape, voxels[::-1], strict=True)]
    control = random.standard_normal((3, *(basis.shape[1] for basis in bases)), dtype=np.float32)
    field = torch.from_numpy(control)
    for basis in bases:  # each takes the first axis of space and gives the last one
        field = torch.tensordot(field, torch.from_numpy(basis), dims=([1], [1]))
    return field[None]
