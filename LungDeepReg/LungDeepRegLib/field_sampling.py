"""Sampling by a displacement: of points, of an image, of the displacement itself."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .geometry import Lattice, apply
from .resampling import interpolated, world_grid
from .volume import Volume, slabs
from .warp import warp


def displaced(u: Tensor, lattice: Lattice, points: np.ndarray) -> np.ndarray:
    """``x + u(x)`` of points x ``(N, 3)`` in RAS mm, for a float64 displacement ``(1, 3, K, J, I)`` on a lattice."""
    grid = torch.from_numpy(apply(lattice.ras_to_grid, points)).reshape(1, 1, 1, -1, 3)
    return points + warp(u, grid)[0, :, 0, 0].T.numpy()


def vectors_on(u: Tensor, u_lattice: Lattice, lattice: Lattice) -> np.ndarray:
    """u ``(1, 3, K', J', I')`` on another lattice, linearly interpolated: ``(K, J, I, 3)`` float32."""
    vectors = np.empty((*lattice.shape, 3), dtype=np.float32)
    for planes, slab in slabs(lattice):
        vectors[planes] = interpolated(u, u_lattice, slab)[0].movedim(0, -1).numpy()
    return vectors


def sampled(
    moving: Volume, u: Tensor, u_lattice: Lattice, lattice: Lattice, fill: float, mode: str
) -> tuple[np.ndarray, np.ndarray]:
    """``moving(x + u(x))`` at the voxel centres x of a lattice, slab by slab, see :meth:`DisplacementField.warp`.

    Returns:
        The values ``(K, J, I)``, ``fill`` beyond the moving image, and where it covers them, bool.
    """
    dtype = moving.array.dtype if mode == "nearest" else np.float32
    values, covered = np.empty(lattice.shape, dtype), np.empty(lattice.shape, bool)
    image, shift = moving.tensor(), grid_shift(u, moving.lattice)
    for planes, slab in slabs(lattice):
        grid = shifted_grid(shift, u_lattice, slab, moving.lattice)
        covered[planes] = inside(grid, moving.lattice)[0].numpy()
        values[planes] = np.where(covered[planes], warp(image, grid, mode=mode)[0, 0].numpy(), fill)
    return values, covered


def sampling_grid(u: Tensor, u_lattice: Lattice, lattice: Lattice, source: Lattice) -> Tensor:
    """The grid ``(1, K, J, I, 3)`` that samples ``source`` at phi(x) for the voxel centres x of ``lattice``.

    Args:
        u: Displacement ``(1, 3, K', J', I')`` in RAS mm on ``u_lattice``.
        u_lattice: Where u is.
        lattice: The voxels x.
        source: The lattice of the image to be sampled.
    """
    return shifted_grid(grid_shift(u, source), u_lattice, lattice, source)


def grid_shift(u: Tensor, source: Lattice) -> Tensor:
    """A displacement ``(1, 3, K', J', I')`` in RAS mm in the units and along the axes of a lattice's grid."""
    rotation = torch.as_tensor(source.ras_to_grid[:3, :3].copy(), dtype=u.dtype, device=u.device)
    return torch.einsum("cd,bdkji->bckji", rotation, u)


def shifted_grid(shift: Tensor, shift_lattice: Lattice, lattice: Lattice, source: Lattice) -> Tensor:
    """:func:`sampling_grid` of a displacement that :func:`grid_shift` has turned, once for all slabs of ``lattice``."""
    at_x = interpolated(shift, shift_lattice, lattice)
    return at_x.movedim(1, -1).add_(world_grid(lattice, source, device=str(shift.device)))


def inside(grid: Tensor, source: Lattice) -> Tensor:
    """Which grid positions lie within the voxels of ``source``: half a voxel beyond outer centres, as ITK has it."""
    sizes = torch.tensor(source.shape[::-1], dtype=grid.dtype, device=grid.device)
    x, y, z = (grid.abs() <= sizes / (sizes - 1) + 1e-5).unbind(-1)
    return x & y & z
