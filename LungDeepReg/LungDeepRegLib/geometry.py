"""Frames and index order, defined once for the whole project.

* Voxel arrays are indexed ``[k, j, i]``; ``k`` is the slowest axis. Tensors are ``(B, C, K, J, I)``.
* The world is RAS, in millimetres. ``ijk_to_ras`` is a 4x4 matrix that takes a voxel index ``(i, j, k, 1)`` there.
* A *grid* holds sampling positions ``(x, y, z)``, in the order ``(i, j, k)``, normalised so that -1 is the centre of
  an axis' first voxel and +1 the centre of its last one (``align_corners=True`` in torch's words).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:  # what describes space works without torch, which Slicer's own process never loads
    from torch import Tensor

SPACING_LIMITS_MM = (0.01, 100.0)
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

Points = TypeVar("Points", np.ndarray, "Tensor")


class GeometryError(ValueError):
    """A lattice or matrix that cannot describe an image in space."""


@dataclass(frozen=True, eq=False)
class Lattice:
    """Where the voxels of an image are: how many along each axis, and the map from index to world.

    Attributes:
        shape: Voxels along ``(k, j, i)``, each at least 2.
        ijk_to_ras: 4x4 matrix from voxel index ``(i, j, k, 1)`` to RAS mm, of any handedness and obliquity.

    Raises:
        GeometryError: An axis of one voxel, a matrix that isn't 4x4, affine and invertible, or absurd spacing.
    """

    shape: tuple[int, int, int]
    ijk_to_ras: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        if len(self.shape) != 3 or min(self.shape) < 2:
            msg = f"found {self.shape} voxels along (k, j, i), expected three axes of at least 2 voxels"
            raise GeometryError(msg)
        object.__setattr__(self, "ijk_to_ras", checked_matrix(self.ijk_to_ras))

    def __eq__(self, other: object) -> bool:
        """Same shape, and the same place in space to a thousandth of a voxel."""
        if not isinstance(other, Lattice) or self.shape != other.shape:
            return NotImplemented if not isinstance(other, Lattice) else False
        corners = corner_indices(self.shape)
        distance = np.abs(apply(self.ijk_to_ras, corners) - apply(other.ijk_to_ras, corners)).max()
        return bool(distance < 1e-3 * self.spacing_mm.min())

    @cached_property
    def spacing_mm(self) -> np.ndarray:
        """Distance in mm between voxel centres along ``(i, j, k)``."""
        return np.linalg.norm(self.ijk_to_ras[:3, :3], axis=0)

    @cached_property
    def ras_to_ijk(self) -> np.ndarray:
        """4x4 matrix from RAS mm to (fractional) voxel index."""
        return np.linalg.inv(self.ijk_to_ras)

    @cached_property
    def grid_to_ras(self) -> np.ndarray:
        """4x4 matrix from grid coordinates in [-1, 1] to RAS mm."""
        half = (np.array(self.shape[::-1]) - 1) / 2
        grid_to_ijk = np.diag([*half, 1.0])
        grid_to_ijk[:3, 3] = half
        return self.ijk_to_ras @ grid_to_ijk

    @cached_property
    def ras_to_grid(self) -> np.ndarray:
        """4x4 matrix from RAS mm to grid coordinates in [-1, 1]."""
        return np.linalg.inv(self.grid_to_ras)

    @property
    def centre_ras(self) -> np.ndarray:
        """The middle of the lattice, in RAS mm."""
        return self.grid_to_ras[:3, 3]

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel."""
        return float(abs(np.linalg.det(self.ijk_to_ras[:3, :3])))

    def contains(self, points_ras: np.ndarray) -> np.ndarray:
        """Which of the ``(..., 3)`` points in RAS mm lie within the voxels (half a voxel beyond the outer centres)."""
        ijk = apply(self.ras_to_ijk, np.asarray(points_ras, dtype=np.float64))
        upper = np.array(self.shape[::-1]) - 0.5
        return np.all((ijk >= -0.5) & (ijk <= upper), axis=-1)


def checked_matrix(matrix: np.ndarray) -> np.ndarray:
    """A read-only float64 copy of a 4x4 index-to-world matrix, or a :class:`GeometryError` that says what is wrong."""
    matrix = np.array(matrix, dtype=np.float64)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or not np.allclose(matrix[3], [0, 0, 0, 1]):
        msg = f"found the index-to-world matrix {matrix.tolist()}, expected 4x4 finite numbers with last row 0 0 0 1"
        raise GeometryError(msg)
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    low, high = SPACING_LIMITS_MM
    if spacing.min() < low or spacing.max() > high:
        msg = (
            f"found a voxel spacing of {np.round(spacing, 6).tolist()} mm, expected {low} to {high} mm along each axis"
        )
        raise GeometryError(msg)
    if abs(np.linalg.det(matrix[:3, :3] / spacing)) < 1e-3:
        msg = f"found direction columns {np.round(matrix[:3, :3] / spacing, 4).tolist()} that are not independent"
        raise GeometryError(msg)
    matrix.setflags(write=False)
    return matrix


def apply(matrix: np.ndarray, points: Points) -> Points:
    """Apply a 4x4 matrix to points ``(..., 3)``, of numpy or torch, in the points' own precision."""
    same: Any = matrix if isinstance(points, np.ndarray) else points.new_tensor(np.array(matrix))
    return points @ same[:3, :3].T + same[:3, 3]


def corner_indices(shape: tuple[int, int, int], *, outer: bool = False) -> np.ndarray:
    """Indices ``(8, 3)`` in ``(i, j, k)`` of the corner voxels' centres, or of their outer corners."""
    pad = 0.5 if outer else 0.0
    ends = [(-pad, n - 1 + pad) for n in shape[::-1]]
    return np.array(np.meshgrid(*ends, indexing="ij")).reshape(3, 8).T


def canonical_order(ijk_to_ras: np.ndarray) -> tuple[list[int], np.ndarray]:
    """Which of the axes ``(i, j, k)`` lies nearest to R, to A and to S, and with which sign (+1 or -1)."""
    rotation = orthonormal_axes(ijk_to_ras)
    order = max(permutations(range(3)), key=lambda p: sum(abs(rotation[axis, p[axis]]) for axis in range(3)))
    signs = np.array([1.0 if rotation[axis, order[axis]] >= 0 else -1.0 for axis in range(3)])
    return list(order), signs


def orthonormal_axes(ijk_to_ras: np.ndarray) -> np.ndarray:
    """The orthonormal directions ``(3, 3)``, as columns, nearest to a matrix' own (sheared by a gantry tilt, say)."""
    u, _, vt = np.linalg.svd(ijk_to_ras[:3, :3] / np.linalg.norm(ijk_to_ras[:3, :3], axis=0))
    return u @ vt


def canonical_axes(ijk_to_ras: np.ndarray) -> np.ndarray:
    """Orthonormal directions ``(3, 3)``, as columns, nearest to R, A and S among the volume's own axes.

    The volume's obliquity is kept; axis order and signs become those of RAS, so that a network always sees anatomy the
    same way round.
    """
    order, signs = canonical_order(ijk_to_ras)
    return orthonormal_axes(ijk_to_ras)[:, order] * signs


def enclosing_lattice(points_ras: np.ndarray, axes: np.ndarray, spacing_mm: float, margin_mm: float) -> Lattice:
    """The isotropic lattice along the given axes whose voxel centres enclose all points with a margin.

    Args:
        points_ras: ``(N, 3)`` points in RAS mm.
        axes: ``(3, 3)`` orthonormal columns: the directions of i, j and k.
        spacing_mm: Distance between voxel centres.
        margin_mm: Least distance from any point to the outermost voxel centres.
    """
    along = np.asarray(points_ras) @ axes
    low, high = along.min(axis=0) - margin_mm, along.max(axis=0) + margin_mm
    count = np.maximum(np.ceil((high - low) / spacing_mm).astype(int) + 1, 2)
    start = (low + high) / 2 - (count - 1) / 2 * spacing_mm
    matrix = np.eye(4)
    matrix[:3, :3] = axes * spacing_mm
    matrix[:3, 3] = axes @ start
    return Lattice(tuple(count[::-1]), matrix)


def index_box(lattice: Lattice, start: np.ndarray, count: np.ndarray, step: np.ndarray | int = 1) -> Lattice:
    """Part of a lattice (or beyond it), or blocks of its voxels.

    Args:
        lattice: The lattice that is indexed.
        start: First index ``(i, j, k)``; may be negative.
        count: Voxels, or blocks of voxels, along ``(i, j, k)``.
        step: Voxels of a block along ``(i, j, k)``; the result's voxel centres are the blocks' centres.
    """
    matrix = np.array(lattice.ijk_to_ras)
    matrix[:3, 3] += matrix[:3, :3] @ (np.asarray(start) + (np.asarray(step) - 1) / 2)
    matrix[:3, :3] *= step
    i, j, k = (int(n) for n in count)
    return Lattice((k, j, i), matrix)


def covering_lattice(lattice: Lattice, spacing_mm: float, margin_mm: float) -> Lattice:
    """The isotropic lattice, in the nearest canonical axes, that encloses all of ``lattice`` with a margin in mm."""
    corners = apply(lattice.ijk_to_ras, corner_indices(lattice.shape, outer=True))
    return enclosing_lattice(corners, canonical_axes(lattice.ijk_to_ras), spacing_mm, margin_mm)
