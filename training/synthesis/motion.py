"""Random motion of a chest, known exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from .free_form import random_free_form
from .settings import check_amounts

LEAST_JACOBIAN = 0.2
SHRINK = 0.8
CONTROLS_MM = {"coarse_mm": 90.0, "middle_mm": 50.0, "fine_mm": 28.0}
"""Distance between the control points of each free-form part."""
SLOW_MM = (110.0, 110.0, 160.0)
"""And of the variation from place to place of the breathing part, along R, A and S."""


@dataclass(frozen=True)
class Motion:
    """How far and how smoothly a chest moves between two images.

    The motion is a sum of free-form deformations whose size is drawn anew for each pair: a slow one along the body's
    axis that grows from the apex to the base, as breathing does, and a coarse, a middle and a fine one in all
    directions. Often the lungs move and the chest wall doesn't.

    Attributes:
        base_mm: Greatest typical displacement of the breathing part at the base.
        coarse_mm: Greatest standard deviation of the coarse part's control points, 90 mm apart, in each direction.
        middle_mm: Of the middle part's, 50 mm apart.
        fine_mm: Of the fine part's, 28 mm apart.
        sliding: Share of the pairs in which the breathing part ends at the lungs' surface.

    Raises:
        SynthesisError: A size below 0, or a share that isn't from 0 to 1.
    """

    base_mm: float = 30.0
    coarse_mm: float = 8.0
    middle_mm: float = 4.0
    fine_mm: float = 2.0
    sliding: float = 0.5

    def __post_init__(self) -> None:
        check_amounts(self, shares=("sliding",))

    def sample(self, lungs: Tensor, spacing_mm: Tensor, random: np.random.Generator) -> Tensor:
        """A displacement ``(1, 3, K, J, I)`` in mm along R, A, S, which are the directions of ``(i, j, k)``.

        It doesn't fold: where the least Jacobian determinant, by central differences of the lattice's voxels, isn't
        :data:`LEAST_JACOBIAN`, the whole is made smaller.

        Args:
            lungs: How much of each voxel is lung before it moves, ``(1, 1, K, J, I)``.
            spacing_mm: Of the voxels along ``(i, j, k)``, ``(3,)``.
            random: Where the randomness comes from.
        """
        shape = tuple(lungs.shape[2:])
        field = self._breathing(lungs, spacing_mm, random)
        for name, control in CONTROLS_MM.items():
            part = random_free_form(shape, spacing_mm, (control, control, control), random)
            field = field + float(random.uniform(0, getattr(self, name))) * part
        while float(jacobian(field, spacing_mm).amin()) < LEAST_JACOBIAN:
            field = SHRINK * field
        return field

    def _breathing(self, lungs: Tensor, spacing_mm: Tensor, random: np.random.Generator) -> Tensor:
        """Down or up, most at the base, varying slowly from place to place, with some motion forwards."""
        shape = tuple(lungs.shape[2:])
        slow = random_free_form(shape, spacing_mm, SLOW_MM, random)
        direction = torch.tensor([0.1, float(random.uniform(0, 0.4)), 1.0]).reshape(1, 3, 1, 1, 1)
        sign, size = float(random.choice([-1, 1])), float(random.uniform(0, self.base_mm))
        field = sign * size * direction * (1 + 0.6 * slow) * depth(lungs, float(random.uniform(0.7, 2)))
        if random.random() < self.sliding:
            field = field * softened(lungs, float(random.uniform(8, 20)) / spacing_mm)
        return field


def depth(lungs: Tensor, power: float) -> Tensor:
    """How far down each plane is, to a power: 0 at the lungs' top and above, 1 at their bottom and below.

    Args:
        lungs: ``(1, 1, K, J, I)``, k upwards; without any lung the whole lattice counts as one.
        power: Above 0.

    Returns:
        ``(1, 1, K, 1, 1)``.
    """
    planes = torch.nonzero(lungs.amax((0, 1, 3, 4)) > 0.5)[:, 0]
    low, high = (float(planes[0]), float(planes[-1])) if len(planes) else (0.0, lungs.shape[2] - 1.0)
    k = torch.arange(lungs.shape[2], dtype=torch.float32)
    return ((high - k) / max(high - low, 1.0)).clamp(0, 1).pow(power).reshape(1, 1, -1, 1, 1)


def softened(mask: Tensor, sigma: Tensor) -> Tensor:
    """A mask smoothed by a Gaussian; beyond the lattice it is zero.

    Args:
        mask: ``(1, 1, K, J, I)``.
        sigma: Standard deviation in voxels along ``(i, j, k)``, ``(3,)``.
    """
    for axis in range(3):
        width = float(sigma[axis])
        radius = int(np.ceil(2.5 * width))
        weights = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / width) ** 2)
        kernel = (weights / weights.sum()).reshape([-1 if d == 4 - axis else 1 for d in range(5)])
        mask = functional.conv3d(mask, kernel, padding=[radius if d == 4 - axis else 0 for d in range(2, 5)])
    return mask


def jacobian(displacement: Tensor, spacing_mm: Tensor) -> Tensor:
    """Determinant of d(x + u)/dx, ``(B, K, J, I)``, by central differences (one-sided ones at the borders).

    Args:
        displacement: u, ``(B, 3, K, J, I)`` in mm along R, A, S, which are the directions of ``(i, j, k)``.
        spacing_mm: Of the voxels along ``(i, j, k)``, ``(3,)``.
    """
    k, j, i = torch.gradient(displacement, spacing=[float(mm) for mm in spacing_mm.flip(0)], dim=(2, 3, 4))
    matrix = torch.stack((i, j, k), dim=-1).movedim(1, -2)
    a, b, c = (matrix[..., row, :] + torch.eye(3)[row] for row in range(3))
    return (a * torch.linalg.cross(b, c)).sum(-1)
