"""Each pair in both directions.

A network that is shown one pair at a time learns that pair's mean motion before it learns to look. With the pair and
its reverse in one batch the mean motion is zero, and only what tells the images apart explains it.
"""

from __future__ import annotations

import torch
from LungDeepRegLib.deformation import displacement_grid
from LungDeepRegLib.warp import warp
from torch import Tensor

from .pairs import Pair

ITERATIONS = 8


def both_ways(batch: Pair) -> Pair:
    """The batch, followed by the same pairs with fixed and moving image swapped."""
    return Pair(*(torch.cat(parts) for parts in zip(batch, reverse(batch), strict=True)))


def reverse(batch: Pair) -> Pair:
    """The pairs with fixed and moving image swapped, and the inverse of the known displacement."""
    inverse = inverse_displacement(batch.displacement)
    return Pair(
        fixed=batch.moving,
        moving=batch.fixed,
        fixed_lungs=batch.moving_lungs,
        moving_lungs=batch.fixed_lungs,
        displacement=inverse,
        certainty=warp(batch.certainty, displacement_grid(inverse)),
        landmarks=batch.landmarks.flip(2),
    )


def inverse_displacement(displacement: Tensor) -> Tensor:
    """w with ``w(x) = -u(x + w(x))``, ``(B, 3, K, J, I)`` in voxels, by a fixed-point iteration."""
    inverse = -displacement
    for _ in range(ITERATIONS):
        inverse = -warp(displacement, displacement_grid(inverse))
    return inverse
