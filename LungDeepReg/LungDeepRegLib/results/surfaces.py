"""How far the surfaces of two masks lie apart."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial import cKDTree

from ..geometry import Lattice, apply
from ..labels import labelled_box
from .pair import Pair

Mapping = tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]
"""What takes fixed RAS mm ``(N, 3)`` to moving RAS mm, and a 4x4 matrix near to it."""

QUERIES = 20_000
"""Points of a surface whose distances are taken, as many to each mm²: a percentile of them is true to a fraction of a
percent."""


def hausdorff95_mm(pair: Pair, maps: dict[str, Mapping | None]) -> dict[str, float | None] | None:
    """The 95 % Hausdorff distance of the lungs' surfaces for each map, in mm of the moving image.

    Symmetric: the greater one of the 95th percentiles of the distances from the fixed surface, taken through the map,
    to the moving one, and of those from the moving surface to the fixed one. A surface is where a marked and an
    unmarked voxel meet, hence not where a mask is cut off by its image; what lies beyond the other image isn't counted.
    Percentiles are of the surface's area: thick slices have few voxels at their sides, but many above and below.

    Args:
        pair: The images with their masks.
        maps: By name. The matrices tell what of the moving image the fixed one reaches.

    Returns:
        None without both masks; a map has None where it is None itself or where no surfaces meet.
    """
    if pair.fixed_mask is None or pair.moving_mask is None:
        return None
    fixed, fixed_mm2 = surface(pair.fixed_mask, pair.fixed.lattice)
    moving, moving_mm2 = surface(pair.moving_mask, pair.moving.lattice)
    tree = cKDTree(moving, balanced_tree=False, compact_nodes=False)
    found: dict[str, float | None] = {}
    for name, entry in maps.items():
        if entry is None:
            found[name] = None
            continue
        phi, near = entry
        mapped = phi(fixed)
        there = pair.moving.lattice.contains(mapped)
        reached = pair.fixed.lattice.contains(apply(np.linalg.inv(near), moving))
        wanted = some(mapped[there], fixed_mm2[there]), some(moving[reached], moving_mm2[reached])
        found[name] = apart(*wanted, tree, mapped)
    return found


def apart(there: np.ndarray, reached: np.ndarray, tree: cKDTree, mapped: np.ndarray) -> float | None:
    """The greater 95th percentile of both directions; None where a surface isn't seen in the other image at all."""
    if not len(there) or not len(reached):
        return None
    to_moving = tree.query(there)[0]
    to_fixed = cKDTree(mapped, balanced_tree=False, compact_nodes=False).query(reached)[0]
    return float(max(np.percentile(to_moving, 95), np.percentile(to_fixed, 95)))


def some(points: np.ndarray, mm2: np.ndarray) -> np.ndarray:
    """:data:`QUERIES` of the points (or none, where there are none), evenly from the area that they stand for."""
    if not len(points):
        return points
    area = np.cumsum(mm2)
    return points[np.searchsorted(area, (np.arange(QUERIES) + 0.5) / QUERIES * area[-1])]


def surface(mask: np.ndarray, lattice: Lattice) -> tuple[np.ndarray, np.ndarray]:
    """Where a mask's surface is: the middle between each two neighbours one of which is marked, and its area.

    Returns:
        Points ``(N, 3)`` in RAS mm, and how many mm² each stands for, ``(N,)``.
    """
    box = labelled_box(mask)
    if box is None:
        return np.empty((0, 3)), np.empty(0)
    rim = tuple(slice(max(side.start - 1, 0), side.stop + 1) for side in box)
    part, found, mm2 = np.ascontiguousarray(mask[rim]), [], []
    edges = lattice.ijk_to_ras[:3, :3].T[::-1]  # along k, j, i
    for axis in range(3):
        faces = np.diff(part, axis=axis)
        kji = np.stack(np.unravel_index(np.flatnonzero(faces), faces.shape), axis=-1).astype(np.float64)
        kji[:, axis] += 0.5
        found.append(kji)
        side = np.linalg.norm(np.cross(*np.delete(edges, axis, axis=0)))
        mm2.append(np.full(len(kji), side))
    first = [side.start for side in rim]
    return apply(lattice.ijk_to_ras, (np.concatenate(found) + first)[:, ::-1]), np.concatenate(mm2)
