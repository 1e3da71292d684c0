"""Where a reviewer may begin: branchings of vessels, clear and well spread over the lungs.

A branching is found by rays: around each bright voxel, the darkest value on the way to a small sphere is taken for
directions all over it. Where three directions, well apart, stay bright, three vessels meet; where few others do, they
are slender and meet nothing else. That needs no segmentation, and tells a branching from a vessel (two directions),
from a nodule (none) and from walls and fissures (many).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..geometry import apply, covering_lattice, index_box
from ..intensity import choose_intensity
from ..labels import labelled_box
from ..landmarks import LandmarkError, Landmarks
from ..lung_mask import find_lungs
from ..resampling import averaged
from ..volume import Volume
from .rays import Rays

SPACING_MM = 1.5
SMOOTHING_MM = 0.6
CLOSING_MM = 7.5
"""Gaps in a lung mask up to this width are vessels that it leaves out."""
EDGE_MM = 6.0
"""How far from the lungs' surface a candidate has to be."""
NEIGHBOURHOOD_MM = 7.5
LEAST_CONTRAST = 0.05
"""Of vessels, in the range of intensities."""
LEAST_BRIGHTNESS, LEAST_ABOVE_NEIGHBOURHOOD = 0.15, 0.1
"""Of the way from the lung's median to the brightest of its vessels."""
MOST_DIRECTIONS = 0.2
"""The fraction of directions that may be bright around a branching of slender vessels."""
APART_MM = 6.0


@dataclass(frozen=True, eq=False)
class Candidates:
    """Branchings, each the one that adds most to those before it: the first few are spread over the lungs, too.

    Attributes:
        landmarks: Where they are.
        distinctiveness: ``(N,)`` 0 to 1: how bright and slender the three vessels are that meet there.
    """

    landmarks: Landmarks
    distinctiveness: np.ndarray


def candidates(volume: Volume, lungs: np.ndarray | None = None, count: int = 40, modality: str = "auto") -> Candidates:
    """Find branchings of vessels in the lungs of a CT, or of any image in which vessels are brighter than the lung.

    Args:
        volume: The image.
        lungs: bool ``(K, J, I)`` on its voxels; found automatically in CT where it is None.
        count: How many are wanted at most.
        modality: As for :func:`intensity.choose_intensity`.

    Raises:
        LandmarkError: No lungs, or no branching in them.
    """
    intensity = choose_intensity(volume, modality)
    if lungs is None:
        lungs = find_lungs(volume, intensity)
    box = None if lungs is None else labelled_box(lungs)
    if lungs is None or box is None:
        msg = f"{volume.name}: found no lungs, expected a chest CT or a lung mask"
        raise LandmarkError(msg)
    lattice = covering_lattice(part(volume, box).lattice, SPACING_MM, 0.0)
    image = averaged(part(volume, box), lattice, intensity.normalised).array
    inside = averaged(part(volume.with_array(lungs), box), lattice, as_float).array > 0.5
    found = branchings(image, inside, SPACING_MM)
    chosen = well_spread(found.positions * SPACING_MM, found.distinctiveness, count)
    if found.rays is None or not len(chosen):
        msg = f"{volume.name}: found no branching of vessels in the lungs, expected vessels that are brighter than lung"
        raise LandmarkError(msg)
    positions = np.array([found.rays.meeting_point(position) for position in found.positions[chosen]])
    points = apply(lattice.ijk_to_ras, positions[:, ::-1])
    labels = tuple(f"C-{number}" for number in range(1, len(chosen) + 1))
    return Candidates(Landmarks(points, labels, f"{volume.name} candidates"), found.distinctiveness[chosen])


def part(volume: Volume, box: tuple[slice, slice, slice]) -> Volume:
    """The part of a volume in a box along ``(k, j, i)``, at least two voxels wide; no voxel is copied."""
    start = [min(axis.start, n - 2) for axis, n in zip(box, volume.array.shape, strict=True)]
    stop = [max(axis.stop, first + 2) for axis, first in zip(box, start, strict=True)]
    array = volume.array[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
    lattice = index_box(volume.lattice, np.array(start[::-1]), np.array(array.shape[::-1]))
    return Volume(array, lattice.ijk_to_ras, volume.name)


def as_float(mask: np.ndarray) -> np.ndarray:
    """1 where a mask is True, as float32."""
    return mask.astype(np.float32)


@dataclass(frozen=True, eq=False)
class Branchings:
    """All branchings in an image.

    Attributes:
        positions: ``(N, 3)`` along ``(k, j, i)``.
        distinctiveness: ``(N,)`` 0 to 1.
        rays: By which they were found; None without any lung to look in.
    """

    positions: np.ndarray
    distinctiveness: np.ndarray
    rays: Rays | None


def branchings(image: np.ndarray, inside: np.ndarray, spacing_mm: float) -> Branchings:
    """Look for branchings.

    Args:
        image: ``(K, J, I)`` float32 on an isotropic lattice, vessels brighter than lung.
        inside: Its lungs, bool.
        spacing_mm: Of the lattice.
    """
    whole = closed(inside, CLOSING_MM / spacing_mm)
    inner = ndimage.minimum_filter(whole, odd(2 * EDGE_MM / spacing_mm), mode="constant")
    smooth = ndimage.gaussian_filter(image, SMOOTHING_MM / spacing_mm)
    lung, vessel = np.median(smooth[inside]), np.percentile(smooth[inner], 99) if inner.any() else -np.inf
    if vessel - lung < LEAST_CONTRAST:
        return Branchings(np.empty((0, 3)), np.empty(0), None)
    bright = np.where(whole, np.maximum((smooth - lung) / (vessel - lung), -1), 0).astype(np.float32)
    around = ndimage.uniform_filter(bright, odd(NEIGHBOURHOOD_MM / spacing_mm))
    looked_at = inner & (bright > LEAST_BRIGHTNESS) & (bright > around + LEAST_ABOVE_NEIGHBOURHOOD)
    rays = Rays(bright, spacing_mm)
    third, directions = rays.branches(np.argwhere(looked_at))
    slender = np.where(third > LEAST_BRIGHTNESS, np.maximum(1 - directions / MOST_DIRECTIONS, 0), 0)
    score = np.zeros(image.shape, np.float32)
    score[looked_at] = slender
    peaks = (score > 0) & (score == ndimage.maximum_filter(score, odd(APART_MM / spacing_mm)))
    distinctiveness = (slender * np.minimum(third, 1))[peaks[looked_at]]
    return Branchings(between_voxels(score, np.argwhere(peaks)), distinctiveness, rays)


def closed(mask: np.ndarray, width: float) -> np.ndarray:
    """The mask with gaps of up to ``width`` voxels filled."""
    return ndimage.minimum_filter(ndimage.maximum_filter(mask, odd(width)), odd(width))


def odd(width: float) -> int:
    """The odd number of voxels next to a width."""
    return 2 * round((width - 1) / 2) + 1


def between_voxels(score: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """Positions ``(N, 3)`` along ``(k, j, i)`` of peaks, by the weight of the voxels around that are nearly as high."""
    steps = np.argwhere(np.ones((3, 3, 3), bool)) - 1
    values = np.pad(score, 1)[tuple(np.moveaxis(peaks[:, None] + steps + 1, -1, 0))]
    weights = np.maximum(values - 0.7 * score[tuple(peaks.T)][:, None], 0)
    return peaks + weights @ steps / weights.sum(axis=1, keepdims=True)


def well_spread(points: np.ndarray, distinctiveness: np.ndarray, count: int) -> np.ndarray:
    """Numbers of at most ``count`` points: each the one that is most distinct and farthest from those before it.

    What is counted is squared distinctiveness times distance; the distance counts up to where ``count`` points would
    lie if they were spread evenly over the box of all of them. None is nearer than :data:`APART_MM` to another.
    """
    if not len(points) or count < 1:
        return np.empty(0, int)
    evenly = (np.prod(np.ptp(points, axis=0) + APART_MM) / count) ** (1 / 3)
    gap = np.full(len(points), np.inf)
    chosen: list[int] = []
    while len(chosen) < count and (gap >= APART_MM).any():
        worth = np.square(distinctiveness) * np.minimum(gap, evenly)
        best = int(np.where(gap >= APART_MM, worth, -1).argmax())
        chosen.append(best)
        gap = np.minimum(gap, np.linalg.norm(points - points[best], axis=1))
    return np.array(chosen)
