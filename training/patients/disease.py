"""Interstitial lung disease: where fibrosis and ground glass are, how stiff they make the lung.

As in systemic sclerosis, it begins under the pleura, at the bases and behind; what is worst is honeycombed, ground
glass lies around it. All in the chest's frame, see :mod:`solids`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .anatomy import Anatomy, frame_points
from .solids import STEP_MM, GridValues

RAMP = 0.35  # from the edge of fibrosis to its full severity, in units of the score


@dataclass(frozen=True)
class Pattern:
    """How the disease shows in one patient: the table ``[disease]``, which has a range for each.

    Attributes:
        extent: Share of the lungs' volume in fibrosis.
        subpleural_mm: How far from the pleura it reaches.
        basal: How much more there is at the bases.
        posterior: How much more there is behind.
        patchy: How irregular it is.
        ground_glass: How much more of the lung is ground glass, relative to the extent.
        honeycombing: How much of the worst is honeycombed.
        traction: How much wider bronchi are in fibrosis.
        stiffest: Stiffness of full fibrosis relative to healthy lung.
    """

    extent: float
    subpleural_mm: float
    basal: float
    posterior: float
    patchy: float
    ground_glass: float
    honeycombing: float
    traction: float
    stiffest: float


@dataclass(frozen=True, eq=False)
class Disease:
    """The disease of one patient, in space.

    Attributes:
        pattern: How it shows.
        fibrosis: From 0 for healthy to 1, in the lungs; 0 outside.
        ground_glass: Likewise.
    """

    pattern: Pattern
    fibrosis: GridValues
    ground_glass: GridValues

    def stiffness(self, p: np.ndarray) -> np.ndarray:
        """Relative to healthy lung, ``(N,)`` from 1 up, at points ``(N, 3)`` in the frame."""
        hardened = self.fibrosis(p) + 0.25 * self.ground_glass(p)
        return 1 + (self.pattern.stiffest - 1) * np.minimum(hardened, 1)


def spread_disease(anatomy: Anatomy, pattern: Pattern, rng: np.random.Generator) -> Disease:
    """Put the disease where it belongs, in exactly the share of the lungs that the pattern says.

    Args:
        anatomy: The chest, already as small as the disease makes it.
        pattern: How the disease shows.
        rng: Chooses the patches.
    """
    lungs = anatomy.lungs.values < 0
    if pattern.extent <= 0:
        nowhere = GridValues(np.zeros(lungs.shape, np.float32))
        return Disease(pattern, nowhere, nowhere)
    score = _score(anatomy, pattern, rng, lungs)
    fibrosis = _above(score, lungs, pattern.extent)
    glass = _above(score + 0.5 * _patches(rng, lungs.shape, 18.0), lungs, pattern.extent * (1 + pattern.ground_glass))
    return Disease(pattern, GridValues(fibrosis), GridValues(glass * (1 - fibrosis)))


def _score(anatomy: Anatomy, pattern: Pattern, rng: np.random.Generator, lungs: np.ndarray) -> np.ndarray:
    """How likely each place ``(K, J, I)`` falls ill."""
    depth = ndimage.distance_transform_edt(lungs, STEP_MM).astype(np.float32)
    points = frame_points().reshape(*lungs.shape, 3)
    inside = points[lungs]
    (_, back, low), (_, front, high) = np.quantile(inside, 0.02, axis=0), np.quantile(inside, 0.98, axis=0)
    below = np.clip((high - points[..., 2]) / (high - low), 0, 1)
    behind = np.clip((front - points[..., 1]) / (front - back), 0, 1)
    score = 1.4 * np.exp(-depth / pattern.subpleural_mm) + pattern.basal * below**1.5 + pattern.posterior * behind
    patches = _patches(rng, lungs.shape, 30.0) + 0.6 * _patches(rng, lungs.shape, 12.0)
    return (score + pattern.patchy * patches).astype(np.float32)


def _above(score: np.ndarray, lungs: np.ndarray, share: float) -> np.ndarray:
    """0 to 1: how far the score is above what all but a share of the lungs have."""
    threshold = np.quantile(score[lungs], 1 - min(share, 0.95))
    return np.where(lungs, np.clip((score - threshold) / RAMP, 0, 1), 0).astype(np.float32)


def _patches(rng: np.random.Generator, shape: tuple[int, ...], size_mm: float) -> np.ndarray:
    """Smooth random numbers of unit standard deviation, in patches of about this size."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), size_mm / 2.5 / STEP_MM)
    return noise / noise.std()
