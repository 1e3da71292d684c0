"""Signed distances of simple solids, in mm, negative inside, and how they blend.

Arrays are ``(N,)`` or ``(N, 3)`` float32 for N points. Distances are exact to first order near the surface, which is
where they are used.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def either(condition: np.ndarray, yes: np.ndarray | float, no: np.ndarray | float) -> np.ndarray:
    """``yes`` where the condition holds, else ``no``, in float32 (which numpy.where leaves for two plain numbers)."""
    return np.where(condition, np.asarray(yes, dtype=np.float32), np.asarray(no, dtype=np.float32))


def ellipsoid(points: np.ndarray, centre: Sequence[float], radii: Sequence[float]) -> np.ndarray:
    """Distance ``(N,)`` from an ellipsoid with axes along x, y, z."""
    offset = (points - np.asarray(centre, np.float32)) / np.asarray(radii, np.float32)
    rho = np.sqrt(np.einsum("nd,nd->n", offset, offset)) + np.float32(1e-3)
    offset /= np.asarray(radii, np.float32)
    slope = np.sqrt(np.einsum("nd,nd->n", offset, offset)) / rho + np.float32(1e-4)
    return (rho - 1) / slope


def oriented_ellipsoid(
    points: np.ndarray, centre: Sequence[float], axis: Sequence[float], radii: Sequence[float]
) -> np.ndarray:
    """Distance ``(N,)`` from an ellipsoid of revolution: radii along ``axis`` and across it."""
    direction = np.asarray(axis, np.float32) / np.float32(np.linalg.norm(axis))
    offset = points - np.asarray(centre, np.float32)
    along = offset @ direction
    across = np.sqrt(np.maximum(np.einsum("nd,nd->n", offset, offset) - along**2, 0))
    u, v = along / np.float32(radii[0]), across / np.float32(radii[1])
    rho = np.sqrt(u * u + v * v) + np.float32(1e-3)
    slope = np.sqrt((u / np.float32(radii[0])) ** 2 + (v / np.float32(radii[1])) ** 2) / rho + np.float32(1e-4)
    return (rho - 1) / slope


def superellipse(scaled: Sequence[np.ndarray], radii: Sequence[np.ndarray | np.floating]) -> np.ndarray:
    """Distance ``(N,)`` from the surface where ``sum |s|^2.5 = 1``: fuller than an ellipse, as a chest is.

    Args:
        scaled: Coordinates divided by their radii, each ``(N,)``.
        radii: The radii in mm that they were divided by.
    """
    powers = [np.abs(s) * np.sqrt(np.abs(s)) for s in scaled]
    total = sum(p * np.abs(s) for p, s in zip(powers, scaled, strict=True))
    rho = np.maximum(total, np.float32(0.03)) ** np.float32(0.4)
    slope = np.sqrt(sum(np.square(p / r) for p, r in zip(powers, radii, strict=True))) / (rho * np.sqrt(rho))
    return (rho - 1) / np.maximum(slope, np.float32(2e-3))


def smooth_min(a: np.ndarray, b: np.ndarray, width_mm: float) -> np.ndarray:
    """The union of two solids with the seam between them rounded over ``width_mm``."""
    h = np.maximum(np.float32(width_mm) - np.abs(a - b), 0)
    return np.minimum(a, b) - h * h / np.float32(4 * width_mm)


def smooth_max(a: np.ndarray, b: np.ndarray, width_mm: float) -> np.ndarray:
    """The intersection of two solids with the edge between them rounded over ``width_mm``."""
    return -smooth_min(-a, -b, width_mm)


def occupancy(distance: np.ndarray, voxel_mm: float) -> np.ndarray:
    """The fraction of a voxel at each point that a solid fills, from its distance: 1 inside, 0 outside."""
    return np.clip(np.float32(0.5) - distance / np.float32(voxel_mm), 0, 1)


def sheet_occupancy(distance: np.ndarray, thickness_mm: float, voxel_mm: float) -> np.ndarray:
    """The fraction of a voxel that a sheet fills which is thinner than a voxel, from the distance to its middle."""
    reach = np.maximum(np.float32(voxel_mm), np.float32(thickness_mm))
    return np.clip(1 - np.abs(distance) / reach, 0, 1) * np.float32(min(1.0, thickness_mm / voxel_mm))
