"""A source of small pairs for runs of a few steps; slow where a test wants to interrupt it."""

import time

import numpy as np
import torch
from scipy import ndimage

from training.pairs import Pair, PairSource


class TinyPairs(PairSource):
    """Smooth random images, the moving one shifted by a fraction of a voxel along k."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def draw(self, lattice, random):
        time.sleep(self.seconds)
        shift = float(random.uniform(-0.8, 0.8))
        still = ndimage.gaussian_filter(random.random((lattice.shape[0] + 4, *lattice.shape[1:])), 1.5)
        still = (still - still.min()) / np.ptp(still)
        moved = ndimage.shift(still, (shift, 0, 0), order=1, mode="nearest")
        fixed, moving = (torch.from_numpy(image[2:-2].astype(np.float32))[None] for image in (still, moved))
        lungs = torch.ones_like(fixed)
        displacement = torch.tensor([0.0, 0.0, shift]).reshape(3, 1, 1, 1).expand(3, *lattice.shape).clone()
        return Pair.of_images(
            fixed, moving, fixed_lungs=lungs, moving_lungs=lungs, displacement=displacement, certainty=lungs
        )
