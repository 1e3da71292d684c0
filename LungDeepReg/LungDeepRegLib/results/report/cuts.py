"""Coronal, sagittal and axial cuts through the lungs, whatever the axes of the image.

Radiological convention: the patient's right is on the left of the picture, anterior on the left of a sagittal cut.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ...geometry import apply, canonical_axes, corner_indices, covering_lattice
from ...resampling import averaged
from ...volume import Volume
from ...warp import warp
from ..images import box_around, extent
from ..pair import Pair

COARSE_MM = 4.0
MARGIN_MM = 25.0
PIXELS = 400
"""Of the longest side of a cut."""

# Name, which of the axes R, A, S points to the right and up in the picture and along the normal, their signs, and the
# letters at the left, right, top and bottom.
VIEWS = (
    ("coronal", (0, 2, 1), (-1, 1), ("R", "L", "S", "I")),
    ("sagittal", (1, 2, 0), (-1, 1), ("A", "P", "S", "I")),
    ("axial", (0, 1, 2), (-1, 1), ("R", "L", "A", "P")),
)


@dataclass(frozen=True, eq=False)
class Cut:
    """A plane through the fixed image.

    Attributes:
        name: ``coronal``, ``sagittal`` or ``axial``.
        points: Pixel centres, ``(H, W, 3)`` RAS mm, the first row at the top of the picture.
        right: Unit direction in RAS that points to the right in the picture.
        up: Unit direction that points up.
        pixel_mm: Side of a pixel.
        letters: Anatomical directions at the left, right, top and bottom.
        place: Where the plane is, for people.
    """

    name: str
    points: np.ndarray
    right: np.ndarray
    up: np.ndarray
    pixel_mm: float
    letters: tuple[str, str, str, str]
    place: str

    @property
    def size_mm(self) -> tuple[float, float]:
        """Width and height."""
        height, width = self.points.shape[:2]
        return width * self.pixel_mm, height * self.pixel_mm


def cuts(pair: Pair) -> list[Cut]:
    """The three cuts of a pair, in the fixed image's frame, all with one size of pixels.

    Each goes through the slice in which the fixed image's lungs are widest, and holds them with a margin. Without a
    mask they go through the image's middle (sagittal: midway through its right half) and hold all of it.
    """
    axes = canonical_axes(pair.fixed.ijk_to_ras)
    low, high, at = region(pair, axes)
    pixel_mm = float((high - low).max()) / PIXELS
    found = []
    for name, (across, upwards, normal), signs, letters in VIEWS:
        right, up = axes[:, across] * signs[0], axes[:, upwards] * signs[1]
        middle = (low + high) / 2
        middle[normal] = at[normal]
        width, height = (max(2, round((high[axis] - low[axis]) / pixel_mm)) for axis in (across, upwards))
        x, y = (np.arange(width) - (width - 1) / 2) * pixel_mm, ((height - 1) / 2 - np.arange(height)) * pixel_mm
        points = axes @ middle + x[None, :, None] * right + y[:, None, None] * up
        found.append(Cut(name, points, right, up, pixel_mm, letters, place_of(axes[:, normal] * at[normal], normal)))
    return found


def region(pair: Pair, axes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Least and greatest coordinates to be shown, and where to cut, ``(3,)`` each, in mm along the given axes."""
    corners = apply(pair.fixed.ijk_to_ras, corner_indices(pair.fixed.lattice.shape, outer=True)) @ axes
    low, high = corners.min(axis=0), corners.max(axis=0)
    if pair.fixed_mask is None:
        return low, high, low + (high - low) * np.array([0.75, 0.5, 0.5])
    lattice = covering_lattice(pair.fixed.lattice, COARSE_MM, 0.0)
    mask = pair.fixed.with_array(pair.fixed_mask)
    lungs = averaged(mask, lattice, lambda array: array.astype(np.float32)).array
    lungs = lungs > 0.5 * lungs.max()
    first, last = extent(lungs)
    widest = [int(lungs.sum(axis=tuple({0, 1, 2} - {2 - axis})).argmax()) for axis in range(3)]
    start = lattice.ijk_to_ras[:3, 3] @ axes
    return (
        np.maximum(low, start + first * COARSE_MM - MARGIN_MM),
        np.minimum(high, start + last * COARSE_MM + MARGIN_MM),
        np.clip(start + np.array(widest) * COARSE_MM, low, high),
    )


def place_of(point: np.ndarray, axis: int) -> str:
    """The coordinate of a plane in words, such as ``A -12 mm``."""
    return f"{'RAS'[axis]} {point[axis]:.0f} mm"


def sample(volume: Volume, points: np.ndarray) -> np.ndarray:
    """A volume at points ``(H, W, 3)`` in RAS mm, linearly interpolated, float32; NaN outside it."""
    found = np.full(points.shape[:2], np.nan, np.float32)
    box = box_around(volume.lattice, points.reshape(-1, 3), margin=1)
    if box is not None:
        lattice, voxels = box
        part = Volume(volume.array[voxels], lattice.ijk_to_ras)  # a cut needs little of a large volume
        grid = torch.from_numpy(apply(lattice.ras_to_grid, points)).float()
        inside = volume.lattice.contains(points)
        found[inside] = warp(part.tensor(), grid[None, None])[0, 0, 0].numpy()[inside]
    return found
