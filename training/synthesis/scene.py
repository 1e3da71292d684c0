"""A chest in front of the network's lattice, and pictures of it from there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as functional
from LungDeepRegLib.geometry import Lattice, index_box
from LungDeepRegLib.network_stage import FINER
from LungDeepRegLib.volume import Volume, averaging_factors, block_mean
from LungDeepRegLib.warp import identity_grid, warp
from torch import Tensor

from .anatomy import Anatomy


@dataclass(frozen=True)
class View:
    """The box that an image covers.

    Attributes:
        low: Its lowest corner, ``(3,)`` in mm along R, A, S from the lattice's middle.
        high: Its highest one.
    """

    low: Tensor
    high: Tensor

    def clamped(self, positions: Tensor) -> Tensor:
        """Positions ``(..., 3)`` moved onto the box where they lie outside it: an image goes on at its border value."""
        return torch.maximum(torch.minimum(positions, self.high), self.low)

    def covers(self, positions: Tensor) -> Tensor:
        """Which positions ``(..., 3)`` lie in the box, bool ``(...)``."""
        return ((positions >= self.low) & (positions <= self.high)).all(dim=-1)


class Scene:
    """A chest in front of a lattice.

    Positions are ``(1, K, J, I, 3)``, in mm along R, A, S from the lattice's middle. There a chest is seen resized and
    turned (its pose) and with its shape changed.

    Args:
        anatomy: The chest.
        lattice: Its shape and spacing count, not its place.
        pose: 4x4 from positions to the chest's RAS mm.
        shape: Displacement of positions before that, ``(1, 3, K, J, I)`` in mm.

    Attributes:
        spacing_mm: Of the lattice along ``(i, j, k)``, ``(3,)``.
        half_mm: From the lattice's middle to its outermost voxel centres, ``(3,)``.
        positions: Its voxel centres.
        lungs: The chest's lungs, ``(1, 1, K', J', I')`` on its own voxels.
    """

    def __init__(self, anatomy: Anatomy, lattice: Lattice, pose: np.ndarray, shape: Tensor) -> None:
        self.spacing_mm = torch.from_numpy(lattice.spacing_mm.astype(np.float32))
        self.half_mm = torch.tensor([(n - 1) / 2 for n in lattice.shape[::-1]]) * self.spacing_mm
        self.positions = identity_grid(lattice.shape)[None] * self.half_mm
        self.lungs = torch.from_numpy(anatomy.lungs.astype(np.float32))[None, None]
        self._image = averaged_for(lattice, Volume(anatomy.image, anatomy.lattice.ijk_to_ras))
        self._pose, self._shape = pose, shape
        self._lungs_lattice = anatomy.lattice

    def moved(self, displacement: Tensor, positions: Tensor) -> Tensor:
        """``x + u(x)`` for u ``(1, 3, K, J, I)`` in mm on the lattice; beyond it u goes on at its border value."""
        return positions + self.at(displacement, positions).movedim(1, -1)

    def at(self, values: Tensor, positions: Tensor) -> Tensor:
        """What is known on the lattice, ``(1, C, K, J, I)``, at some positions."""
        return warp(values, positions / self.half_mm)

    def lungs_at(self, positions: Tensor) -> Tensor:
        """How much of the chest is lung at some positions, ``(1, 1, K, J, I)`` in [0, 1]."""
        return warp(self.lungs, self._seen(positions, self._lungs_lattice))

    def picture(self, positions: Tensor) -> Tensor:
        """The chest's image at some positions, each value an average over its voxel, ``(1, 1, K, J, I)`` in [0, 1]."""
        grid = self._seen(positions, self._image.lattice)
        if float(self.spacing_mm.max()) <= float(self._image.lattice.spacing_mm.min()):
            return warp(self._image.tensor(), grid)  # the chest's own voxels are averages over as much
        return functional.avg_pool3d(warp(self._image.tensor(), finer(grid.movedim(-1, 1)).movedim(1, -1)), FINER)

    def _seen(self, positions: Tensor, lattice: Lattice) -> Tensor:
        """The grid that samples what lies on a lattice at the chest."""
        return transformed(lattice.ras_to_grid @ self._pose, self.moved(self._shape, positions))


def finer(grid: Tensor) -> Tensor:
    """Positions ``(1, 3, K, J, I)`` of voxels to those of :data:`FINER` samples along each axis of every voxel.

    Linear between voxels, and beyond the outermost ones, whose outer samples lie there.
    """
    for dim in (2, 3, 4):
        last = grid.shape[dim] - 1
        before = 2 * grid.narrow(dim, 0, 1) - grid.narrow(dim, 1, 1)
        after = 2 * grid.narrow(dim, last, 1) - grid.narrow(dim, last - 1, 1)
        grid = torch.cat([before, grid, after], dim)
    fine = functional.interpolate(grid, scale_factor=FINER, mode="trilinear", align_corners=False)
    inner = slice(FINER, -FINER)
    return fine[:, :, inner, inner, inner]


def averaged_for(lattice: Lattice, image: Volume) -> Volume:
    """Means of whole blocks of voxels, as large as the samples of a lattice's voxels are apart: nothing aliases.

    As :func:`network_stage.on_lattice` averages before it samples.
    """
    samples = index_box(lattice, np.zeros(3), np.array(lattice.shape[::-1]) * FINER, 1 / FINER)
    return block_mean(image, averaging_factors(image.lattice, samples), lambda array: array.astype(np.float32))


def transformed(matrix: np.ndarray, positions: Tensor) -> Tensor:
    """Positions ``(..., 3)`` taken through a 4x4 matrix."""
    linear = torch.from_numpy(matrix[:3].astype(np.float32))
    return positions @ linear[:, :3].T + linear[:, 3]
