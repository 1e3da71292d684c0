"""Random changes of how an image looks, by MONAI; where anything is stays as it is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .errors import TrainingError
from .pairs import Pair

PROBABILITY = 0.5
BIAS_DEGREE = 2


class AugmentationError(TrainingError):
    """Settings by which no image can be changed."""


@dataclass(frozen=True)
class Augmentation:
    """How much images may change; each change is made to half of them.

    Attributes:
        gamma: Greatest exponent of the contrast, its inverse being the least; 1 for none.
        bias: Greatest coefficient of the polynomial, of Legendre's and the second degree, by whose exponential the
            image is multiplied; 0 for none.
        noise: Greatest standard deviation of Gaussian noise, for values in [0, 1]; 0 for none.
        blur: Greatest standard deviation of Gaussian smoothing, in voxels; 0 for none.

    Raises:
        AugmentationError: A gamma below 1, or another setting below 0.
    """

    gamma: float = 1.2
    bias: float = 0.15
    noise: float = 0.03
    blur: float = 0.6

    def __post_init__(self) -> None:
        least = {"gamma": 1.0, "bias": 0.0, "noise": 0.0, "blur": 0.0}
        for name, low in least.items():
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= low):
                msg = f"found {name} {value} of the augmentation, expected a number of at least {low:.0f}"
                raise AugmentationError(msg)

    def __call__(self, image: Tensor, random: np.random.Generator) -> Tensor:
        """An image ``(1, K, J, I)`` in [0, 1], changed at random and clamped to [0, 1], float32.

        One number is drawn from ``random``, whatever the settings are.
        """
        from monai.transforms import (
            Compose,
        )  # here, since it takes seconds, and methods' processes import this file too

        changes = Compose(self._changes())
        changes.set_random_state(int(random.integers(2**31)))
        changed = changes(image)
        return torch.as_tensor(np.asarray(changed), dtype=torch.float32).clamp(0, 1)

    def pair(self, pair: Pair, random: np.random.Generator) -> Pair:
        """A pair whose two images are changed independently."""
        return pair._replace(fixed=self(pair.fixed, random), moving=self(pair.moving, random))

    def _changes(self) -> list:
        from monai.transforms import RandAdjustContrast, RandBiasField, RandGaussianNoise, RandGaussianSmooth

        span = (1 / self.gamma, self.gamma)
        return [
            *([RandGaussianSmooth(*[(0.0, self.blur)] * 3, prob=PROBABILITY)] if self.blur > 0 else []),
            *([RandAdjustContrast(prob=PROBABILITY, gamma=span)] if self.gamma > 1 else []),
            *([RandBiasField(BIAS_DEGREE, (-self.bias, self.bias), prob=PROBABILITY)] if self.bias > 0 else []),
            *([RandGaussianNoise(prob=PROBABILITY, std=self.noise)] if self.noise > 0 else []),
        ]
