"""Mutual information by Parzen windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .term import ImageTerm, Objective, SimilarityError, check_shapes, mask_weights

PADDING_BINS = 2
LEAST_PROBABILITY = 1e-12


@dataclass(frozen=True)
class MutualInformation(ImageTerm):
    """Minus the mutual information in nats, with the windows of Mattes et al. 2003 (IEEE TMI 22:120).

    An intensity x, clamped to [0, 1], has the place ``2 + x (bins - 5)`` among the bins 0 to bins - 1, so that no
    window reaches beyond them. The warped image's window is the cubic B-spline, the fixed image's the nearest bin:
    smooth in the warped image, without a gradient in the fixed one. The joint histogram of each pair, over its mask,
    has the sum 1; ``loss = -sum p log(p / (p_fixed p_warped))``.

    Between ``-log(bins)`` and 0, which means independent. A perfect match gives a little more than minus the image's
    entropy, since the spline's window blurs.

    Attributes:
        bins: Of each intensity axis.
    """

    bins: int = 32
    name: ClassVar[str] = "mi"
    pointwise: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.bins < 2 * PADDING_BINS + 2:
            msg = f"found {self.bins} bins for mutual information, expected at least {2 * PADDING_BINS + 2}"
            raise SimilarityError(msg)

    def against(self, fixed_features: Tensor, mask: Tensor | None = None) -> Objective:
        """See :meth:`Term.against`."""
        bins = self.bins
        with torch.no_grad():
            weights = mask_weights(mask, fixed_features)
            rows = bin_position(fixed_features, bins).round_().long()
            images = torch.arange(len(rows), device=rows.device)[:, None, None, None, None]
            row_starts = rows.add_(images * bins).mul_(bins)

        def objective(warped: Tensor) -> Tensor:
            check_shapes(fixed_features, warped)
            joint = _JointHistogram.apply(warped, row_starts, weights, bins)
            return -mutual_information(joint).mean()

        return objective


def bin_position(image: Tensor, bins: int) -> Tensor:
    """Where intensities of [0, 1] lie among the bins, the outer two at each end left for the windows."""
    return image.clamp(0, 1).mul_(bins - 1 - 2 * PADDING_BINS).add_(PADDING_BINS)


def mutual_information(joint: Tensor) -> Tensor:
    """Mutual information ``(B,)`` in nats of joint probabilities ``(B, fixed, warped)``."""
    independent = joint.sum(2, keepdim=True) * joint.sum(1, keepdim=True)
    ratio = joint.clamp_min(LEAST_PROBABILITY).log() - independent.clamp_min(LEAST_PROBABILITY).log()
    return (joint * ratio).sum((1, 2))


class _JointHistogram(torch.autograd.Function):
    """Joint probabilities ``(B, bins, bins)``, fixed by warped, from the four bins that each spline window covers.

    Summed in float64 where the device has it: adding millions of small numbers in float32 is off by per cents.
    """

    @staticmethod
    def forward(ctx: Any, warped: Tensor, row_starts: Tensor, weights: Tensor | None, bins: int) -> Tensor:
        position = bin_position(warped.detach(), bins)
        left = position.floor()
        fraction = position.sub_(left)
        index = row_starts + left.long()
        wide = torch.float32 if warped.device.type == "mps" else torch.float64
        joint = torch.zeros(len(warped) * bins * bins, dtype=wide, device=warped.device)
        for offset, window in zip(OFFSETS, spline_windows(fraction), strict=True):
            window = window.to(wide) if weights is None else window.to(wide).mul_(weights)
            joint.scatter_add_(0, (index + offset).flatten(), window.flatten())
        if weights is None:
            joint /= warped[0].numel()
        ctx.save_for_backward(warped, fraction, index, weights)
        ctx.bins = bins
        return joint.reshape(-1, bins, bins).to(warped.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        warped, fraction, index, weights = ctx.saved_tensors
        of_bins, of_warped = gradient.contiguous(), torch.zeros_like(warped)
        for offset, slope in zip(OFFSETS, spline_slopes(fraction), strict=True):
            of_warped.addcmul_(of_bins.take(index + offset), slope)
        of_warped *= ctx.bins - 1 - 2 * PADDING_BINS
        of_warped = of_warped / warped[0].numel() if weights is None else of_warped * weights
        return of_warped.masked_fill_((warped < 0) | (warped > 1), 0), None, None, None


OFFSETS = (-1, 0, 1, 2)


def spline_windows(fraction: Tensor) -> tuple[Tensor, ...]:
    """The cubic B-spline's value at the four bins around a position, ``fraction`` past the second of them."""
    rest = 1 - fraction
    squares, rest_squares = fraction.square(), rest.square()
    return (
        rest_squares * rest / 6,
        2 / 3 - squares * (1 - fraction / 2),
        2 / 3 - rest_squares * (1 - rest / 2),
        squares * fraction / 6,
    )


def spline_slopes(fraction: Tensor) -> tuple[Tensor, ...]:
    """The derivatives of :func:`spline_windows`."""
    rest = 1 - fraction
    return (
        rest.square() / -2,
        fraction * (1.5 * fraction - 2),
        rest * (2 - 1.5 * rest),
        fraction.square() / 2,
    )
