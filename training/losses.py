"""What a network is trained to make small: a weighted sum of terms, each optional."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from LungDeepRegLib.network import NetworkOutput
from LungDeepRegLib.similarity import parse_similarity
from LungDeepRegLib.warp import warp
from torch import Tensor

from .pairs import Pair

REDUCTIONS = ("sum", "mean")


class LossError(ValueError):
    """Weights that make no loss."""


@dataclass(frozen=True)
class Loss:
    """The loss of a batch, a mean over its pairs.

    The paper's (Christodoulidis et al. 2018, arXiv 1809.06226) is ``|R - D|^2 + alpha |A - I|_1 + beta |Phi - 1|_1``,
    in which the norms are sums over voxels and components; that is ``similarity="mse"`` with ``reduction="sum"``.

    Attributes:
        similarity: Terms of the engine such as ``mse`` or ``lncc=1,mind=0.5``; empty for none.
        similarity_in_lungs: Compare images in the fixed lungs only, where there is a mask.
        affine: alpha, the weight of ``|A - I|_1``.
        spatial_gradients: beta, the weight of ``|Phi - 1|_1``.
        reduction: ``sum``: similarity and ``|Phi - 1|_1`` are sums over voxels, so that a weight's strength relative
            to the similarity is the paper's; ``mean``: means over voxels.
        overlap: Weight of 1 - soft Dice of the lung masks.
        known_displacement: Weight of the distance in voxels to the known map.
        known_spatial_gradients: Weight of ``|Phi - Phi*|``, Phi* being the known map's differences along each axis.
        outside_lungs: How much a voxel outside the fixed lungs counts in both, one inside counting 1.

    Raises:
        LossError: Another reduction, negative weights, or all of them zero. An unknown similarity raises
            SimilarityError.
    """

    similarity: str = "mse"
    similarity_in_lungs: bool = False
    affine: float = 1e-6
    spatial_gradients: float = 1e-6
    reduction: str = "sum"
    overlap: float = 0.0
    known_displacement: float = 0.0
    known_spatial_gradients: float = 0.0
    outside_lungs: float = 0.1

    def __post_init__(self) -> None:
        if self.reduction not in REDUCTIONS:
            msg = f"found the reduction {self.reduction!r} of the loss, expected one of {', '.join(REDUCTIONS)}"
            raise LossError(msg)
        weights = (self.overlap, self.known_displacement, self.known_spatial_gradients)
        others = (self.affine, self.spatial_gradients, self.outside_lungs)
        if min(*weights, *others) < 0:
            msg = f"found a negative weight in {self}, expected 0 or more"
            raise LossError(msg)
        if self.similarity:
            parse_similarity(self.similarity)
        elif max(weights) == 0:
            msg = f"found nothing to compare in {self}, expected a similarity, an overlap or a known map"
            raise LossError(msg)

    def __call__(self, pair: Pair, output: NetworkOutput) -> dict[str, Tensor]:
        """Each term that counts, and ``loss``, their weighted sum."""
        terms: dict[str, tuple[float, Tensor]] = {}
        voxels = pair.fixed[0].numel() if self.reduction == "sum" else 1
        if self.similarity:
            terms["similarity"] = (voxels, self._dissimilarity(pair, output))
        if output.affine is not None:
            terms["affine"] = (self.affine, deviation(output.affine, torch.eye(3, 4).to(output.affine)))
        excess = (output.spatial_gradients - 1).abs()
        total = excess.sum((1, 2, 3, 4)).mean() if self.reduction == "sum" else excess.mean()
        terms["spatial_gradients"] = (self.spatial_gradients, total)
        if self.overlap > 0:
            terms["overlap"] = (self.overlap, 1 - soft_dice(pair.fixed_lungs, warp(pair.moving_lungs, output.grid)))
        if self.known_displacement > 0 or self.known_spatial_gradients > 0:
            terms |= self._known(pair, output)
        counted = {name: weight * value for name, (weight, value) in terms.items() if weight > 0}
        plain = {name: value for name, (_, value) in terms.items()}
        return {"loss": torch.stack(list(counted.values())).sum(), **plain}

    def _dissimilarity(self, pair: Pair, output: NetworkOutput) -> Tensor:
        masked = self.similarity_in_lungs and bool((pair.fixed_lungs.amax((1, 2, 3, 4)) > 0).all())
        mask = pair.fixed_lungs if masked else None
        return parse_similarity(self.similarity)(pair.fixed, warp(pair.moving, output.grid), mask)

    def _known(self, pair: Pair, output: NetworkOutput) -> dict[str, tuple[float, Tensor]]:
        weight = pair.certainty * (self.outside_lungs + (1 - self.outside_lungs) * pair.fixed_lungs)
        off = (output.displacement() - pair.displacement).square().sum(1, keepdim=True)
        distance = (off + 1e-4).sqrt()  # so that its slope is finite at zero
        steep = (output.spatial_gradients - spatial_gradients(pair.displacement)).abs().sum(1, keepdim=True)
        return {
            "known_displacement": (self.known_displacement, weighted_mean(distance, weight)),
            "known_spatial_gradients": (self.known_spatial_gradients, weighted_mean(steep, weight)),
        }


def deviation(values: Tensor, expected: Tensor) -> Tensor:
    """``|values - expected|_1`` of each pair, the mean over the pairs."""
    return (values - expected).abs().flatten(1).sum(1).mean()


def spatial_gradients(displacement: Tensor) -> Tensor:
    """Phi whose sum along each axis gives the displacement ``(B, 3, K, J, I)`` in voxels, but for its first plane."""
    parts = []
    for d in range(3):
        axis, ahead = 4 - d, [0, 0, 0, 0, 0, 0]
        ahead[2 * d] = 1
        along = displacement[:, d : d + 1]
        parts.append(1 + functional.pad(along.diff(dim=axis), ahead))
    return torch.cat(parts, 1)


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Mean over the voxels of all pairs in which there is any weight; zero where there is none."""
    return (values * weights).sum() / weights.sum().clamp(min=1e-6)


def soft_dice(first: Tensor, second: Tensor) -> Tensor:
    """Dice coefficient of masks ``(B, 1, K, J, I)`` in [0, 1], the mean over the pairs that have both."""
    total = (first + second).sum((1, 2, 3, 4))
    shared = (first * second).sum((1, 2, 3, 4))
    masked = (first.amax((1, 2, 3, 4)) > 0) & (second.amax((1, 2, 3, 4)) > 0)
    dice = 2 * shared / total.clamp(min=1e-6)
    return dice[masked].mean() if bool(masked.any()) else total.sum() * 0 + 1
