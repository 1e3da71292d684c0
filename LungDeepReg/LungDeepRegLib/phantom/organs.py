"""Soft tissue: the chest wall's layers, the organs between the lungs and those under the diaphragm."""

from __future__ import annotations

import numpy as np

from .anatomy import Anatomy
from .shapes import ellipsoid, oriented_ellipsoid, smooth_max
from .tubes import Tubes

OESOPHAGUS = Tubes.chain([(-2, -28, 160), (-2, -40, 60), (-8, -42, 10), (-14, -40, -50), (-30, -20, -100)], [7] * 5)


def wall_muscle(anatomy: Anatomy, p: np.ndarray, body: np.ndarray, cage: np.ndarray) -> np.ndarray:
    """Distance ``(N,)`` from the muscle of the chest wall, between the rib cage and the fat under the skin."""
    x, y, z = p.T
    side = np.abs(x)
    thickness = 15 + 16 * (y < 0) * np.exp(-np.square(side / 42))  # beside the spine
    thickness += 18 * _rise((z + 25) / 70) * _rise((side - 40) / 25) * _rise((50 - y) / 75)  # around the shoulder blade
    pectoral = _rise((z + 25) / 50) * _rise((95 - z) / 15) * _rise((side - 15) / 25) * _rise((y - 10) / 45)
    thickness += 12 * pectoral
    arm = ellipsoid(np.stack((side, y, z), axis=1), (160, -24, 130), (36, 34, 50))
    return np.maximum(body + np.float32(anatomy.fat), np.minimum(cage - thickness, arm)).astype(p.dtype)


def abdomen(anatomy: Anatomy, p: np.ndarray, diaphragm: np.ndarray, cage: np.ndarray) -> dict[str, np.ndarray]:
    """Distances ``(N,)`` from ``liver``, ``spleen``, ``stomach`` and its ``gas``, in the order to be painted.

    Args:
        anatomy: The chest.
        p: Points ``(N, 3)``.
        diaphragm: Their distance from the dome, positive above.
        cage: Their distance from the inner surface of the chest wall.
    """
    x, y, z = p.T
    under = smooth_max(diaphragm + 3, cage + 3, 6)
    left_edge = -(x + 62 + 0.75 * (z + 62) - 0.5 * (y - 20)) * np.float32(0.75)
    liver = smooth_max(smooth_max(under, left_edge, 14), -((np.square(x + 5) + np.square(y + 75)) ** 0.5) + 48, 10)
    spleen = smooth_max(ellipsoid(p, (-98, -48, -118), (34, 46, 52)), under, 6)
    top = anatomy.dome_left
    stomach = smooth_max(oriented_ellipsoid(p, (-58, 12, top - 38), (-0.5, -0.3, 0.8), (56, 40)), under - 1, 6)
    gas = np.maximum(stomach + 4, (22 * (1.6 - anatomy.gas) - y) + 0.1 * x)
    return {"liver": liver, "spleen": spleen, "stomach": stomach, "gas": gas}


def heart_chambers(anatomy: Anatomy, p: np.ndarray) -> np.ndarray:
    """Distance ``(N,)`` from the blood in the heart."""
    shift, size = np.array(anatomy.heart_shift), anatomy.heart
    left = oriented_ellipsoid(p, tuple(np.array((-40, 26, -42)) + shift), (-0.72, 0.46, -0.52), (38 * size, 20 * size))
    right = oriented_ellipsoid(p, tuple(np.array((-10, 46, -40)) + shift), (-0.8, 0.3, -0.5), (36 * size, 16 * size))
    right_atrium = ellipsoid(p, tuple(np.array((19, 16, -28)) + shift), (24 * size, 28 * size, 33 * size))
    left_atrium = ellipsoid(p, tuple(np.array((-2, -17, -12)) + shift), (31 * size, 16 * size, 22 * size))
    return np.minimum(np.minimum(left, right), np.minimum(right_atrium, left_atrium))


def table(anatomy: Anatomy, p: np.ndarray) -> np.ndarray:
    """Distance ``(N,)`` from the shell of the table that the back lies on."""
    x, y, _ = p.T
    top = np.float32(-114 - anatomy.fat) + x * x / np.float32(1500)
    return np.maximum(np.abs(y - top + 1.5) - 1.5, np.abs(x) - 215)


def _rise(t: np.ndarray) -> np.ndarray:
    """0 below t = 0, 1 above t = 1, smooth between."""
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)
