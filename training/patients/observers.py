"""Simulated observers who place landmarks: the paper's inter-observer error is an input here, not a finding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from LungDeepRegLib.landmarks import Landmarks


@dataclass(frozen=True)
class Observers:
    """How well they agree: the table ``[observers]``.

    Attributes:
        difference_mm: Mean absolute difference between two observers along R, A and S.
    """

    difference_mm: tuple[float, float, float]

    @property
    def sd_mm(self) -> np.ndarray:
        """Standard deviation ``(3,)`` of one observer's error along R, A and S.

        The difference of two normal errors of standard deviation s has the mean absolute value 2 s / sqrt(pi).
        """
        return np.array(self.difference_mm) * np.sqrt(np.pi) / 2

    def place(self, truth: Landmarks, rng: np.random.Generator, name: str) -> Landmarks:
        """Where one observer sees the landmarks: errors are normal, without bias, independent by axis and point."""
        return Landmarks(truth.points_ras + rng.normal(0, self.sd_mm, truth.points_ras.shape), truth.labels, name)
