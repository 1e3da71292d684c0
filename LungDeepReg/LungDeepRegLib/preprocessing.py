"""Images made ready: voxels in [0, 1] at a working resolution, their lungs, the registration lattice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .geometry import Lattice, apply, corner_indices, index_box
from .intensity import Intensity
from .labels import labelled_box
from .volume import Volume, block_mean, canonical

MARGIN_MM = 12.0
"""How far the registration lattice goes beyond the lungs."""
LEAST_SPACING_MM = 1.25
"""Finer voxels are averaged: lungs show no more, and the cost grows with the cube."""


@dataclass(frozen=True)
class Prepared:
    """An image as the engine computes with it.

    Attributes:
        image: Values in [0, 1], float32; whole blocks of voxels averaged, axes in canonical order and signs, so that
            no value is interpolated.
        lungs: How much of each voxel of ``image`` is lung, float32 in [0, 1], or None without a mask.
        intensity: How stored values are read.
    """

    image: Volume
    lungs: Volume | None
    intensity: Intensity


def prepare(volume: Volume, intensity: Intensity, lungs: np.ndarray | None, spacing_mm: float) -> Prepared:
    """Read, average and reorder an image and its mask.

    Args:
        volume: The image as stored.
        intensity: How to read its values.
        lungs: bool ``(K, J, I)`` on the volume's voxels, or None.
        spacing_mm: Axes sampled more finely are averaged over the number of voxels that comes nearest to this.
    """
    factors = block_factors(volume.lattice, spacing_mm)
    mask = None
    if lungs is not None:
        mask = canonical(block_mean(volume.with_array(lungs), factors, lambda array: array.astype(np.float32)))
    return Prepared(canonical(block_mean(volume, factors, intensity.normalised)), mask, intensity)


def block_factors(lattice: Lattice, spacing_mm: float) -> list[int]:
    """How many voxels along ``(i, j, k)`` make a block of about this spacing."""
    return [max(1, round(spacing_mm / float(s))) for s in lattice.spacing_mm]


def working_spacing(volume: Volume, lungs: np.ndarray | None, voxel_budget: int) -> float:
    """The finest spacing in mm at which the lungs' box, or the whole image without a mask, keeps to a voxel number."""
    box = None if lungs is None else labelled_box(lungs)
    shape = np.array(volume.array.shape if box is None else [side.stop - side.start for side in box])
    extent = shape[::-1] * volume.lattice.spacing_mm + 2 * MARGIN_MM * (lungs is not None)
    spacing = LEAST_SPACING_MM
    while True:
        factors = np.array(block_factors(volume.lattice, spacing))
        if np.prod(extent / (volume.lattice.spacing_mm * factors)) <= voxel_budget:
            return spacing
        spacing *= 1.05


def registration_lattice(fixed: Prepared, moving: Prepared, matrix: np.ndarray) -> Lattice:
    """The voxels of the fixed image's lattice (going on beyond its borders where need be) that hold both lungs.

    Args:
        fixed: The fixed image.
        moving: The moving image.
        matrix: The alignment, 4x4, fixed RAS mm to moving RAS mm.

    Returns:
        The box of both images' lungs in the fixed image's frame, with a margin; the whole fixed image where there are
        no masks.
    """
    lattice = fixed.image.lattice
    if fixed.lungs is None:
        return lattice
    points = [lung_points(fixed.lungs)]
    if moving.lungs is not None:
        points.append(apply(np.linalg.inv(matrix), lung_points(moving.lungs)))
    ijk = apply(lattice.ras_to_ijk, np.concatenate(points))
    margin = MARGIN_MM / lattice.spacing_mm
    start = np.floor(ijk.min(axis=0) - margin).astype(int)
    return index_box(lattice, start, np.ceil(ijk.max(axis=0) + margin).astype(int) - start + 1)


def lung_points(lungs: Volume) -> np.ndarray:
    """The corners ``(8, 3)``, in RAS mm, of the box that holds the lungs."""
    found = np.argwhere(lungs.array > 0.5)[:, ::-1]
    low, high = found.min(axis=0), found.max(axis=0)
    return apply(lungs.ijk_to_ras, low + corner_indices(tuple((high - low + 1)[::-1])))
