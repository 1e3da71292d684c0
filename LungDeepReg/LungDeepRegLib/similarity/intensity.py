"""Terms that compare all intensities at once: mean squared error and global correlation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from .term import ImageTerm, Objective, check_shapes, image_means, mask_weights, mean_squared_difference

LEAST_VARIANCE_PRODUCT = 1e-12


@dataclass(frozen=True)
class MeanSquaredError(ImageTerm):
    """Mean of ``(fixed - warped)^2``: from 0 at a perfect match to 1. For images of one kind and equal density."""

    name: ClassVar[str] = "mse"
    pointwise: ClassVar[bool] = True

    def against(self, fixed_features: Tensor, mask: Tensor | None = None) -> Objective:
        """See :meth:`Term.against`."""
        weights = mask_weights(mask, fixed_features)

        def objective(warped: Tensor) -> Tensor:
            check_shapes(fixed_features, warped)
            return mean_squared_difference(fixed_features, warped, weights)

        return objective


@dataclass(frozen=True)
class GlobalCorrelation(ImageTerm):
    """``1 - ncc``, ncc being the correlation coefficient of all voxels: 0 at a perfect match or any gain and offset.

    1 where nothing is alike or an image is constant, 2 for an inverted image. Mean, variance and covariance are taken
    over the mask; the product of the variances counts as at least 1e-12.
    """

    name: ClassVar[str] = "ncc"
    pointwise: ClassVar[bool] = True

    def against(self, fixed_features: Tensor, mask: Tensor | None = None) -> Objective:
        """See :meth:`Term.against`."""
        weights = mask_weights(mask, fixed_features)

        def centred(image: Tensor) -> Tensor:
            return image - image_means(image, weights)[:, None, None, None, None]

        fixed = centred(fixed_features)
        fixed_variance = image_means(fixed.square(), weights)

        def objective(warped: Tensor) -> Tensor:
            check_shapes(fixed_features, warped)
            warped = centred(warped)
            variances = fixed_variance * image_means(warped.square(), weights)
            correlation = image_means(fixed * warped, weights) / variances.clamp_min(LEAST_VARIANCE_PRODUCT).sqrt()
            return 1 - correlation.mean()

        return objective
