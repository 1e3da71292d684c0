"""Each pair in both directions.

A network that is shown one pair at a time learns that pair's mean motion before it learns to look. With the pair and
its reverse in one batch the mean motion is zero, and only what tells the images apart explains it.
"""

from __future__ import annotations

import torch
from LungDeepRegLib.deformation import displacement_grid, grid_units_per_voxel
from LungDeepRegLib.warp import warp
from torch import Tensor

from .pairs import Pair

ITERATIONS = 8
TOLERANCE_VOXELS = 0.1


def both_ways(batch: Pair) -> Pair:
    """The batch, followed by the same pairs with fixed and moving image swapped: twice as many pairs."""
    return Pair(*(torch.cat(parts) for parts in zip(batch, reverse(batch), strict=True)))


def reverse(batch: Pair) -> Pair:
    """The pairs with fixed and moving image swapped, and the inverse of the known displacement.

    The inverse is certain where the displacement is that it comes from, but not where that lies beyond the lattice, or
    where the iteration didn't find it (next to tissue that stretches to more than twice its length).
    """
    inverse = inverse_displacement(batch.displacement)
    grid = displacement_grid(inverse)
    missed = (inverse + warp(batch.displacement, grid)).norm(dim=1, keepdim=True)
    half_a_voxel = grid_units_per_voxel(inverse) / 2
    found = (missed < TOLERANCE_VOXELS) & (grid.abs() <= 1 + half_a_voxel).all(dim=-1)[:, None]
    return Pair(
        fixed=batch.moving,
        moving=batch.fixed,
        fixed_lungs=batch.moving_lungs,
        moving_lungs=batch.fixed_lungs,
        displacement=inverse,
        certainty=warp(batch.certainty, grid) * found,
        landmarks=batch.landmarks.flip(2),
    )


def inverse_displacement(displacement: Tensor) -> Tensor:
    """The displacement w of the inverse map: ``w(y) = -u(y + w(y))``, by a fixed-point iteration.

    It converges where no derivative of u exceeds 1, and quickly where they are small (Chen et al. 2008, Med Phys 35(1),
    "A simple fixed-point approach to invert a deformation field").

    Args:
        displacement: u, ``(B, 3, K, J, I)`` in voxels; beyond the lattice it goes on at its border value.

    Returns:
        w, likewise.
    """
    inverse = -displacement
    for _ in range(ITERATIONS):
        inverse = -warp(displacement, displacement_grid(inverse))
    return inverse
