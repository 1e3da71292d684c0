"""A scalar image in space, and its resampling."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from .geometry import GeometryError, Lattice, apply, identity_grid
from .warp import warp

SLAB_VOXELS = 4_000_000


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
    return [(slice(a, b), plane_range(lattice, a, b)) for a, b in zip(starts, stops, strict=True)]


def plane_range(lattice: Lattice, start: int, stop: int) -> Lattice:
    """The planes ``start`` to ``stop`` (excluded) along k, as a lattice."""
    matrix = np.array(lattice.ijk_to_ras)
    matrix[:3, 3] += matrix[:3, 2] * start
    return Lattice((stop - start, *lattice.shape[1:]), matrix)


def world_grid(lattice: Lattice, source: Lattice, matrix: np.ndarray | None = None, device: str = "cpu") -> Tensor:
    """The grid ``(1, K, J, I, 3)`` that samples ``source`` at ``matrix @ x`` for each voxel centre x of ``lattice``.

    ``matrix`` is a 4x4 map of RAS mm to RAS mm; without it, x itself (the world identity).
    """
    between = source.ras_to_grid @ (np.eye(4) if matrix is None else matrix) @ lattice.grid_to_ras
    return apply(between, identity_grid(lattice.shape, device=device))[None]


def resample(volume: Volume, lattice: Lattice, *, mode: str = "bilinear", matrix: np.ndarray | None = None) -> Volume:
    """The volume on another lattice: the warp by the world identity, or by a 4x4 RAS-to-RAS ``matrix``.

    Values between voxels are interpolated, not averaged (smooth first when coarsening, see :mod:`preprocessing`);
    beyond the volume its border values go on. ``nearest`` keeps the stored type, otherwise the result is float32.
    """
    source = volume.tensor()
    result = np.empty(lattice.shape, dtype=volume.array.dtype if mode == "nearest" else np.float32)
    for planes, slab in slabs(lattice):
        grid = world_grid(slab, volume.lattice, matrix)
        result[planes] = warp(source, grid, mode=mode)[0, 0].numpy()
    return Volume(result, lattice.ijk_to_ras, volume.name)
