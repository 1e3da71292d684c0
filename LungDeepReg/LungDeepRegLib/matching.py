"""How well the voxels of two images match: costs of small displacements, for the network to see.

A network of convolutions adds and compares what it sees, but only learns slowly to multiply two images with each other,
which matching takes. Networks of optical flow are given such costs for that reason (Dosovitskiy et al. 2015, FlowNet,
arXiv 1504.06852).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .similarity.mind import MindSsc

MATCH_LIMITS = (0, 3)
DESCRIPTOR = MindSsc(radius=1, dilation=1)
LEAST_SPREAD = 1e-6


def matching(fixed: Tensor, moving: Tensor, radius: int, stride: int) -> Tensor:
    """Costs of all displacements up to some blocks along each axis, i fastest.

    MIND-SSC descriptors of the images' voxels are averaged over blocks, which keeps more detail than descriptors of
    averaged images have. A cost is the mean squared difference of two blocks, less its mean over the displacements, in
    units of its spread over the lattice: gain, offset and contrast of either image change it little.

    Args:
        fixed: ``(B, 1, K, J, I)``.
        moving: The same.
        radius: Largest displacement along each axis in blocks.
        stride: Voxels along each axis of a block, which divide K, J and I.

    Returns:
        ``(B, (2 radius + 1)^3, K / stride, J / stride, I / stride)``, without derivatives; beyond its borders the
        moving image goes on.
    """
    with torch.no_grad():
        here, there = (functional.avg_pool3d(DESCRIPTOR.features(image.float()), stride) for image in (fixed, moving))
        depth, height, width = here.shape[2:]
        there = functional.pad(there, [radius] * 6, mode="replicate")
        steps = range(2 * radius + 1)
        costs = torch.stack(
            [
                (there[:, :, k : k + depth, j : j + height, i : i + width] - here).square_().mean(1)
                for k in steps
                for j in steps
                for i in steps
            ],
            1,
        )
        costs -= costs.mean(1, keepdim=True)
        spread = costs.square().mean((1, 2, 3, 4), keepdim=True).sqrt()
        return costs / spread.clamp_min(LEAST_SPREAD)
