"""Right and left lung, and the apical, middle and basal third of each."""

from __future__ import annotations

from itertools import product

import numpy as np
from scipy import ndimage

from ..displacement_field import lattice_points
from ..geometry import Lattice, apply
from ..volume import Volume

SIDES = ("Right lung", "Left lung", "Lung")
"""The last one where only one lung is in view, or the two can't be told apart: its side isn't known."""
THIRDS = ("apical third", "middle third", "basal third")
NAMES = tuple(f"{side}, {third}" for side, third in product(SIDES, THIRDS))
"""Label n is ``NAMES[n - 1]``."""
LEAST_SHARE = 0.2
"""A second part that is smaller than this share of the first is no lung of its own."""
DEEPEST_MM = 30.0
LEAST_LEFT = 0.1
"""Of what is deep both lungs together hold more than this share of everything: crumbs of one lung are no two lungs."""
SLICE_MM = 5.0
NARROW = 0.05
"""What is narrower than this share of a lung's widest slice is no part of its height: found masks hold the trachea."""


def find_regions(lungs: Volume) -> Volume:
    """The labels of :data:`NAMES`, uint8, in a mask of the lungs; 0 outside.

    The thirds are of each lung's height along S, as far as it is in the image.

    Args:
        lungs: bool, of any geometry, best of about 3 mm: lungs that touch are told apart by their depth.
    """
    side = sides(lungs.array, lungs.lattice)
    superior = lattice_points(lungs.lattice)[:, 2].reshape(lungs.array.shape)
    labels = np.zeros(lungs.array.shape, np.uint8)
    for number in range(len(SIDES)):
        here = side == number + 1
        if here.any():
            labels[here] = 1 + len(THIRDS) * number + third_from_top(superior[here])
    return lungs.with_array(labels, "regions")


def third_from_top(superior: np.ndarray) -> np.ndarray:
    """0 for heights in the upper third of their range without :data:`NARROW` ends, 1 in the middle, 2 in the lower."""
    slices = max(1, round(float(np.ptp(superior)) / SLICE_MM))
    counts, edges = np.histogram(superior, slices)
    wide = np.flatnonzero(counts >= NARROW * counts.max())
    low, high = edges[wide[0]], edges[wide[-1] + 1]
    depth = np.clip((high - superior) / max(high - low, 1e-6), 0, 1)
    return np.minimum((depth * len(THIRDS)).astype(np.uint8), len(THIRDS) - 1)


def sides(lungs: np.ndarray, lattice: Lattice) -> np.ndarray:
    """Which lung each voxel of a mask belongs to: 1 right, 2 left, 3 not known; 0 outside."""
    seeds = two_lungs(lungs, lattice)
    if seeds is None:
        return np.where(lungs, 3, 0).astype(np.uint8)
    nearest = ndimage.distance_transform_edt(
        seeds == 0, sampling=lattice.spacing_mm[::-1], return_distances=False, return_indices=True
    )
    return np.where(lungs, seeds[tuple(nearest)], 0).astype(np.uint8)


def two_lungs(lungs: np.ndarray, lattice: Lattice) -> np.ndarray | None:
    """The inner parts of the right (1) and of the left lung (2), or None where there are no two lungs side by side.

    What is less deep than some mm is taken away, until what joins the lungs is gone.
    """
    step = float(lattice.spacing_mm.max())
    depth = ndimage.distance_transform_edt(np.pad(lungs, 1), sampling=lattice.spacing_mm[::-1])[1:-1, 1:-1, 1:-1]
    for least in np.arange(0.0, DEEPEST_MM, step):
        parts, count = ndimage.label(depth > least)
        if count < 2:
            continue
        sizes = np.bincount(parts.ravel())[1:]
        first, second = np.argsort(sizes)[:-3:-1] + 1
        if sizes[second - 1] < LEAST_SHARE * sizes[first - 1]:
            continue
        if sizes[first - 1] + sizes[second - 1] < LEAST_LEFT * lungs.sum():
            return None
        middles = np.array(ndimage.center_of_mass(parts > 0, parts, [first, second]))[:, ::-1]
        apart = np.diff(apply(lattice.ijk_to_ras, middles), axis=0)[0]
        if np.abs(apart).argmax() != 0:
            continue  # parts of one lung, one above or before the other
        right, left = (second, first) if apart[0] > 0 else (first, second)
        return (parts == right) + 2 * (parts == left).astype(np.uint8)
    return None
