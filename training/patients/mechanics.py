"""What moves in a breath, and how stiff the chest is: the forces behind :mod:`breathing`.

The diaphragm descends, most in the middle of each half and towards the back, none where it is fixed to the ribs. The
ribs swing about their joints with the spine, the lower ones more. The pleura beside the ribs is soft, so that the lungs
slide along them. All is said of the inhaled chest; the motion is that of exhaling.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from LungDeepRegLib.geometry import Lattice, enclosing_lattice

from .breath import Breath
from .elasticity import Tissue

SEARCH_STEP_MM = 8.0
SEARCH_RANGE_MM = ((-220.0, 220.0), (-170.0, 170.0), (-260.0, 220.0))
MARGIN_MM = 50.0
JOINTS = 0.18
"""Where the ribs' joints with the spine are: the part of the lungs' depth that lies behind them."""


class Chest(Protocol):
    """What is needed of a patient. Points are ``(N, 3)`` RAS mm of the inhaled chest, distances negative inside."""

    def body(self, points_ras: np.ndarray) -> np.ndarray:
        """Distance ``(N,)`` mm from the skin."""

    def cage(self, points_ras: np.ndarray) -> np.ndarray:
        """Distance ``(N,)`` mm from the inner surface of the chest wall."""

    def diaphragm(self, points_ras: np.ndarray) -> np.ndarray:
        """Distance ``(N,)`` mm from the diaphragm, positive above it."""

    def lungs(self, points_ras: np.ndarray) -> np.ndarray:
        """Distance ``(N,)`` mm from the lungs' surface."""

    def stiffness(self, points_ras: np.ndarray) -> np.ndarray:
        """Stiffness ``(N,)`` of lung relative to healthy lung."""


@dataclass(frozen=True)
class Stiffness:
    """How stiff tissue is, relative to the shear of healthy lung: the table ``[stiffness]``.

    Attributes:
        lung_compression: Resistance of healthy lung to change of volume.
        soft: Shear of heart, mediastinum and abdomen.
        soft_compression: Their resistance to change of volume: high, they are full of water.
        wall: Shear of the chest wall.
        pleura: Shear of the layer in which the lungs slide.
        pleura_mm: How far that layer reaches from the lungs' surface.
        air: Shear of what is outside the body, which only carries the motion on.
        hold: How strongly diaphragm and ribs are held to their motion, per mm^2.
    """

    lung_compression: float
    soft: float
    soft_compression: float
    wall: float
    pleura: float
    pleura_mm: float
    air: float
    hold: float


@dataclass(frozen=True, eq=False)
class ChestMechanics:
    """One chest as :func:`breathing.breathe` moves it.

    Attributes:
        chest: The inhaled chest.
        breath: How far it breathes.
        stiffness: Of all tissue.
    """

    chest: Chest
    breath: Breath
    stiffness: Stiffness

    @cached_property
    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest R, A, S in mm of the inhaled lungs, ``(3,)`` each."""
        axes = [np.arange(a, b, SEARCH_STEP_MM, dtype=np.float32) for a, b in SEARCH_RANGE_MM]
        points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        within = points[self.chest.lungs(points) < 0].astype(np.float64)
        return within.min(axis=0), within.max(axis=0)

    def lattice(self, spacing_mm: float) -> Lattice:
        """Nodes around the lungs, with i, j, k along R, A, S."""
        return enclosing_lattice(np.stack(self.box), np.eye(3), spacing_mm, MARGIN_MM)

    def tissue(self, inhaled: np.ndarray, shape: tuple[int, int, int]) -> Tissue:
        """The tissue at nodes, by where it lies when inhaled.

        Args:
            inhaled: ``(N, 3)`` RAS mm.
            shape: The lattice's, ``(K, J, I)``.
        """
        chest, s = self.chest, self.stiffness
        body, cage, diaphragm, lungs = (
            np.asarray(solid(inhaled), dtype=np.float64)
            for solid in (chest.body, chest.cage, chest.diaphragm, chest.lungs)
        )
        lung = np.asarray(chest.stiffness(inhaled), dtype=np.float64)
        shear, compression = np.full(len(inhaled), s.soft), np.full(len(inhaled), s.soft_compression)
        for where, mu, kappa in (
            (lungs < 0, lung, lung * s.lung_compression),
            (cage > 0, s.wall, s.soft_compression),
            ((np.abs(lungs) < s.pleura_mm) & (cage > -2 * s.pleura_mm) & (diaphragm > 15), s.pleura, 0.0),
            (body > 0, s.air, 0.0),
        ):
            shear, compression = np.where(where, mu, shear), np.where(where, kappa, compression)
        wall, below = (cage > 0) & (body < 0), (cage <= 0) & (diaphragm < 0)
        hold = np.where(wall | (below & (diaphragm > -25)), s.hold, np.where(below, 0.03 * s.hold, 0.0))
        target = np.where(below[:, None], self._diaphragm(inhaled, cage, diaphragm), self._ribs(inhaled))
        parts = (values.reshape(shape) for values in (shear, compression, hold))
        return Tissue(*parts, target.reshape(*shape, 3))

    def _diaphragm(self, x: np.ndarray, cage: np.ndarray, diaphragm: np.ndarray) -> np.ndarray:
        """How the diaphragm, and what is below it, moves when exhaling."""
        low, high = self.box
        middle, half = (low + high) / 2, (high - low) / 2
        free = np.clip(-cage / (0.35 * half[0]), 0, 1)  # none where it is fixed to the ribs
        free = free * (2 - free)
        side = (x[:, 0] - middle[0]) / half[0]
        sides = 1 + (self.breath.left - 1) / (1 + np.exp(side / 0.12))
        central = 1 - 0.25 * np.exp(-np.square(side / 0.22))  # the heart rests on it
        back = 1 - self.breath.behind * np.tanh((x[:, 1] - middle[1]) / half[1])
        up = self.breath.descent_mm * free * sides * central * back * np.exp(np.minimum(diaphragm, 0) / 160)
        motion = self._ribs(x) * (1 - free)[:, None]
        motion[:, 1] -= self.breath.forward * up
        motion[:, 2] += up
        return motion

    def _ribs(self, x: np.ndarray) -> np.ndarray:
        """How the chest wall moves when exhaling: turned about the ribs' joints, in and down, least at the apex."""
        low, high = self.box
        size, middle = high - low, (low + high) / 2
        forward = np.clip((x[:, 1] - low[1] - JOINTS * size[1]) / size[1], -0.2, 1.2)
        outward = np.clip((x[:, 0] - middle[0]) / (size[0] / 2), -1.4, 1.4)
        lower = 1 / (1 + np.exp((x[:, 2] - low[2] - 0.62 * size[2]) / (0.13 * size[2])))
        lower *= np.exp(np.minimum(x[:, 2] - low[2], 0) / 150)
        front = self.breath.front * self.breath.descent_mm * lower * forward
        side = self.breath.side * self.breath.descent_mm * lower * outward
        return -np.stack((side, front, self.breath.rise * front), axis=1)
