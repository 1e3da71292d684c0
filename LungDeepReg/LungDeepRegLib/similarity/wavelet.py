"""The discrete wavelet metric."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .term import ImageTerm, Objective, SimilarityError, check_shapes, mask_weights


@dataclass(frozen=True)
class WaveletMetric(ImageTerm):
    """L1 distance of the two images' Haar wavelet coefficients, per voxel.

    The orthonormal Haar transform over some levels: seven bands of details at each, and the approximation band of the
    last. The sum of the absolute differences of all coefficients, approximation included, is divided by the number of
    voxels. An axis with an odd number of voxels has its last one repeated, at each level.

    At least 0, which is a perfect match. The transform being linear, it is taken once, of the difference; a mask
    multiplies the difference, and its sum replaces the number of voxels.

    Attributes:
        levels: How often the lattice is halved.
    """

    levels: int = 3
    name: ClassVar[str] = "dwm"
    pointwise: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.levels < 1:
            msg = f"found {self.levels} wavelet levels, expected at least 1"
            raise SimilarityError(msg)

    def against(self, fixed_features: Tensor, mask: Tensor | None = None) -> Objective:
        """See :meth:`Term.against`."""
        weights = mask_weights(mask, fixed_features)
        voxels = 1 if weights is not None else fixed_features[0].numel()

        def objective(warped: Tensor) -> Tensor:
            check_shapes(fixed_features, warped)
            difference = warped - fixed_features
            coefficients = haar_bands(difference if weights is None else difference * weights, self.levels)
            return torch.stack([band.abs().sum() for band in coefficients]).sum() / (voxels * len(warped))

        return objective


def haar_bands(image: Tensor, levels: int) -> list[Tensor]:
    """The seven detail bands of each level, finest first, and the last level's approximation, ``(B, C, k, j, i)``."""
    bands = []
    for _ in range(levels):
        image, *details = haar_step(image)
        bands += details
    return [*bands, image]


def haar_step(image: Tensor) -> list[Tensor]:
    """One level of the orthonormal Haar transform: the approximation, then the seven bands of details."""
    bands = [image]
    for dim in (2, 3, 4):
        pairs = [even_sized(band, dim).unflatten(dim, (-1, 2)).unbind(dim + 1) for band in bands]
        bands = [part for a, b in pairs for part in (a + b, b - a)]
    return [band * 8**-0.5 for band in bands]


def even_sized(image: Tensor, dim: int) -> Tensor:
    """The image, with its last plane repeated where there is an odd number of them."""
    size = image.shape[dim]
    return image if size % 2 == 0 else torch.cat([image, image.narrow(dim, size - 1, 1)], dim)
