"""Random contrast: what the network sees should be where things are, not how bright they are."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

KNOTS = 6


def random_contrast(fixed: Tensor, moving: Tensor, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Both images in [0, 1] with their values replaced by the same random rising piecewise linear function of them.

    Rising, since in CT and MRI alike air and lung are dark, vessels and the body bright.
    """
    steps = random.uniform(0.2, 1.0, KNOTS - 1)
    values = np.concatenate([[0.0], np.cumsum(steps)]) / steps.sum()
    curve = torch.from_numpy(values.astype(np.float32))
    return replaced(fixed, curve), replaced(moving, curve)


def replaced(image: Tensor, curve: Tensor) -> Tensor:
    """Values in [0, 1] by linear interpolation between equally spaced knots of a curve."""
    position = image * (len(curve) - 1)
    lower = position.floor().clamp(0, len(curve) - 2)
    index = lower.long()
    return curve[index] + (position - lower) * (curve[index + 1] - curve[index])
