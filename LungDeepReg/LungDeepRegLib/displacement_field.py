"""The transformation between two images, in world coordinates: THE definition of its direction.

torch is loaded by the methods that compute, not with this file: Slicer's own process handles fields without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .geometry import Lattice, apply
from .volume import Volume, part_around, slabs

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class FieldError(ValueError):
    """Vectors that don't describe a transformation on their lattice."""


@dataclass(frozen=True, eq=False)
class DisplacementField:
    """phi(x) = x + u(x), from the fixed image's RAS mm to the moving image's RAS mm.

    The contract of every transformation in this project: ``warped(x) = moving(phi(x))`` for x in the fixed image.

    Attributes:
        vectors: u at the lattice's voxel centres, ``(K, J, I, 3)`` float32, components R, A, S in mm. Between the
            centres u is linear; beyond the outermost centres it goes on at its border value.
        lattice: Where the vectors are. Lattices made by this project enclose the fixed image with a margin.

    Raises:
        FieldError: Another shape, or vectors that are not finite.
    """

    vectors: np.ndarray
    lattice: Lattice

    def __post_init__(self) -> None:
        vectors = np.asarray(self.vectors, dtype=np.float32)
        if vectors.shape != (*self.lattice.shape, 3):
            msg = f"found vectors of shape {vectors.shape}, expected {(*self.lattice.shape, 3)} for their lattice"
            raise FieldError(msg)
        if not np.isfinite(vectors).all():
            msg = "found NaN or infinite displacements, expected finite vectors"
            raise FieldError(msg)
        object.__setattr__(self, "vectors", vectors)

    @classmethod
    def from_matrix(cls, matrix: np.ndarray, lattice: Lattice) -> DisplacementField:
        """The field of the affine map phi(x) = matrix @ x, a 4x4 matrix of RAS mm to RAS mm."""
        return cls.from_displacement(lambda x: apply(matrix - np.eye(4), x), lattice)

    @classmethod
    def from_displacement(cls, displacement: Callable[[np.ndarray], np.ndarray], lattice: Lattice) -> DisplacementField:
        """The field of a function that takes points ``(N, 3)`` in RAS mm to their displacement in mm."""
        vectors = np.empty((*lattice.shape, 3), np.float32)
        for planes, slab in slabs(lattice):
            vectors[planes] = displacement(lattice_points(slab)).reshape(*slab.shape, 3)
        return cls(vectors, lattice)

    def tensor(self, device: torch.device | str = "cpu") -> Tensor:
        """u as ``(1, 3, K, J, I)`` float32."""
        import torch

        return torch.from_numpy(np.ascontiguousarray(np.moveaxis(self.vectors, -1, 0)))[None].to(device)

    def __call__(self, points_ras: np.ndarray) -> np.ndarray:
        """phi of points ``(..., 3)`` in RAS mm."""
        from .field_sampling import displaced

        points = np.asarray(points_ras, dtype=np.float64).reshape(-1, 3)
        if not len(points):
            return points.reshape(np.shape(points_ras))
        lattice, voxels = part_around(self.lattice, points)
        part = DisplacementField(self.vectors[voxels], lattice)  # only what is needed is turned to double precision
        return displaced(part.tensor().double(), lattice, points).reshape(np.shape(points_ras))

    def on(self, lattice: Lattice) -> DisplacementField:
        """The same map with its vectors on another lattice, linearly interpolated."""
        from .field_sampling import vectors_on

        return DisplacementField(vectors_on(self.tensor(), self.lattice, lattice), lattice)

    def after(self, first: DisplacementField) -> DisplacementField:
        """``x -> self(first(x))`` on the lattice of ``first``."""
        x = lattice_points(first.lattice)
        y = x + first.vectors.reshape(-1, 3)
        return DisplacementField((self(y) - x).reshape(first.vectors.shape), first.lattice)

    def warp(
        self, moving: Volume, lattice: Lattice, *, fill: float, mode: str = "bilinear"
    ) -> tuple[Volume, np.ndarray]:
        """``moving(phi(x))`` at the voxel centres x of ``lattice``, sampled once, from the moving image's own voxels.

        Works slab by slab, so that no full-resolution field is ever held.

        Args:
            moving: The image to deform.
            lattice: Where the result is wanted, usually the fixed image's own lattice.
            fill: The value where phi(x) lies outside the moving image's voxels.
            mode: ``bilinear`` (result float32) or ``nearest`` (labels; the stored type is kept).

        Returns:
            The deformed volume, and where it is covered by the moving image, bool ``(K, J, I)``.
        """
        from .field_sampling import sampled

        warped, covered = sampled(moving, self.tensor(), self.lattice, lattice, fill, mode)
        return Volume(warped, lattice.ijk_to_ras, f"{moving.name} warped"), covered


def lattice_points(lattice: Lattice) -> np.ndarray:
    """The voxel centres of a lattice, ``(K * J * I, 3)`` float64 RAS mm, i fastest."""
    along_i, along_j, along_k = (
        np.arange(n)[:, None] * column
        for n, column in zip(lattice.shape[::-1], lattice.ijk_to_ras[:3, :3].T, strict=True)
    )
    in_plane = along_j[:, None] + (along_i + lattice.ijk_to_ras[:3, 3])
    return (along_k[:, None, None] + in_plane).reshape(-1, 3)
