"""Breathing: a known smooth map phi(x) = x + u(x) from the exhaled chest to the inhaled one, in RAS mm.

u is a sum of modes, each a direction times a generalised Gaussian of position, so that u and its Jacobian matrix are
closed formulas at any point.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..displacement_field import DisplacementField
from ..geometry import Lattice

LEAST_JACOBIAN = 0.1
GAUSSIAN = (2, 2, 2)
SEARCH_STEP_MM = 8.0
SEARCH_RANGE_MM = ((-200.0, 200.0), (-170.0, 190.0), (-360.0, 220.0))


class BreathingError(ValueError):
    """A motion that would fold space."""


@dataclass(frozen=True, eq=False)
class Breathing:
    """phi from the exhaled (fixed) chest to the inhaled (moving) one.

    Attributes:
        direction: ``(M, 3)`` mm, the displacement at each mode's peak.
        centre: ``(M, 3)`` RAS mm, where the peaks are.
        width_low: ``(M, 3)`` mm, how far a mode reaches below its centre along each axis.
        width_high: ``(M, 3)`` mm, and above it.
        power: ``(M, 3)``, along each axis 2 for a Gaussian, 4 for a flatter top with steeper sides.

    A mode is ``exp(-sum_d |t_d|^power_d)`` with ``t_d = (x_d - centre_d) / width_d``.
    """

    direction: np.ndarray
    centre: np.ndarray
    width_low: np.ndarray
    width_high: np.ndarray
    power: np.ndarray

    def scaled(self, factor: float) -> Breathing:
        """The same pattern with every displacement multiplied by ``factor``."""
        return Breathing(self.direction * factor, self.centre, self.width_low, self.width_high, self.power)

    def displacement(self, points_ras: np.ndarray) -> np.ndarray:
        """Displacement u ``(N, 3)`` in mm at points ``(N, 3)`` in RAS mm, in the points' own precision."""
        return self._evaluate(points_ras, slopes=False)[0].T

    def __call__(self, points_ras: np.ndarray) -> np.ndarray:
        """Where phi takes points ``(N, 3)`` in RAS mm."""
        return points_ras + self.displacement(points_ras)

    def jacobian_matrix(self, points_ras: np.ndarray) -> np.ndarray:
        """Derivatives d phi_c / d x_d, ``(N, 3, 3)``, exactly."""
        return np.moveaxis(self._evaluate(points_ras, slopes=True)[1], -1, 0)

    def jacobian(self, points_ras: np.ndarray) -> np.ndarray:
        """det(d phi / d x), ``(N,)``: the volume a piece of tissue has when inhaled over what it has when exhaled."""
        return _determinant(self._evaluate(points_ras, slopes=True)[1])

    def with_jacobian(self, points_ras: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both phi ``(N, 3)`` and det(d phi / d x) ``(N,)`` in one go."""
        u, matrix = self._evaluate(points_ras, slopes=True)
        return points_ras + u.T, _determinant(matrix)

    def inverse(self, points_ras: np.ndarray, iterations: int = 30) -> np.ndarray:
        """phi^-1 of points ``(N, 3)``, by damped Newton steps to about 1e-10 mm."""
        y = np.asarray(points_ras, dtype=np.float64)
        x = y.copy()
        for _ in range(iterations):
            residual = y - self(x)
            step = np.linalg.solve(self.jacobian_matrix(x), residual[..., None])[..., 0]
            length = np.linalg.norm(step, axis=1, keepdims=True)
            x += step * np.minimum(1, 15 / np.maximum(length, 1e-12))
            if np.abs(residual).max() < 1e-10:
                break
        return x

    def on(self, lattice: Lattice) -> DisplacementField:
        """The vectors of phi on a lattice."""
        return DisplacementField.from_displacement(self.displacement, lattice)

    def _evaluate(self, points: np.ndarray, *, slopes: bool) -> tuple[np.ndarray, np.ndarray]:
        """Displacement u ``(3, N)`` and d phi_c / d x_d ``(3, 3, N)`` (the identity without ``slopes``)."""
        position = np.ascontiguousarray(points.T)
        u = np.zeros_like(position)
        matrix = np.zeros((3, *position.shape), position.dtype) + np.eye(3, dtype=position.dtype)[:, :, None]
        for mode, direction in enumerate(self.direction):
            value, slope = self._mode(mode, position)
            for c in np.flatnonzero(direction):
                u[c] += float(direction[c]) * value
                for d in range(3 if slopes else 0):
                    matrix[c, d] += float(direction[c]) * value * slope[d]
        return u, matrix

    def _mode(self, mode: int, position: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """One mode ``(N,)``, and for each axis its slope relative to its value, ``(N,)`` per mm."""
        exponent, slope = np.zeros_like(position[0]), []
        for d in range(3):
            low, high = float(1 / self.width_low[mode, d]), float(1 / self.width_high[mode, d])
            offset = position[d] - float(self.centre[mode, d])
            per_mm = np.where(offset < 0, offset.dtype.type(low), offset.dtype.type(high)) if low != high else low
            t = offset * per_mm
            squared = t * t
            flat = self.power[mode, d] == 4
            exponent -= squared * squared if flat else squared
            slope.append((-4 * squared * t if flat else -2 * t) * per_mm)
        return np.exp(exponent), slope


def _determinant(matrix: np.ndarray) -> np.ndarray:
    (a, b, c), (d, e, f), (g, h, i) = matrix
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)


def sample_breathing(rng: np.random.Generator, motion_mm: float, scale: np.ndarray) -> Breathing:
    """Breathing drawn for one chest, whose greatest displacement is ``motion_mm``.

    The domes of the diaphragm move up and down and carry the bases with them, the front wall moves forward, the sides
    outward, and small random modes inside the lungs make each one different.

    Args:
        rng: Where the randomness comes from.
        motion_mm: The greatest length of u, near the domes. 0 gives the identity.
        scale: ``(3,)`` size of this chest relative to the standard one.

    Raises:
        BreathingError: A motion so large that the Jacobian determinant isn't clearly positive everywhere.
    """
    modes = [*_diaphragm(rng), *_chest_wall(rng), *_local(rng)]
    direction, centre, low, high, power = (np.array(column, dtype=np.float64) for column in zip(*modes, strict=True))
    pattern = Breathing(direction, centre * scale, low * scale, high * scale, power)
    axes = [np.arange(a, b, SEARCH_STEP_MM) for a, b in SEARCH_RANGE_MM]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.float32)
    greatest = np.linalg.norm(pattern.displacement(points), axis=1).max()
    breathing = pattern.scaled(motion_mm / float(greatest))
    least = float(breathing.jacobian(points).min())
    if least < LEAST_JACOBIAN:
        msg = f"found a Jacobian determinant of {least:.2f} for {motion_mm} mm of motion, expected {LEAST_JACOBIAN} up"
        raise BreathingError(msg)
    return breathing


def _diaphragm(rng: np.random.Generator) -> list[tuple]:
    """Each dome goes down when inhaling; the motion fades towards the apex and far below."""
    modes = []
    for side, strength in ((1, 1.0), (-1, rng.uniform(0.85, 1.1))):
        sideways, forward = rng.uniform(-0.04, 0.04), rng.uniform(0.0, 0.12)
        peak = (side * rng.uniform(60, 66), rng.uniform(-12, 4), rng.uniform(-62, -48))
        direction = (sideways, forward * strength, -strength)
        modes.append((direction, peak, (64, 98, 280), (64, 98, rng.uniform(110, 130)), (4, 4, 2)))
    return modes


def _chest_wall(rng: np.random.Generator) -> list[tuple]:
    front, side = rng.uniform(0.16, 0.34), rng.uniform(0.08, 0.19)
    return [
        ((0, front, 0.3 * front), (0, 105, -10), (120, 120, 130), (120, 75, 110), GAUSSIAN),
        ((side, 0, 0), (140, 0, -40), (75, 90, 120), (60, 90, 110), GAUSSIAN),
        ((-side, 0, 0), (-140, 0, -40), (60, 90, 120), (75, 90, 110), GAUSSIAN),
    ]


def _local(rng: np.random.Generator) -> list[tuple]:
    modes = []
    for side in (1, -1):
        for _ in range(5):
            centre = (side * rng.uniform(35, 105), rng.uniform(-65, 60), rng.uniform(-70, 90))
            width = rng.uniform(38, 65, 3)
            modes.append((rng.normal(0, 0.045, 3), centre, width, width, GAUSSIAN))
    return modes
