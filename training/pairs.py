"""What training learns from: one pair of images on the network's lattice, whatever it was made from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from LungDeepRegLib.geometry import Lattice
from torch import Tensor

VALIDATION = 7919
"""Keeps the random numbers of validation apart from those of training, which come of two numbers."""


Truth = Callable[[np.ndarray], np.ndarray]
"""A map known exactly: points ``(N, 3)`` in fixed RAS mm to moving RAS mm."""


class Pair(NamedTuple):
    """Two images on one lattice, and what is known about them. A batch has one more axis in front.

    Attributes:
        fixed: ``(1, K, J, I)`` float32 in [0, 1].
        moving: The same of the moving image, already aligned: where it lies on the lattice, it lies in space.
        fixed_lungs: How much of each voxel is lung, ``(1, K, J, I)`` in [0, 1]; all zero where there is no mask.
        moving_lungs: The same of the moving image.
        displacement: The map from fixed to moving less the identity, ``(3, K, J, I)`` in voxels along ``(i, j, k)``.
        certainty: Where the displacement is known, ``(1, K, J, I)`` in [0, 1]; all zero where it isn't.
        landmarks: Corresponding points, ``(N, 2, 3)``: voxel positions ``(i, j, k)`` in the fixed and in the moving
            image; NaN fills up what a batch's other pairs have more.
    """

    fixed: Tensor
    moving: Tensor
    fixed_lungs: Tensor
    moving_lungs: Tensor
    displacement: Tensor
    certainty: Tensor
    landmarks: Tensor

    @classmethod
    def of_images(
        cls,
        fixed: Tensor,
        moving: Tensor,
        *,
        fixed_lungs: Tensor | None = None,
        moving_lungs: Tensor | None = None,
        displacement: Tensor | None = None,
        certainty: Tensor | None = None,
        landmarks: Tensor | None = None,
    ) -> Pair:
        """A pair of which only some is known."""
        nowhere = torch.zeros_like(fixed)
        return cls(
            fixed,
            moving,
            nowhere if fixed_lungs is None else fixed_lungs,
            nowhere if moving_lungs is None else moving_lungs,
            nowhere.expand(3, -1, -1, -1) if displacement is None else displacement,
            nowhere if certainty is None else certainty,
            torch.zeros(0, 2, 3) if landmarks is None else landmarks,
        )


def batch_of(pairs: list[Pair]) -> Pair:
    """Pairs of one lattice as a batch; shorter lists of landmarks end in NaN."""
    most = max(len(pair.landmarks) for pair in pairs)
    landmarks = torch.full((len(pairs), most, 2, 3), torch.nan)
    for row, pair in zip(landmarks, pairs, strict=True):
        row[: len(pair.landmarks)] = pair.landmarks
    images = zip(*(pair[:-1] for pair in pairs), strict=True)
    return Pair(*(torch.stack(parts) for parts in images), landmarks)


class PairSource(ABC):
    """Where pairs come from.

    A source gives the same pair for the same random numbers, in any process, so that what a run sees depends on its
    seed and its step alone.
    """

    @abstractmethod
    def draw(self, lattice: Lattice, random: np.random.Generator) -> Pair:
        """A random pair on a lattice of this shape and spacing, for training."""

    def numbered(self, lattice: Lattice, number: int) -> Pair:
        """The pair of this number of a fixed series, for validation."""
        return self.draw(lattice, np.random.default_rng([number, VALIDATION, 0]))

    def check(self) -> None:
        """Look at all data once; raise an error that names what is wrong. By default there is nothing to look at."""
        return
