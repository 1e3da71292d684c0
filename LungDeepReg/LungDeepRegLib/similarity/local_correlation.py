"""Local normalised cross correlation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .box import add_neighbours, box_counts
from .term import ImageTerm, Objective, SimilarityError, check_shapes, mask_weights

LEAST_VARIANCE = 1e-5
"""Added to each local variance, intensities being in [0, 1]: a standard deviation of 0.003 is half structure."""


@dataclass(frozen=True)
class LocalCorrelation(ImageTerm):
    """``1 - mean(cc)``, with cc the squared correlation coefficient in a cube around each voxel (Avants et al. 2008).

    ``cc = cov(f, m)^2 / ((var f + 1e-5) (var m + 1e-5))``, between 0 and 1. The loss goes from 0, where a gain (also
    negative) and an offset in each cube turn one image into the other, to 1; voxels without structure count as 1.

    Statistics are over the voxels of the cube that lie on the lattice, whether in the mask or not; the mean of cc is
    over the mask. The gradient is written out, since autograd would take three times as long; it is once
    differentiable, in the warped and in the fixed image.

    Attributes:
        kernel: Width of the cube in voxels, odd.
    """

    kernel: int = 7
    name: ClassVar[str] = "lncc"
    pointwise: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.kernel < 3 or self.kernel % 2 == 0:
            msg = f"found the lncc kernel {self.kernel}, expected an odd number of voxels from 3"
            raise SimilarityError(msg)

    def against(self, fixed_features: Tensor, mask: Tensor | None = None) -> Objective:
        """See :meth:`Term.against`."""
        radius = self.kernel // 2
        with torch.no_grad():
            counts = box_counts(fixed_features, radius)
            statistics = local_statistics(fixed_features, radius, counts)
            weights = mask_weights(mask, fixed_features)
            # Of each voxel in the mean over mask and pairs.
            share = 1 / fixed_features.numel() if weights is None else weights / len(weights)

        def objective(warped: Tensor) -> Tensor:
            check_shapes(fixed_features, warped)
            return _LocalCorrelationLoss.apply(warped, fixed_features, statistics, counts, share, radius)

        return objective


class LocalStatistics(NamedTuple):
    """Of the cube around each voxel, ``(B, 1, K, J, I)``: sum, mean, and count times (variance + 1e-5)."""

    total: Tensor
    mean: Tensor
    spread: Tensor


def local_statistics(image: Tensor, radius: int, counts: Tensor) -> LocalStatistics:
    """The statistics of an image in the cube around each voxel."""
    total = add_neighbours(image, radius)
    mean = total / counts
    spread = add_neighbours(image.square(), radius).addcmul_(total, mean, value=-1).clamp_min_(0)
    return LocalStatistics(total, mean, spread.add_(counts, alpha=LEAST_VARIANCE))


class _LocalCorrelationLoss(torch.autograd.Function):
    """``1 - sum(w cc)``, with its gradient made along with it.

    With X = sum f m - sum f sum m / n, F and M the spreads, cc = X^2 / (F M). For a voxel q, a sum over the cubes p
    that it is in is again a box sum, hence

    ``d/dm(q) = f(q) box(a) + m(q) box(b) - box(a mean(f) + b mean(m))`` with ``a = -2 w X / (F M), b = 2 w cc / M``.
    """

    @staticmethod
    def forward(
        ctx: Any,
        warped: Tensor,
        fixed: Tensor,
        of_fixed: LocalStatistics,
        counts: Tensor,
        share: Tensor | float,
        radius: int,
    ) -> Tensor:
        of_warped = local_statistics(warped, radius, counts)
        covariance = add_neighbours(fixed * warped, radius).addcmul_(of_fixed.total, of_warped.mean, value=-1)
        slope = covariance / of_fixed.spread / of_warped.spread
        weighted_cc = covariance.mul_(slope).mul_(share)
        loss = 1 - weighted_cc.sum()

        cross = slope.mul_(share).mul_(-2)
        gradients: list[Tensor | None] = [None, None]
        images = [(warped, of_warped), (fixed, of_fixed)]
        for index, ((image, own), (other, others)) in enumerate(zip(images, images[::-1], strict=True)):
            if ctx.needs_input_grad[index]:
                square = (weighted_cc / own.spread).mul_(2)
                means = (cross * others.mean).addcmul_(square, own.mean)
                gradient = add_neighbours(cross, radius).mul_(other)
                gradient.addcmul_(add_neighbours(square, radius), image)
                gradients[index] = gradient.sub_(add_neighbours(means, radius))
        ctx.gradients = gradients
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        of_warped, of_fixed = (None if g is None else g * gradient for g in ctx.gradients)
        return of_warped, of_fixed, None, None, None, None
