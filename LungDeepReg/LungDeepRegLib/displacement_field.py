"""The transformation between two images, in world coordinates: THE definition of its direction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .geometry import Lattice, apply, identity_grid
from .volume import Volume, slabs, world_grid
from .warp import warp

DIVERGED_MM = 1e4


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
        return cls(displacement(lattice_points(lattice)).reshape(*lattice.shape, 3), lattice)

    def tensor(self, device: torch.device | str = "cpu") -> Tensor:
        """u as ``(1, 3, K, J, I)`` float32."""
        return torch.from_numpy(np.ascontiguousarray(np.moveaxis(self.vectors, -1, 0)))[None].to(device)

    def __call__(self, points_ras: np.ndarray) -> np.ndarray:
        """phi of points ``(..., 3)`` in RAS mm."""
        points = np.asarray(points_ras, dtype=np.float64)
        return displaced(self.tensor().double(), self.lattice, points.reshape(-1, 3)).reshape(points.shape)

    def on(self, lattice: Lattice) -> DisplacementField:
        """The same map with its vectors on another lattice, linearly interpolated."""
        vectors = np.empty((*lattice.shape, 3), dtype=np.float32)
        u = self.tensor()
        for planes, slab in slabs(lattice):
            vectors[planes] = warp(u, world_grid(slab, self.lattice))[0].movedim(0, -1).numpy()
        return DisplacementField(vectors, lattice)

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
        dtype = moving.array.dtype if mode == "nearest" else np.float32
        warped, covered = np.empty(lattice.shape, dtype), np.empty(lattice.shape, bool)
        image, u = moving.tensor(), self.tensor()
        for planes, slab in slabs(lattice):
            grid = sampling_grid(u, self.lattice, slab, moving.lattice)
            covered[planes] = inside(grid, moving.lattice)[0].numpy()
            warped[planes] = warp(image, grid, mode=mode)[0, 0].numpy()
        warped[~covered] = fill
        return Volume(warped, lattice.ijk_to_ras, f"{moving.name} warped"), covered


def displaced(u: Tensor, lattice: Lattice, points: np.ndarray) -> np.ndarray:
    """``x + u(x)`` of points x ``(N, 3)`` in RAS mm, for a float64 displacement ``(1, 3, K, J, I)`` on a lattice."""
    grid = torch.from_numpy(apply(lattice.ras_to_grid, points)).reshape(1, 1, 1, -1, 3)
    return points + warp(u, grid)[0, :, 0, 0].T.numpy()


def lattice_points(lattice: Lattice) -> np.ndarray:
    """The voxel centres of a lattice, ``(K * J * I, 3)`` float64 RAS mm, i fastest."""
    grid = identity_grid(lattice.shape, dtype=torch.float64)
    return apply(lattice.grid_to_ras, grid).reshape(-1, 3).numpy()


def sampling_grid(u: Tensor, u_lattice: Lattice, lattice: Lattice, source: Lattice) -> Tensor:
    """The grid ``(1, K, J, I, 3)`` that samples ``source`` at phi(x) for the voxel centres x of ``lattice``.

    Args:
        u: Displacement ``(1, 3, K', J', I')`` in RAS mm on ``u_lattice``.
        u_lattice: Where u is.
        lattice: The voxels x.
        source: The lattice of the image to be sampled.
    """
    device = str(u.device)
    rotation = torch.as_tensor(source.ras_to_grid[:3, :3].copy(), dtype=u.dtype, device=u.device)
    at_x = warp(u, world_grid(lattice, u_lattice, device=device))
    return world_grid(lattice, source, device=device) + torch.einsum("cd,bdkji->bkjic", rotation, at_x)


def inside(grid: Tensor, source: Lattice) -> Tensor:
    """Which grid positions lie within the voxels of ``source``: half a voxel beyond outer centres, as ITK has it."""
    sizes = torch.tensor(source.shape[::-1], dtype=grid.dtype, device=grid.device)
    return (grid.abs() <= sizes / (sizes - 1) + 1e-5).all(dim=-1)


def affine_fit(field: DisplacementField, stride: int = 4) -> np.ndarray:
    """The 4x4 RAS-to-RAS matrix nearest to a field in the least squares of its displacement."""
    x = lattice_points(field.lattice).reshape(*field.lattice.shape, 3)[::stride, ::stride, ::stride].reshape(-1, 3)
    u = field.vectors[::stride, ::stride, ::stride].reshape(-1, 3).astype(np.float64)
    centre = x.mean(axis=0)
    linear, *_ = np.linalg.lstsq(np.c_[x - centre, np.ones(len(x))], u, rcond=1e-9)
    matrix = np.eye(4)
    matrix[:3, :3] += linear[:3].T
    matrix[:3, 3] = linear[3] - linear[:3].T @ centre
    return matrix


def invert(
    field: DisplacementField, lattice: Lattice, *, tolerance_mm: float = 0.01, iterations: int = 60
) -> tuple[DisplacementField, np.ndarray]:
    """phi^-1 on another lattice (usually one that encloses the moving image), see :func:`inverse_points`.

    Returns:
        The inverse, and what is left of ``|phi(phi^-1(y)) - y|`` in mm at each voxel, ``(K, J, I)`` float32.
    """
    y = lattice_points(lattice)
    x, residual = inverse_points(field, y, tolerance_mm=tolerance_mm, iterations=iterations)
    inverse = DisplacementField((x - y).reshape(*lattice.shape, 3), lattice)
    return inverse, residual.reshape(lattice.shape).astype(np.float32)


def inverse_points(
    field: DisplacementField, points_ras: np.ndarray, *, tolerance_mm: float = 0.001, iterations: int = 60
) -> tuple[np.ndarray, np.ndarray]:
    """phi^-1 of points, by a fixed-point iteration.

    ``x <- x + M^-1 (y - phi(x))`` with M the field's affine fit, so that a large rotation or offset doesn't slow it.

    Args:
        field: phi.
        points_ras: y, ``(N, 3)`` in the moving image's RAS mm.
        tolerance_mm: ``|phi(x) - y|`` at which a point is found.
        iterations: Most steps.

    Returns:
        The best x, ``(N, 3)`` in the fixed image's RAS mm, and its ``|phi(x) - y|`` in mm, ``(N,)``. Where y is not in
        phi's range (beyond the fixed image) or phi folds, the residual stays large.
    """
    y = np.asarray(points_ras, dtype=np.float64)
    back = np.linalg.inv(affine_fit(field))
    u = field.tensor().double()
    x = apply(back, y)
    best, residual = x.copy(), np.full(len(y), np.inf)
    unsettled = np.arange(len(y))
    for _ in range(iterations):
        miss = y[unsettled] - displaced(u, field.lattice, x[unsettled])
        size = np.linalg.norm(miss, axis=1)
        better = size < residual[unsettled]
        best[unsettled[better]], residual[unsettled[better]] = x[unsettled[better]], size[better]
        going_on = (size >= tolerance_mm) & (size < DIVERGED_MM)
        unsettled = unsettled[going_on]
        if not unsettled.size:
            break
        x[unsettled] += miss[going_on] @ back[:3, :3].T
    return best, residual
