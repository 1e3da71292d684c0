"""The self-similarity context of the modality independent neighbourhood descriptor, MIND-SSC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as functional
from torch import Tensor

from .box import box_sum
from .term import Objective, SimilarityError, Term, check_shapes, mask_weights, mean_squared_difference

FACES = [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]
PAIRS = [
    (a, b) for n, a in enumerate(FACES) for b in FACES[n + 1 :] if not any(x * y for x, y in zip(a, b, strict=True))
]
LEAST_DISTANCE = 1e-12


@dataclass(frozen=True)
class MindSsc(Term):
    """Mean squared difference of MIND-SSC features (Heinrich et al., MICCAI 2013): 0 at a perfect match, below 1.

    The features of a voxel compare the twelve pairs of neighbouring patches among the six at distance ``dilation``
    along the axes. With D the mean squared difference of a pair's patches, cubes of ``2 radius + 1`` voxels, less the
    least D of the twelve, a feature is ``exp(-D / V)``; V is the mean D of the voxel, clamped between 0.001 and 1000
    times V's mean over the image. Features lie in (0, 1], and a gain or offset of the whole image, also an inverted
    one, leaves them as they are. Beyond its borders the image goes on with its outermost values.

    Attributes:
        radius: Of the patches, in voxels.
        dilation: From the voxel to the patches' centres, in voxels.
    """

    radius: int = 1
    dilation: int = 2
    name: ClassVar[str] = "mind"
    pointwise: ClassVar[bool] = True
    channels: ClassVar[int] = len(PAIRS)
    on_image: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.radius < 0 or self.dilation < 1:
            msg = f"found the MIND radius {self.radius} and dilation {self.dilation}, expected at least 0 and 1 voxels"
            raise SimilarityError(msg)

    def features(self, image: Tensor) -> Tensor:
        """MIND-SSC features ``(B, 12, K, J, I)`` of images ``(B, 1, K, J, I)``; channels in the order of ``PAIRS``."""
        distances = self._patch_distances(image)
        distances = distances - distances.amin(1, keepdim=True)
        variance = distances.mean(1, keepdim=True)
        typical = variance.mean((1, 2, 3, 4), keepdim=True).clamp_min(LEAST_DISTANCE)
        variance = torch.minimum(torch.maximum(variance, typical * 1e-3), typical * 1e3)
        return (distances / -variance).exp_()

    def _patch_distances(self, image: Tensor) -> Tensor:
        """Mean squared differences ``(B, 12, K, J, I)`` of the patch pairs.

        Pairs whose centres lie the same way from each other are one and the same volume of distances, seen from
        different voxels: six box sums make the twelve channels.
        """
        margin = self.dilation + self.radius
        padded = functional.pad(image, [margin] * 6, mode="replicate")
        volumes: dict[tuple[int, ...], Tensor] = {}
        channels = []
        for start, end in PAIRS:
            step = tuple(self.dilation * (b - a) for a, b in zip(start, end, strict=True))
            back = tuple(-s for s in step)
            if back in volumes:
                start, step = end, back
            if step not in volumes:
                volumes[step] = self._shifted_distance(padded, step)
            corner = [margin + self.dilation * a - max(0, -s) for a, s in zip(start, step, strict=True)]
            channels.append(_crop(volumes[step], corner, image.shape[2:]))
        return torch.cat(channels, 1)

    def _shifted_distance(self, padded: Tensor, step: tuple[int, ...]) -> Tensor:
        """Mean squared difference of the patches at p and p + step, for all p that have both within the lattice."""
        size = [n - abs(s) for n, s in zip(padded.shape[2:], step, strict=True)]
        here = _crop(padded, [max(0, -s) for s in step], size)
        there = _crop(padded, [max(0, s) for s in step], size)
        return box_sum((here - there).square(), self.radius) / (2 * self.radius + 1) ** 3

    def against(self, fixed_features: Tensor, mask: Tensor | None = None) -> Objective:
        """See :meth:`Term.against`."""
        weights = mask_weights(mask, fixed_features)

        def objective(warped: Tensor) -> Tensor:
            check_shapes(fixed_features, warped)
            return mean_squared_difference(fixed_features, warped, weights)

        return objective


def _crop(volume: Tensor, corner: list[int], size: torch.Size | list[int]) -> Tensor:
    for dim, (start, length) in enumerate(zip(corner, size, strict=True), start=2):
        volume = volume.narrow(dim, start, length)
    return volume
