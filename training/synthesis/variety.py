"""How one chest becomes many: random size, shape, place, alignment and field of view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from LungDeepRegLib.geometry import Lattice, apply
from scipy.spatial.transform import Rotation
from torch import Tensor

from .anatomy import Anatomy
from .free_form import random_free_form
from .scene import View
from .settings import check_amounts

ELASTIC_CONTROLS_MM = (80.0, 80.0, 80.0)
SEVERITIES = (0.3, 1.0, 2.0)
"""How large the error of a pair's alignment is relative to the usual one: small, usual or large."""
CUT = (-0.4, 0.65)
"""How much of half a lattice an image leaves out at one side, drawn between these; below 0 for nothing."""


@dataclass(frozen=True)
class Variety:
    """How one chest becomes many.

    Attributes:
        scale: Standard deviation of the logarithm of the size along each axis.
        turn: Standard deviation of a rotation about each axis, in radians.
        elastic_mm: Greatest standard deviation of a smooth change of shape, by control points 80 mm apart.
        offset_mm: Standard deviation of where the lattice's middle is relative to the lungs' along each axis.
        misalignment: Standard deviation of each entry of the linear part of the alignment's error.
        misalignment_mm: Standard deviation of its offset along each axis.
        contrast: Share of the pairs in which both images get the same random contrast.
        cropped: Share of the images that don't cover the whole lattice.
        density: Greatest power of the Jacobian determinant that the lung's density follows; 1 keeps its mass.

    Raises:
        SynthesisError: A number below 0, or a share that isn't from 0 to 1.
    """

    scale: float = 0.08
    turn: float = 0.06
    elastic_mm: float = 8.0
    offset_mm: float = 8.0
    misalignment: float = 0.012
    misalignment_mm: float = 2.0
    contrast: float = 0.6
    cropped: float = 0.25
    density: float = 1.2

    def __post_init__(self) -> None:
        check_amounts(self, shares=("contrast", "cropped"))

    def pose(self, anatomy: Anatomy, random: np.random.Generator) -> np.ndarray:
        """4x4 from positions at the lattice to the chest's RAS mm, both in mm.

        The lattice's middle is near that of the lungs; the chest is resized, turned, and mirrored half of the time.
        """
        found = np.argwhere(anatomy.lungs.astype(np.float64) > 0.5)[:, ::-1]
        matrix = np.eye(4)
        matrix[:3, 3] = apply(anatomy.lattice.ijk_to_ras, found.mean(axis=0)) + random.normal(0, self.offset_mm, 3)
        size = np.exp(random.normal(0, self.scale, 3)) * [random.choice([-1, 1]), 1, 1]
        matrix[:3, :3] = Rotation.from_rotvec(random.normal(0, self.turn, 3)).as_matrix() * size
        return matrix

    def shape(self, lattice: Lattice, random: np.random.Generator) -> Tensor:
        """A smooth change of a chest's shape, ``(1, 3, K, J, I)`` in mm on the lattice."""
        size = float(random.uniform(0, self.elastic_mm))
        spacing_mm = torch.from_numpy(lattice.spacing_mm.astype(np.float32))
        return size * random_free_form(lattice.shape, spacing_mm, ELASTIC_CONTROLS_MM, random)

    def misaligned(self, matrix: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """An alignment, 4x4 in mm, with a random error."""
        error = np.eye(4)
        severity = float(random.choice(SEVERITIES))
        error[:3, :3] += severity * self.misalignment * random.standard_normal((3, 3))
        error[:3, 3] = severity * self.misalignment_mm * random.standard_normal(3)
        return matrix @ error

    def view(self, half_mm: Tensor, random: np.random.Generator) -> View:
        """All that is in front of the lattice, or a box that leaves up to a third of it out at some of its sides.

        Args:
            half_mm: From the lattice's middle to its outermost voxel centres along ``(i, j, k)``, ``(3,)``.
            random: Where the randomness comes from.
        """
        low, high = -2 * half_mm, 2 * half_mm
        if random.random() < self.cropped:
            for axis in range(3):
                cut = torch.from_numpy(random.uniform(*CUT, 2).clip(0)) * half_mm[axis]
                low[axis], high[axis] = -half_mm[axis] + cut[0], half_mm[axis] - cut[1]
        return View(low, high)
