"""The images that come out of a transformation: deformed masks, differences, the Jacobian determinant."""

from __future__ import annotations

import numpy as np
import torch

from ..displacement_field import DisplacementField
from ..field_sampling import grid_shift, inside, shifted_grid
from ..geometry import Lattice, apply, corner_indices, covering_lattice, index_box
from ..intensity import comparable_readings
from ..labels import cropped
from ..metrics import jacobian_determinant
from ..resampling import interpolated, world_grid
from ..volume import Volume, slabs
from ..warp import warp
from .pair import Pair

AFFINE_NODES_MM = 50.0
"""An affine map is linear between any nodes."""
JACOBIAN_STEP = np.float32(2**-13)


def affine_field(matrix: np.ndarray, lattice: Lattice) -> DisplacementField:
    """The affine map of a 4x4 RAS-to-RAS matrix, as a field of few nodes that encloses a lattice."""
    return DisplacementField.from_matrix(matrix, covering_lattice(lattice, AFFINE_NODES_MM, AFFINE_NODES_MM))


def by_world_identity(pair: Pair) -> tuple[Volume, np.ndarray]:
    """The moving image on the fixed image's voxels as both lie in the scanner, and where it covers them."""
    source, lattice = pair.moving.lattice, pair.fixed.lattice
    if source == lattice:
        return pair.moving, np.ones(lattice.shape, bool)
    moved, covered = np.empty(lattice.shape, np.float32), np.empty(lattice.shape, bool)
    image = pair.moving.tensor()
    for planes, slab in slabs(lattice):
        grid = world_grid(slab, source)
        covered[planes] = inside(grid, source)[0].numpy()
        moved[planes] = warp(image, grid)[0, 0].numpy()
    moved[~covered] = pair.moving_intensity.fill
    return Volume(moved, lattice.ijk_to_ras, pair.moving.name), covered


def stored(warped: Volume, like: np.dtype) -> Volume:
    """A deformed image in its original's type: integers rounded, so that differences between files are exact."""
    if np.dtype(like).kind not in "iu":
        return warped
    limits = np.iinfo(like)
    highest = np.float32(limits.max)
    if int(highest) > limits.max:  # float32 can't hold the largest 32-bit integers
        highest = np.nextafter(highest, np.float32(0))
    found = np.empty(warped.array.shape, like)
    for planes, _ in slabs(warped.lattice):
        found[planes] = np.clip(np.rint(warped.array[planes]), limits.min, highest)
    return warped.with_array(found)


def warped_mask(phi: DisplacementField, mask: np.ndarray, moving: Lattice, lattice: Lattice) -> np.ndarray:
    """The moving image's mask on another lattice: at each voxel centre x the nearest voxel to phi(x).

    Only the part of the lattice is sampled from where phi can reach the mask.

    Args:
        phi: Fixed RAS mm to moving RAS mm.
        mask: bool ``(K, J, I)`` on the moving image's voxels.
        moving: The moving image's lattice.
        lattice: Where the mask is wanted, usually the fixed image's lattice.

    Returns:
        bool ``(K, J, I)`` on ``lattice``; False where the moving image doesn't reach.
    """
    result = np.zeros(lattice.shape, bool)
    box, marked = reaching_box(phi, mask, moving, lattice), cropped(Volume(mask, moving.ijk_to_ras))
    if box is None or marked is None:
        return result
    part, voxels = box
    wanted, image, shift = result[voxels], marked.tensor(), grid_shift(phi.tensor(), marked.lattice)
    for planes, slab in slabs(part):
        grid = shifted_grid(shift, phi.lattice, slab, marked.lattice)
        wanted[planes] = warp(image, grid, mode="nearest")[0, 0].numpy() > 0
    return result


Slices = tuple[slice, slice, slice]
"""Part of an array, along ``(k, j, i)``."""


def reaching_box(
    phi: DisplacementField, mask: np.ndarray, moving: Lattice, lattice: Lattice
) -> tuple[Lattice, Slices] | None:
    """The box of voxels of ``lattice`` from where phi can reach a mask of the moving image; None if there is none.

    Within a cell of its lattice phi lies in the hull of its values at the corners, so whole cells are told by these.
    """
    if not mask.any():
        return None
    if not phi.lattice.contains(apply(lattice.ijk_to_ras, corner_indices(lattice.shape))).all():
        return lattice, (slice(None), slice(None), slice(None))
    reaching = np.ones([n - 1 for n in phi.lattice.shape], bool)
    nodes_to_moving = moving.ras_to_ijk @ phi.lattice.ijk_to_ras
    for axis, (low, high) in enumerate(zip(*extent(mask), strict=True)):
        y = plane_sum(phi.lattice.shape, nodes_to_moving[axis])
        y += phi.vectors @ moving.ras_to_ijk[axis, :3].astype(np.float32)
        reaching &= (over_corners(y, np.minimum) <= high + 1) & (over_corners(y, np.maximum) >= low - 1)
    if not reaching.any():
        return None
    first, last = extent(reaching)
    nodes = first + corner_indices(tuple((last - first + 2)[::-1]))
    return box_around(lattice, apply(phi.lattice.ijk_to_ras, nodes))


def plane_sum(shape: tuple[int, int, int], row: np.ndarray) -> np.ndarray:
    """``row @ (i, j, k, 1)`` at all indices of a lattice, ``(K, J, I)`` float32."""
    k, j, i = (np.arange(n, dtype=np.float32) for n in shape)
    weights = row.astype(np.float32)
    return (weights[2] * k)[:, None, None] + (weights[1] * j)[:, None] + (weights[0] * i + weights[3])


def over_corners(values: np.ndarray, take: np.ufunc) -> np.ndarray:
    """The least or greatest of the values at each cell's eight corners: ``(K, J, I)`` to ``(K-1, J-1, I-1)``."""
    for axis in range(3):
        before, after = [slice(None)] * 3, [slice(None)] * 3
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        values = take(values[tuple(before)], values[tuple(after)])
    return values


def extent(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last index ``(i, j, k)`` of what is marked in a mask that isn't empty."""
    along = [np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis}))) for axis in (2, 1, 0)]
    return np.array([marked[0] for marked in along]), np.array([marked[-1] for marked in along])


def box_around(lattice: Lattice, points_ras: np.ndarray, margin: int = 0) -> tuple[Lattice, Slices] | None:
    """The part of a lattice that holds all the points that lie in it, with a margin in voxels; None if it is empty."""
    size = np.array(lattice.shape[::-1])
    ijk = apply(lattice.ras_to_ijk, points_ras)
    start = np.clip(np.floor(ijk.min(axis=0)).astype(int) - margin, 0, size)
    stop = np.clip(np.ceil(ijk.max(axis=0)).astype(int) + margin + 1, 0, size)
    if np.any(stop <= start):
        return None
    start = np.where(stop - start < 2, np.minimum(start, size - 2), start)  # a lattice has two voxels along each axis
    stop = np.maximum(stop, start + 2)
    i, j, k = (slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    return index_box(lattice, start, stop - start), (k, j, i)


def difference(pair: Pair, warped: Volume, covered: np.ndarray) -> Volume:
    """Deformed moving image minus fixed image; 0 where the moving image doesn't cover the fixed one.

    Two CTs: in HU, both clamped at -1024 (scanners pad outside their cone with less). Two MRIs: in stored units.
    Images of different modalities: of the intensities that the engine works with, windowed to [0, 1], since their
    stored units can't be compared.

    Args:
        pair: The images, and how they are read.
        warped: The moving image on the fixed image's voxels, in the type in which it is written.
        covered: Where it is covered, bool ``(K, J, I)``.

    Returns:
        int16 where all stored values are integers and the differences fit, int32 if they don't, otherwise float32.
    """
    read_moving, read_fixed = comparable_readings(pair.moving_intensity, pair.fixed_intensity)
    integers = pair.modality is not None and warped.array.dtype.kind in "iu" and pair.fixed.array.dtype.kind in "iu"
    result: np.ndarray = np.empty(warped.array.shape, np.int16 if integers else np.float32)
    for planes, _ in slabs(warped.lattice):
        part = read_moving(warped.array[planes]) - read_fixed(pair.fixed.array[planes])
        part = np.where(covered[planes], np.rint(part) if integers else part, np.float32(0))
        if result.dtype == np.int16 and max(part.max(), -part.min()) >= np.iinfo(np.int16).max:
            result = result.astype(np.int32)
        result[planes] = part
    return Volume(result, pair.fixed.ijk_to_ras, f"{warped.name} minus {pair.fixed.name}")


def difference_unit(pair: Pair) -> str:
    """The unit of :func:`difference`, for people; nothing for a scanner's own units."""
    return {"ct": "HU", "mri": "", None: "of the window"}[pair.modality]


def jacobian_volume(phi: DisplacementField, lattice: Lattice) -> Volume:
    """``det(d phi / d x)`` on a lattice, float32, from the field's own lattice by linear interpolation.

    In steps of :data:`JACOBIAN_STEP`: the digits beyond tell nothing, but compress to more than twice the size.
    """
    determinant = torch.from_numpy(jacobian_determinant(phi))[None, None]
    found = np.empty(lattice.shape, np.float32)
    for planes, slab in slabs(lattice):
        found[planes] = np.rint(interpolated(determinant, phi.lattice, slab)[0, 0].numpy() / JACOBIAN_STEP)
        found[planes] *= JACOBIAN_STEP
    return Volume(found, lattice.ijk_to_ras, "jacobian")
