"""A scalar image in space, and its parts, axes and block means. Works without torch but for :meth:`Volume.tensor`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .geometry import GeometryError, Lattice, apply, canonical_order, index_box

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SLAB_VOXELS = 2_000_000


class VolumeError(ValueError):
    """An image that cannot be registered: its message names the image, what was found and what was expected."""


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels and where they are.

    Attributes:
        array: ``(K, J, I)`` scalars of any real type, as stored (HU for CT).
        ijk_to_ras: 4x4 matrix from voxel index ``(i, j, k, 1)`` to RAS mm.
        name: The file or node it came from, for messages.

    Raises:
        VolumeError: Not three axes of at least two voxels, not real numbers, or a matrix that is no geometry.
    """

    array: np.ndarray
    ijk_to_ras: np.ndarray
    name: str = "volume"
    lattice: Lattice = field(init=False)

    def __post_init__(self) -> None:
        array = np.asarray(self.array)
        if array.ndim != 3:
            msg = f"{self.name}: found {array.ndim} axes {array.shape}, expected one scalar 3D image"
            raise VolumeError(msg)
        if array.dtype.kind not in "buif":
            msg = f"{self.name}: found voxels of type {array.dtype}, expected real scalars"
            raise VolumeError(msg)
        try:
            lattice = Lattice(array.shape, self.ijk_to_ras)
        except GeometryError as error:
            msg = f"{self.name}: {error}"
            raise VolumeError(msg) from error
        object.__setattr__(self, "array", array)
        object.__setattr__(self, "ijk_to_ras", lattice.ijk_to_ras)
        object.__setattr__(self, "lattice", lattice)

    def with_array(self, array: np.ndarray, name: str | None = None) -> Volume:
        """Other voxels at the same place."""
        return Volume(array, self.ijk_to_ras, name or self.name)

    def tensor(self, device: torch.device | str = "cpu") -> Tensor:
        """The voxels as float32 ``(1, 1, K, J, I)``."""
        import torch  # here, since Slicer's own process handles volumes and never loads torch

        return torch.from_numpy(np.ascontiguousarray(self.array, dtype=np.float32))[None, None].to(device)


def check_image(volume: Volume) -> None:
    """Raise :class:`VolumeError` for voxels that no registration can use: NaN, infinite, or all the same."""
    if volume.array.dtype.kind == "f" and not np.isfinite(volume.array).all():
        count = int((~np.isfinite(volume.array)).sum())
        msg = f"{volume.name}: found {count} NaN or infinite voxels, expected finite numbers"
        raise VolumeError(msg)
    low, high = volume.array.min(), volume.array.max()
    if low == high:
        msg = f"{volume.name}: found the same value {low} in every voxel, expected an image"
        raise VolumeError(msg)


def slabs(lattice: Lattice, voxels: int = SLAB_VOXELS) -> list[tuple[slice, Lattice]]:
    """Cut a lattice along k into pieces of about so many voxels, each with its own place in space.

    Work that is done slab by slab never holds a full-resolution field in memory. Every piece has at least two planes.
    """
    planes = max(2, voxels // (lattice.shape[1] * lattice.shape[2]))
    starts = list(range(0, lattice.shape[0], planes))
    if len(starts) > 1 and lattice.shape[0] - starts[-1] < 2:
        starts.pop()
    stops = [*starts[1:], lattice.shape[0]]
    return [
        (slice(a, b), index_box(lattice, np.array([0, 0, a]), np.array([*lattice.shape[:0:-1], b - a])))
        for a, b in zip(starts, stops, strict=True)
    ]


def part_around(lattice: Lattice, points_ras: np.ndarray) -> tuple[Lattice, tuple[slice, slice, slice]]:
    """The part of a lattice between points ``(N, 3)`` in RAS mm, and which voxels it is, along ``(k, j, i)``."""
    between, size = apply(lattice.ras_to_ijk, points_ras), np.array(lattice.shape[::-1])
    start = np.clip(np.floor(between.min(axis=0)).astype(int), 0, size - 2)  # a lattice has two voxels along each axis
    stop = np.clip(np.ceil(between.max(axis=0)).astype(int) + 1, start + 2, size)
    i, j, k = (slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    return index_box(lattice, start, stop - start), (k, j, i)


def canonical(volume: Volume) -> Volume:
    """The same voxels at the same places, with axes ordered and signed as near to R, A, S as they go."""
    order, signs = canonical_order(volume.ijk_to_ras)
    array = volume.array.transpose([2 - axis for axis in order[::-1]])
    matrix = volume.ijk_to_ras[:, [*order, 3]].copy()
    for axis, sign in enumerate(signs):
        if sign < 0:
            array = np.flip(array, 2 - axis)
            matrix[:3, 3] += matrix[:3, axis] * (array.shape[2 - axis] - 1)
            matrix[:3, axis] *= -1
    return Volume(array, matrix, volume.name)


def averaging_factors(source: Lattice, lattice: Lattice) -> list[int]:
    """How many voxels of ``source`` along ``(i, j, k)`` make a block of about a coarser lattice's spacing."""
    wanted = float(lattice.spacing_mm.min())
    return [max(1, int(wanted / s + 0.25)) for s in source.spacing_mm]


def block_mean(volume: Volume, factors: list[int], read: Callable[[np.ndarray], np.ndarray]) -> Volume:
    """Means of blocks of ``factors`` voxels along ``(i, j, k)``; an incomplete last block is left out."""
    factors = [min(f, n // 2) for f, n in zip(factors, volume.array.shape[::-1], strict=True)]
    fi, fj, fk = factors
    k, j, i = (n // f for n, f in zip(volume.array.shape, (fk, fj, fi), strict=True))
    means = np.empty((k, j, i), np.float32)
    for plane in range(k):
        block = read(volume.array[plane * fk : (plane + 1) * fk, : j * fj, : i * fi])
        rows = block.sum(axis=0).reshape(j, fj, i * fi).sum(axis=1)
        # Along i as a sum of every fi-th voxel: numpy is slow at sums over a few neighbours.
        means[plane] = sum(rows[:, first::fi] for first in range(fi)) / np.float32(fi * fj * fk)
    blocks = index_box(volume.lattice, np.zeros(3), np.array([i, j, k]), np.array(factors))
    return Volume(means, blocks.ijk_to_ras, volume.name)
