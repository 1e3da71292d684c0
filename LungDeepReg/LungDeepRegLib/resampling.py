"""A volume on other voxels: interpolated, or averaged onto coarser ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from .geometry import Lattice
from .volume import Volume, averaging_factors, block_mean, slabs
from .warp import warp

PARALLEL_VOXELS = 1e-3
"""Axes of two lattices are parallel where they come apart by no more than this over their whole length."""
ALONG = ("nk,ckji->cnji", "nj,ckji->ckni", "ni,ckji->ckjn")
"""A matrix for each of the axes k, j and i of ``(C, K, J, I)``."""


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


def interpolated(values: Tensor, source: Lattice, lattice: Lattice) -> Tensor:
    """Values on one lattice at the voxel centres of another: linear in between, the border values going on beyond.

    Where the axes of both are parallel, as those of all lattices that are made from one image are, this goes axis by
    axis, by a matrix each, which is several times quicker than sampling at every position.

    Args:
        values: ``(1, C, K', J', I')`` on ``source``.
        source: Where they are.
        lattice: Where they are wanted.

    Returns:
        ``(1, C, K, J, I)``.
    """
    axes = parallel_axes(lattice, source)
    if axes is None:
        return warp(values, world_grid(lattice, source, device=str(values.device)))
    found = values[0]
    for dim, (_, index) in enumerate(axes[::-1], start=1):
        first, weights = linear_weights(index, found.shape[dim])
        part = found.narrow(dim, first, weights.shape[1])
        found = torch.einsum(ALONG[dim - 1], torch.from_numpy(weights).to(values), part)
    order = [axis for axis, _ in axes]
    return found.permute(0, *(3 - order.index(axis) for axis in (2, 1, 0)))[None]


def parallel_axes(lattice: Lattice, source: Lattice) -> list[tuple[int, np.ndarray]] | None:
    """For each axis ``(i, j, k)`` of a lattice the parallel one of another, and where that one's voxels lie along it.

    Args:
        lattice: The other one.
        source: The one whose axes are asked for.

    Returns:
        The number of an axis of ``lattice`` and the (fractional) indices ``(N,)`` in ``source`` of the voxels along
        it; None where not all axes are parallel.
    """
    between = source.ras_to_ijk @ lattice.ijk_to_ras
    count = np.array(lattice.shape[::-1])
    reach = np.abs(between[:3, :3]) * (count - 1)
    order = reach.argmax(axis=1)
    apart = reach.sum(axis=1) - reach.max(axis=1)
    if set(order) != {0, 1, 2} or apart.max() > PARALLEL_VOXELS:
        return None
    return [(int(t), between[s, t] * np.arange(count[t]) + between[s, 3]) for s, t in enumerate(order)]


def linear_weights(index: np.ndarray, size: int) -> tuple[int, np.ndarray]:
    """Linear interpolation along an axis of so many voxels, at (fractional) indices ``(N,)``.

    Returns:
        The first of the voxels that are needed, and the matrix ``(N, M)`` float32 that makes N values of M voxels.
    """
    index = np.clip(index, 0, size - 1)
    low = np.minimum(index.astype(int), size - 2)
    first, rows = int(low.min()), np.arange(len(index))
    weights = np.zeros((len(index), int(low.max()) + 2 - first), np.float32)
    weights[rows, low - first] = 1 - (index - low)
    weights[rows, low - first + 1] = index - low
    return first, weights


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
        if matrix is None and mode == "bilinear":
            found = interpolated(source, volume.lattice, slab)
        else:
            found = warp(source, world_grid(slab, volume.lattice, matrix), mode=mode)
        result[planes] = found[0, 0].numpy()
    return Volume(result, lattice.ijk_to_ras, volume.name)
