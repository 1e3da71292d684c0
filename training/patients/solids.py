"""Solids of any shape: a formula worked out once on a grid, read as a signed distance between its points.

The chest's own frame has RAS axes in mm, the middle of the chest as origin, and a size that suits every patient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from LungDeepRegLib.geometry import Lattice, apply
from LungDeepRegLib.warp import warp
from scipy.interpolate import PchipInterpolator

STEP_MM = 3.0
LOW_MM, HIGH_MM = (-216.0, -165.0, -300.0), (216.0, 165.0, 210.0)
FLATTEST_SLOPE = 0.15

Formula = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@cache
def frame_lattice() -> Lattice:
    """The grid that all solids are worked out on."""
    count = [round((high - low) / STEP_MM) + 1 for low, high in zip(LOW_MM, HIGH_MM, strict=True)]
    matrix = np.diag([STEP_MM, STEP_MM, STEP_MM, 1.0])
    matrix[:3, 3] = LOW_MM
    return Lattice((count[2], count[1], count[0]), matrix)


def axes_mm() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Its coordinates x, y and z, float32, shaped to be combined: ``(1, 1, I)``, ``(1, J, 1)`` and ``(K, 1, 1)``."""
    x, y, z = (np.arange(a, b + STEP_MM / 2, STEP_MM, dtype=np.float32) for a, b in zip(LOW_MM, HIGH_MM, strict=True))
    return x[None, None, :], y[None, :, None], z[:, None, None]


@dataclass(frozen=True, eq=False)
class GridValues:
    """Values on the frame's grid, linear between its points and constant beyond.

    Attributes:
        values: ``(K, J, I)`` float32.
    """

    values: np.ndarray

    def __call__(self, p: np.ndarray) -> np.ndarray:
        """The values ``(N,)`` float32 at points ``(N, 3)`` in the frame."""
        grid = apply(frame_lattice().ras_to_grid.astype(np.float32), np.asarray(p, dtype=np.float32))
        image = torch.from_numpy(np.ascontiguousarray(self.values, dtype=np.float32))[None, None]
        return warp(image, torch.from_numpy(grid).reshape(1, 1, 1, -1, 3))[0, 0, 0, 0].numpy()


def solid(formula: Formula) -> GridValues:
    """The distance from a solid, negative inside, exact to first order near its surface.

    Args:
        formula: Of x, y, z: negative inside, of any scale.
    """
    values = np.broadcast_to(formula(*axes_mm()), frame_lattice().shape).astype(np.float32)
    slope = np.sqrt(sum(np.square(part) for part in np.gradient(values, STEP_MM)))
    least = FLATTEST_SLOPE * np.median(slope[np.abs(values) < STEP_MM * slope])  # relative: of values in any scale
    return GridValues((values / np.maximum(slope, least)).astype(np.float32))


def along(height: np.ndarray, knots: tuple[float, ...], values: tuple[float, ...]) -> np.ndarray:
    """A smooth profile through values at knots, constant beyond them, float32."""
    return PchipInterpolator(knots, values)(np.clip(height, knots[0], knots[-1])).astype(np.float32)


def step(t: np.ndarray) -> np.ndarray:
    """0 far below t = 0, 1 far above, half of it at 0."""
    return 0.5 + 0.5 * np.tanh(t)
