"""A volume on other voxels: interpolated, or averaged onto coarser ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from .geometry import Lattice
from .volume import Volume, averaging_factors, block_mean, slabs
from .warp import warp


def world_grid(lattice: Lattice, source: Lattice, matrix: np.ndarray | None = None, device: str = "cpu") -> Tensor:
    """The grid ``(1, K, J, I, 3)`` that samples ``source`` at ``matrix @ x`` for each voxel centre x of ``lattice``.

    ``matrix`` is a 4x4 map of RAS mm to RAS mm; without it, x itself (the world identity).
    """
    between = source.ras_to_grid @ (np.eye(4) if matrix is None else matrix) @ lattice.grid_to_ras
    # As a sum over the axes, which is several times quicker than a product with every position.
    linear = torch.as_tensor(between[:3], dtype=torch.float32, device=device)
    z, y, x = (torch.linspace(-1, 1, n, device=device)[:, None] for n in lattice.shape)
    in_plane = (y * linear[:, 1])[:, None] + (x * linear[:, 0] + linear[:, 3])
    return ((z * linear[:, 2])[:, None, None] + in_plane)[None]


def averaged(volume: Volume, lattice: Lattice, read: Callable[[np.ndarray], np.ndarray]) -> Volume:
    """The volume on a coarser lattice, each value a mean of the voxels around it, so that nothing aliases.

    Whole blocks of voxels are averaged first, up to the lattice's spacing, then interpolated.

    Args:
        volume: The image, of any size.
        lattice: Where it is wanted.
        read: Stored values to float32, applied before averaging (clamping doesn't commute with it).
    """
    return resample(block_mean(volume, averaging_factors(volume.lattice, lattice), read), lattice)


def resample(volume: Volume, lattice: Lattice, *, mode: str = "bilinear", matrix: np.ndarray | None = None) -> Volume:
    """The volume on another lattice: the warp by the world identity, or by a 4x4 RAS-to-RAS ``matrix``.

    Values between voxels are interpolated, not averaged (for a coarser lattice see :func:`averaged`);
    beyond the volume its border values go on. ``nearest`` keeps the stored type, otherwise the result is float32.
    """
    source = volume.tensor()
    result = np.empty(lattice.shape, dtype=volume.array.dtype if mode == "nearest" else np.float32)
    for planes, slab in slabs(lattice):
        grid = world_grid(slab, volume.lattice, matrix)
        result[planes] = warp(source, grid, mode=mode)[0, 0].numpy()
    return Volume(result, lattice.ijk_to_ras, volume.name)
