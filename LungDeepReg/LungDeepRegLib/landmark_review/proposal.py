"""Where a fixed landmark may be in the moving image: the registration's answer, snapped to the local best match.

For a reviewer's assisted mode. What is proposed depends on the registration, so it can't judge it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage, signal

from ..geometry import apply
from ..intensity import Intensity, choose_intensity
from ..volume import Volume
from .table import Phi

SPACING_MM = 1.0
WINDOW_SD_MM = 3.0
WINDOW_MM = 8.0
"""Half the width of the cube that is compared."""
SEARCH_MM = 5.0
"""How far in the fixed image a match may be from the point."""
LEAST_SCORE = 0.4
"""Below this correlation nothing is recognised, and the registration's answer stays."""
FAR_PENALTY = 0.05
"""Of correlation, at the greatest distance: of two equal matches the nearer one is taken."""


@dataclass(frozen=True, eq=False)
class Proposal:
    """Points in the moving image for points of the fixed one.

    Attributes:
        points_ras: ``(N, 3)`` RAS mm.
        scores: ``(N,)`` local correlation coefficient at the match, -1 to 1; 0 where nothing was recognised near phi(x)
            or phi(x) lies outside the moving image: there the point is phi(x) itself.
    """

    points_ras: np.ndarray
    scores: np.ndarray


def propose(
    fixed: Volume,
    moving: Volume,
    phi: Phi,
    points_ras: np.ndarray,
    *,
    modality: str = "auto",
    progress: Callable[[float], None] | None = None,
) -> Proposal:
    """Propose moving points.

    Around each fixed point x a Gaussian window of the fixed image is compared with the moving image as phi deforms it,
    shifted by up to :data:`SEARCH_MM`; the shift d with the highest correlation coefficient gives phi(x + d). Both
    images are sampled every millimetre from their own voxels, and the peak is interpolated.

    Args:
        fixed: The fixed image.
        moving: The moving image.
        phi: The registration's map.
        points_ras: ``(N, 3)`` RAS mm in the fixed image.
        modality: As for :func:`intensity.choose_intensity`.
        progress: Told the fraction that is done.
    """
    readings = choose_intensity(fixed, modality), choose_intensity(moving, modality)
    points = np.reshape(np.asarray(points_ras, dtype=np.float64), (-1, 3))
    proposed, scores = np.empty_like(points), np.zeros(len(points))
    for number, x in enumerate(points):
        shift = np.zeros(3)
        if moving.lattice.contains(phi(x[None]))[0]:
            window = sampled(fixed, readings[0], x + cube(WINDOW_MM))
            searched = sampled(moving, readings[1], phi(x + cube(WINDOW_MM + SEARCH_MM)))
            shift, scores[number] = best_shift(window, searched)
        proposed[number] = phi((x + shift)[None])[0]
        if progress is not None:
            progress((number + 1) / len(points))
    return Proposal(proposed, scores)


def cube(half_mm: float) -> np.ndarray:
    """Offsets ``(n^3, 3)`` in mm of the nodes of a cube, the last axis fastest."""
    along = nodes(half_mm)
    return np.stack(np.meshgrid(along, along, along, indexing="ij"), axis=-1).reshape(-1, 3)


def nodes(half_mm: float) -> np.ndarray:
    """The positions of nodes from ``-half_mm`` to ``half_mm``."""
    count = round(half_mm / SPACING_MM)
    return np.arange(-count, count + 1) * SPACING_MM


def sampled(volume: Volume, intensity: Intensity, points_ras: np.ndarray) -> np.ndarray:
    """Intensities in [0, 1] at the ``(n^3, 3)`` points of a cube, ``(n, n, n)``; border values go on outside."""
    ijk = apply(volume.lattice.ras_to_ijk, points_ras)
    low, high = np.floor(ijk.min(axis=0)).astype(int), np.ceil(ijk.max(axis=0)).astype(int) + 1
    last = np.array(volume.array.shape[::-1]) - 1
    low, high = np.clip(low, 0, last), np.clip(high, 1, last + 1)
    i, j, k = (slice(int(a), int(b)) for a, b in zip(low, np.maximum(high, low + 1), strict=True))
    near = intensity.normalised(volume.array[k, j, i])
    values = ndimage.map_coordinates(near, (ijk - low)[:, ::-1].T, order=1, mode="nearest")
    return values.reshape((round(len(points_ras) ** (1 / 3)),) * 3)


def best_shift(window: np.ndarray, searched: np.ndarray) -> tuple[np.ndarray, float]:
    """The shift ``(3,)`` in mm at which ``searched`` looks most like ``window``, and the correlation coefficient there.

    No shift and 0 where no shift within the sphere of :data:`SEARCH_MM` is a peak of at least :data:`LEAST_SCORE`.
    """
    correlation = local_correlation(window, searched)
    along = nodes(SEARCH_MM)
    distance = np.sqrt(sum(np.square(axis) for axis in np.meshgrid(along, along, along, indexing="ij")))
    valued = np.where(distance <= SEARCH_MM, correlation - FAR_PENALTY * np.square(distance / SEARCH_MM), -np.inf)
    peak = np.unravel_index(valued.argmax(), valued.shape)
    score = float(correlation[peak])
    inner = all(0 < index < len(along) - 1 for index in peak)
    if score < LEAST_SCORE or not inner or distance[peak] > SEARCH_MM - SPACING_MM:
        return np.zeros(3), 0.0
    return along[list(peak)] + SPACING_MM * between_nodes(correlation, peak), min(score, 1.0)


def local_correlation(window: np.ndarray, searched: np.ndarray) -> np.ndarray:
    """Correlation coefficients of ``window`` with each part of ``searched`` of its size, under a Gaussian weight."""
    along = np.exp(-np.square(nodes(WINDOW_MM) / WINDOW_SD_MM) / 2)
    weight = along[:, None, None] * along[:, None] * along
    weight /= weight.sum()
    centred = window - np.sum(weight * window)
    level = searched - searched.mean()  # smaller numbers, smaller rounding errors
    means, squares, products = (
        signal.fftconvolve(values, np.flip(kernel), mode="valid")
        for values, kernel in ((level, weight), (np.square(level), weight), (level, weight * centred))
    )
    variances = np.sum(weight * np.square(centred)) * np.maximum(squares - np.square(means), 0)
    return np.where(variances > 1e-10, products / np.sqrt(np.maximum(variances, 1e-10)), 0.0)


def between_nodes(values: np.ndarray, peak: tuple[np.intp, ...]) -> np.ndarray:
    """The top of a parabola along each axis through a peak and its neighbours, ``(3,)`` in nodes, -0.5 to 0.5."""
    offsets = np.zeros(3)
    for axis in range(3):
        before, after = list(peak), list(peak)
        before[axis] -= 1
        after[axis] += 1
        left, middle, right = (float(values[tuple(at)]) for at in (before, peak, after))
        bend = left - 2 * middle + right
        offsets[axis] = np.clip(0.5 * (left - right) / bend, -0.5, 0.5) if bend < 0 else 0.0
    return offsets
