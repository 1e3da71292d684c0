"""What a similarity term is, and its mean over a mask."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Protocol

import torch
import torch.nn.functional as functional
from torch import Tensor

Objective = Callable[[Tensor], Tensor]
"""The loss, a scalar, of warped features ``(B, C, K, J, I)`` against what it was made for."""


class SimilarityError(ValueError):
    """A similarity that isn't known, or images and masks that it cannot compare."""


class Term(Protocol):
    """One way to compare two images. Lower is better.

    An image becomes features once; the moving image's features are then what is warped, as often as needed.

    Attributes:
        name: As in ``lncc=1,mi=0.5``.
        channels: C, how many features a voxel has.
        on_image: The features are the image itself, so terms can share them.
        pointwise: The loss compares voxel by voxel, without their neighbours: any list of voxels will do as an image.
    """

    name: ClassVar[str]
    channels: ClassVar[int]
    on_image: ClassVar[bool]
    pointwise: ClassVar[bool]

    def features(self, image: Tensor) -> Tensor:
        """Features ``(B, C, K, J, I)`` of images ``(B, 1, K, J, I)`` with values in [0, 1]."""

    def against(self, fixed_features: Tensor, mask: Tensor | None = None) -> Objective:
        """The loss as a function of the warped features alone; what depends on the fixed image only is done here.

        Args:
            fixed_features: ``(B, C, K, J, I)``.
            mask: Weights ``(B, 1, K, J, I)``, at least 0, or None for 1 everywhere. The loss of each pair is its mean
                over these; the result is the mean of the pairs.

        Raises:
            SimilarityError: A mask of another shape, with negative weights, or without any weight for an image.
        """

    def loss(self, fixed_features: Tensor, warped_features: Tensor, mask: Tensor | None = None) -> Tensor:
        """:meth:`against`, for a single comparison."""
        return self.against(fixed_features, mask)(warped_features)


class ImageTerm(Term, Protocol):
    """A term that compares the intensities themselves."""

    channels: ClassVar[int] = 1
    on_image: ClassVar[bool] = True

    def features(self, image: Tensor) -> Tensor:
        """The image."""
        return image


def mask_weights(mask: Tensor | None, fixed: Tensor) -> Tensor | None:
    """The mask ``(B, 1, K, J, I)``, scaled so that each image's weights have the sum 1; None stays None.

    Raises:
        SimilarityError: Another shape, negative or non-finite weights, or an image without any weight.
    """
    if mask is None:
        return None
    expected = (fixed.shape[0], 1, *fixed.shape[2:])
    if tuple(mask.shape) != expected:
        msg = f"found a mask of shape {tuple(mask.shape)}, expected {expected} as the images have"
        raise SimilarityError(msg)
    weights = mask.to(fixed)
    total = weights.sum((1, 2, 3, 4), keepdim=True)
    if not bool(torch.isfinite(total).all()) or weights.amin() < 0 or total.amin() <= 0:
        msg = f"found mask weights with the sums {total.flatten().tolist()} and the least {float(weights.amin())}, "
        msg += "expected weights of at least 0, and more than 0 somewhere in each image"
        raise SimilarityError(msg)
    return weights / total


def image_means(values: Tensor, weights: Tensor | None) -> Tensor:
    """Mean ``(B,)`` over channels and voxels of ``(B, C, K, J, I)``, with the weights of :func:`mask_weights`."""
    if weights is None:
        return values.mean((1, 2, 3, 4))
    return (values * weights).sum((1, 2, 3, 4)) / values.shape[1]


def mean_squared_difference(fixed: Tensor, warped: Tensor, weights: Tensor | None) -> Tensor:
    """Mean of ``(fixed - warped)^2`` over pairs, channels and voxels, these with the weights of :func:`mask_weights`.

    Torch's own loss makes fewer passes over many channels than the formula would.
    """
    if weights is None:
        return functional.mse_loss(warped, fixed)
    squares = functional.mse_loss(warped, fixed, reduction="none").sum(1, keepdim=True)
    return (squares * weights).sum() / (fixed.shape[0] * fixed.shape[1])


def check_shapes(fixed: Tensor, warped: Tensor) -> None:
    """Raise :class:`SimilarityError` where two images or features don't lie on the same lattice."""
    if fixed.shape != warped.shape or fixed.ndim != 5:
        msg = f"found fixed {tuple(fixed.shape)} and warped {tuple(warped.shape)}, expected the same (B, C, K, J, I)"
        raise SimilarityError(msg)
