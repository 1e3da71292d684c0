"""What lies under the diaphragm of a synthetic patient, and the heart's chambers, in the chest's frame."""

from __future__ import annotations

import numpy as np
from LungDeepRegLib.phantom.shapes import ellipsoid, smooth_max

from .anatomy import Anatomy


def abdomen(anatomy: Anatomy, p: np.ndarray, under: np.ndarray) -> dict[str, np.ndarray]:
    """Distances ``(N,)`` from liver, spleen, stomach, its gas, and kidneys, in the order to be painted.

    Args:
        anatomy: The chest.
        p: Points ``(N, 3)``.
        under: Their distance from the space under the diaphragm and within the wall, negative in it.
    """
    x, y, z = p.T
    shape = anatomy.shape
    width, dome = shape.half_width, shape.dome
    edge = (-(x + 0.35 * width) - 0.9 * (z - dome + 25) + 0.15 * y) * np.float32(0.7)
    low = np.float32(dome - 170) - z + 0.5 * np.maximum(-x, 0)
    liver = smooth_max(smooth_max(under + 3, edge, 18), low, 24)
    top = dome - shape.dome_left
    spleen = smooth_max(ellipsoid(p, (-0.72 * width, -44, top - 62), (36, 48, 58)), under + 3, 6)
    stomach = smooth_max(ellipsoid(p, (-0.42 * width, 22, top - 48), (44, 40, 52)), under + 3, 8)
    gas = np.maximum(stomach + 4, (1 - 2 * shape.stomach_gas) * 34 - (y - 22))
    sides = np.stack((np.abs(x), y, z), axis=1)
    kidneys = np.maximum(ellipsoid(sides, (58, -58, dome - 160), (30, 26, 55)), under + 5)
    return {"spleen": spleen, "stomach": stomach, "gas": gas, "kidney": kidneys, "liver": np.maximum(liver, 4 - spleen)}


def chambers(anatomy: Anatomy, p: np.ndarray, heart: np.ndarray) -> np.ndarray:
    """Distance ``(N,)`` from the blood in the heart: all within its wall but for a septum.

    Args:
        anatomy: The chest.
        p: Points ``(N, 3)``.
        heart: Their distance from the heart's outer wall.
    """
    shape = anatomy.shape
    x, y, z = p[:, 0] - shape.heart_right, p[:, 1] - 20, p[:, 2] - shape.heart_up
    septum = 4.5 - np.abs(0.55 * x + 0.75 * y + 0.2 * z - 4)
    valves = 2.5 - np.abs(0.72 * x - 0.5 * y + 0.5 * z - 14)
    thick = 4 + 6 * (0.55 * x + 0.75 * y < 0) * (x < 10)
    return np.maximum(np.maximum(heart + thick, septum), valves).astype(np.float32)
