"""Random contrast: what the network sees should be where things are, not how bright they are."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

KNOTS = 6


def random_contrast(fixed: Tensor, moving: Tensor, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Both images with their values replaced by the same random rising piecewise linear function of them.

    Rising, since in CT and MRI alike air and lung are dark, vessels and the body bright; from 0 at 0 to 1 at 1.

    Args:
        fixed: In [0, 1], of any shape.
        moving: Likewise.
        random: Where the randomness comes from.
    """
    steps = random.uniform(0.2, 1.0, KNOTS - 1)
    values = np.concatenate([[0.0], np.cumsum(steps)]) / steps.sum()
    curve = torch.from_numpy(values.astype(np.float32))
    return replaced(fixed, curve), replaced(moving, curve)


def replaced(image: Tensor, curve: Tensor) -> Tensor:
    """The values that a curve has at those of an image.

    Args:
        image: In [0, 1], of any shape.
        curve: Its values at equally spaced knots from 0 to 1, ``(N,)``; linear between them.
    """
    position = image * (len(curve) - 1)
    lower = position.floor().clamp(0, len(curve) - 2)
    index = lower.long()
    return curve[index] + (position - lower) * (curve[index + 1] - curve[index])
