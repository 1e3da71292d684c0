"""Thousands of tapered tubes, found from any point: airways, vessels, clavicles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import erf

LEAST_CELL_MM = 5.0
PAIRS_AT_ONCE = 100_000


@dataclass(frozen=True, eq=False)
class Tubes:
    """Straight pieces with round ends, whose radius changes linearly from start to end.

    Attributes:
        start: ``(T, 3)`` mm.
        end: ``(T, 3)`` mm.
        radius_start: ``(T,)`` mm.
        radius_end: ``(T,)`` mm.
    """

    start: np.ndarray
    end: np.ndarray
    radius_start: np.ndarray
    radius_end: np.ndarray

    @classmethod
    def chain(cls, points: Sequence[Sequence[float]], radii: Sequence[float]) -> Tubes:
        """One tube through the points, with the radius given at each."""
        p, r = np.array(points, dtype=np.float64), np.array(radii, dtype=np.float64)
        return cls(p[:-1], p[1:], r[:-1], r[1:])

    @classmethod
    def union(cls, parts: list[Tubes]) -> Tubes:
        """All tubes of several sets."""
        names = ("start", "end", "radius_start", "radius_end")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def inflated(self, extra_mm: float, factor: float = 1.0) -> Tubes:
        """The same tubes with radius ``factor * r + extra_mm``."""
        return Tubes(self.start, self.end, self.radius_start * factor + extra_mm, self.radius_end * factor + extra_mm)


class TubeIndex:
    """Tubes sorted into cells, so that a point meets only the tubes near it.

    Args:
        tubes: The tubes.
        reach_mm: How far from a tube's surface points still find it.
    """

    def __init__(self, tubes: Tubes, reach_mm: float) -> None:
        self.reach_mm = reach_mm
        self.cell_mm = max(LEAST_CELL_MM, 1.5 * reach_mm)
        self.start = tubes.start.astype(np.float32)
        self.along = (tubes.end - tubes.start).astype(np.float32)
        self.length_squared = np.maximum(np.square(self.along).sum(axis=1), 1e-6).astype(np.float32)
        self.radius = tubes.radius_start.astype(np.float32)
        self.taper = (tubes.radius_end - tubes.radius_start).astype(np.float32)
        outer = np.maximum(tubes.radius_start, tubes.radius_end)[:, None] + reach_mm
        low = np.minimum(tubes.start, tubes.end) - outer
        high = np.maximum(tubes.start, tubes.end) + outer
        self.origin = low.min(axis=0)
        self.shape = np.floor((high.max(axis=0) - self.origin) / self.cell_mm).astype(int) + 1
        self._sort(low, high, outer[:, 0])

    def _sort(self, low: np.ndarray, high: np.ndarray, outer: np.ndarray) -> None:
        first = np.floor((low - self.origin) / self.cell_mm).astype(int)
        span = np.floor((high - self.origin) / self.cell_mm).astype(int) - first + 1
        tube, step = ragged_range(span.prod(axis=1))
        nx, ny = span[tube, 0], span[tube, 1]
        cell = first[tube] + np.stack((step % nx, step // nx % ny, step // (nx * ny)), axis=1)
        centre = (self.origin + (cell + 0.5) * self.cell_mm).astype(np.float32)
        near = self._distance(centre, tube)[0] <= outer[tube] + self.cell_mm * np.sqrt(3) / 2
        tube, cell = tube[near], np.ravel_multi_index(tuple(cell[near].T), tuple(self.shape))
        self.members = tube[np.argsort(cell, kind="stable")]
        self.count = np.bincount(cell, minlength=int(self.shape.prod()))
        self.first = np.cumsum(self.count) - self.count

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Distance ``(N,)`` in mm from the nearest tube's surface to points ``(N, 3)``, at most ``reach_mm``."""
        result = np.full(len(points), self.reach_mm, dtype=np.float32)
        for rows, gap in self._reduced(points, lambda distance, radius: radius - distance):
            result[rows] = np.minimum(-gap, self.reach_mm)
        return result

    def coverage(self, points: np.ndarray, sigma_mm: float) -> np.ndarray:
        """The fraction ``(N,)`` of tube seen at points ``(N, 3)`` with a Gaussian resolution of ``sigma_mm``.

        The tube is taken as a bar of square section with the same area (for thick tubes: the same width), for which
        the blur is a product of two error functions. So a vessel thinner than a voxel is faint instead of lost.
        """
        scale = np.float32(1 / (np.sqrt(2) * sigma_mm))

        def seen(distance: np.ndarray, radius: np.ndarray) -> np.ndarray:
            squared = radius * radius
            half = radius * (0.886 + 0.114 * squared / (squared + np.float32(sigma_mm**2)))
            side = (erf((distance + half) * scale) - erf((distance - half) * scale)) / 2
            return side * erf(half * scale)

        result = np.zeros(len(points), dtype=np.float32)
        for rows, value in self._reduced(points, seen):
            result[rows] = value
        return result

    def _reduced(
        self, points: np.ndarray, kernel: Callable[[np.ndarray, np.ndarray], np.ndarray]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The greatest value of ``kernel(distance, radius)`` over the tubes of each point's cell."""
        rows, flat = self._cells(points)
        batch = np.cumsum(self.count[flat]) // PAIRS_AT_ONCE
        for part in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(batch)) + 1):
            if len(part):
                count = self.count[flat[part]]
                owner, step = ragged_range(count)
                tube = self.members[self.first[flat[part]][owner] + step]
                distance, radius = self._distance(points[rows[part]][owner], tube)
                value = kernel(distance, radius)
                yield rows[part], np.maximum.reduceat(value, np.cumsum(count) - count)

    def _cells(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which points lie in a cell that any tube reaches, and the number of that cell."""
        scaled = (points - self.origin.astype(np.float32)).T / np.float32(self.cell_mm)
        inside = np.logical_and.reduce([(s >= 0) & (s < n) for s, n in zip(scaled, self.shape, strict=True)])
        rows = np.flatnonzero(inside)
        i, j, k = scaled[:, rows].astype(np.int32)
        flat = (i * self.shape[1] + j) * self.shape[2] + k
        reached = self.count[flat] > 0
        return rows[reached], flat[reached]

    def _distance(self, points: np.ndarray, tube: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distance from each point to its tube's axis, and the tube's radius there."""
        offset, along = points - self.start[tube], self.along[tube]
        t = np.clip(np.einsum("nd,nd->n", offset, along) / self.length_squared[tube], 0, 1)
        offset -= t[:, None] * along
        return np.sqrt(np.einsum("nd,nd->n", offset, offset)), self.radius[tube] + t * self.taper[tube]


def ragged_range(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For counts ``(n,)``: each row's number repeated so often, and 0, 1, .. within each row."""
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.arange(len(owner)) - (np.cumsum(counts) - counts)[owner]
