"""Both images as features on a pyramid of lattices: what alignment has brought together and refinement compares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as functional
from scipy import ndimage
from torch import Tensor

from .displacement_field import DisplacementField, lattice_points
from .geometry import Lattice, apply, index_box
from .preprocessing import Prepared
from .resampling import resample
from .similarity import Similarity
from .volume import Volume
from .warp import identity_grid, warp

NEAR_LUNG_MM = 8.0
"""Similarity is evaluated this far beyond the lungs, so that their surface counts; further off the wall slides."""
COARSEST_MM = 40.0
"""Averaged further, a chest shows nothing any more."""


@dataclass(frozen=True)
class Level:
    """Features to be compared on one lattice.

    Attributes:
        lattice: Voxels of about the same size along each axis.
        fixed: Features of the fixed image, ``(1, C, K, J, I)``.
        moving: Features of the moving image on the same lattice, through the alignment.
        mask: Where they are compared, ``(1, 1, K, J, I)``: in and around the lungs, and seen by both images.
    """

    lattice: Lattice
    fixed: Tensor
    moving: Tensor
    mask: Tensor

    def moved(self, v: DisplacementField) -> Tensor:
        """The moving image's features where v, a displacement in RAS mm, leads to."""
        device = self.moving.device
        to_grid = torch.as_tensor(self.lattice.ras_to_grid[:3, :3].copy(), dtype=torch.float32, device=device)
        vectors = torch.from_numpy(v.on(self.lattice).vectors).to(device)
        return warp(self.moving, (identity_grid(self.lattice.shape, device=device) + vectors @ to_grid.T)[None])


def levels(
    fixed: Prepared,
    moving: Prepared,
    lattice: Lattice,
    matrix: np.ndarray,
    similarities: Sequence[Similarity],
    device: torch.device | str = "cpu",
    *,
    full_resolution: bool = False,
) -> list[Level]:
    """The pyramid, coarsest level first.

    Args:
        fixed: The fixed image.
        moving: The moving image.
        lattice: The registration lattice.
        matrix: The alignment, 4x4, fixed RAS mm to moving RAS mm.
        similarities: What features are computed on each level, coarsest first.
        device: Where the features go.
        full_resolution: Whether the finest level is the registration lattice itself; otherwise it averages blocks of
            about twice the lattice's finest spacing.
    """
    steps = pooling_steps(lattice, len(similarities), full_resolution=full_resolution)
    lattice = padded_to_multiple(lattice, np.prod(steps, axis=0))
    fixed_image = as_blurred_as_interpolated(resample(fixed.image, lattice)).tensor(device)
    moving_image = resample(moving.image, lattice, matrix=matrix).tensor(device)
    found = []
    features: dict[Similarity, list[Tensor]] = {}
    for step, similarity in zip(steps, reversed(similarities), strict=True):
        if similarity not in features:
            features[similarity] = [similarity.features(image) for image in (fixed_image, moving_image)]
        fixed_features, moving_features = (average(values, step) for values in features[similarity])
        if step.max() > 1:  # otherwise the next level's features are the same
            fixed_image, moving_image = average(fixed_image, step), average(moving_image, step)
            features.clear()
        lattice = index_box(lattice, np.zeros(3), np.array(lattice.shape[::-1]) // step, step)
        mask = torch.from_numpy(evaluation_mask(fixed, moving, lattice, matrix)).to(device)
        found.append(Level(lattice, fixed_features, moving_features, mask[None, None].float()))
    return found[::-1]


def as_blurred_as_interpolated(volume: Volume) -> Volume:
    """The volume smoothed as much as linear interpolation between voxels smooths the moving image, on the average.

    At the phase t between two voxels the interpolation's kernel has the variance ``t (1 - t)``, on average 1/6.
    """
    smooth = volume.array
    for axis in range(3):
        smooth = ndimage.correlate1d(smooth, np.array([1, 10, 1]) / 12, axis, mode="nearest")
    return volume.with_array(smooth)


def pooling_steps(lattice: Lattice, count: int, *, full_resolution: bool = False) -> list[np.ndarray]:
    """How many voxels along ``(i, j, k)`` each level averages of the next finer one, finest first.

    Each level doubles the finest spacing, up to 40 mm; an axis that is still coarser than that waits.
    """
    spacing = lattice.spacing_mm.copy()
    steps = [np.ones(3, int)] if full_resolution else []
    while len(steps) < count:
        step = np.maximum(1, np.round(2 * spacing.min() / spacing)).astype(int)
        step[spacing * step > COARSEST_MM] = 1
        steps.append(step)
        spacing = spacing * step
    return steps


def padded_to_multiple(lattice: Lattice, multiple: np.ndarray) -> Lattice:
    """The lattice, going on at its end until each axis is a multiple of so many voxels, and of two such blocks."""
    blocks = np.maximum(-(-np.array(lattice.shape[::-1]) // multiple), 2)
    return index_box(lattice, np.zeros(3), blocks * multiple)


def average(features: Tensor, step: np.ndarray) -> Tensor:
    """Means over blocks of ``step`` voxels along ``(i, j, k)``."""
    if step.max() == 1:
        return features
    return functional.avg_pool3d(features, tuple(int(n) for n in step[::-1]))


def evaluation_mask(fixed: Prepared, moving: Prepared, lattice: Lattice, matrix: np.ndarray) -> np.ndarray:
    """Where similarity counts, bool ``(K, J, I)``: in and around the lungs, and seen by both images."""
    x = lattice_points(lattice)
    seen = fixed.image.lattice.contains(x) & moving.image.lattice.contains(apply(matrix, x))
    seen = seen.reshape(lattice.shape)
    if fixed.lungs is None:
        return seen
    # Beyond the image its border values go on: a lung that touches the border is not taken for one that ends there.
    lungs = resample(fixed.lungs, lattice).array > 0.5
    near = ndimage.distance_transform_edt(~lungs, sampling=lattice.spacing_mm[::-1]) <= NEAR_LUNG_MM
    return near & seen
