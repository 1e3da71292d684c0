"""What a network is trained to make small: a weighted sum of terms, each optional."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from LungDeepRegLib.network import NetworkOutput
from LungDeepRegLib.similarity import parse_similarity
from LungDeepRegLib.warp import warp
from torch import Tensor

from .errors import TrainingError
from .pairs import Pair

REDUCTIONS = ("sum", "mean")
EVERYWHERE = (1, 2, 3, 4)  # all axes of a batch but that of its pairs
SMOOTHING = 1e-4
"""Added to squared distances in voxels, so that the slope of their root is finite at zero."""


class LossError(TrainingError):
    """Weights that make no loss."""


@dataclass(frozen=True)
class Loss:
    """The loss of a batch, a mean over its pairs.

    The paper's (Christodoulidis et al. 2018, arXiv 1809.06226) is ``|R - D|^2 + alpha |A - I|_1 + beta |Phi - 1|_1``,
    in which the norms are sums over voxels and components; that is ``similarity="mse"`` with ``reduction="sum"``.

    Attributes:
        similarity: Terms of the engine such as ``mse`` or ``lncc=1,mind=0.5``; empty for none.
        similarity_in_lungs: Compare the images of a pair in its fixed lungs only; of a pair without a mask everywhere.
        affine: alpha, the weight of ``|A - I|_1``.
        spatial_gradients: beta, the weight of ``|Phi - 1|_1``.
        reduction: ``sum``: similarity and ``|Phi - 1|_1`` are sums over voxels, so that a weight's strength relative
            to the similarity is the paper's; ``mean``: means over voxels.
        overlap: Weight of 1 - soft Dice of the fixed and the warped moving lungs, of the pairs that have both masks.
        known_displacement: Weight of the distance in voxels to the known map.
        known_spatial_gradients: Weight of ``|Phi - Phi*|_1``, Phi* being the known map's differences along each axis.
            With a linear branch this asks Phi to hold the whole map, what the affine matrix finds included.
        outside_lungs: How much a voxel outside the fixed lungs counts in both, one inside counting 1.

    Raises:
        LossError: Another reduction, weights that are negative or no numbers, or nothing to compare.
        SimilarityError: An unknown similarity.
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
        compared = (self.overlap, self.known_displacement, self.known_spatial_gradients)
        others = (self.affine, self.spatial_gradients, self.outside_lungs)
        if not all(math.isfinite(weight) and weight >= 0 for weight in (*compared, *others)):
            msg = f"found a weight that is negative or no number in {self}, expected 0 or more"
            raise LossError(msg)
        if self.similarity:
            parse_similarity(self.similarity)
        elif max(compared) == 0:
            msg = f"found nothing to compare in {self}, expected a similarity, an overlap or a known map"
            raise LossError(msg)

    def __call__(self, pair: Pair, output: NetworkOutput) -> dict[str, Tensor]:
        """Each term, unweighted, and ``loss``, the sum of those that have a weight.

        Args:
            pair: A batch.
            output: What the network found for it.

        Returns:
            Scalars: ``loss``, ``spatial_gradients``, and of ``similarity``, ``affine``, ``overlap``,
            ``known_displacement`` (voxels) and ``known_spatial_gradients`` those that are asked for. A similarity
            stands there as a mean also where the loss has its sum.
        """
        terms: dict[str, tuple[float, Tensor]] = {}
        voxels = pair.fixed[0].numel() if self.reduction == "sum" else 1
        if self.similarity:
            terms["similarity"] = (voxels, self._dissimilarity(pair, output))
        if output.affine is not None:
            terms["affine"] = (self.affine, deviation(output.affine, torch.eye(3, 4).to(output.affine)))
        excess = (output.spatial_gradients - 1).abs()
        total = excess.sum(EVERYWHERE).mean() if self.reduction == "sum" else excess.mean()
        terms["spatial_gradients"] = (self.spatial_gradients, total)
        if self.overlap > 0:
            terms["overlap"] = (self.overlap, missing_overlap(pair, output))
        if self.known_displacement > 0 or self.known_spatial_gradients > 0:
            terms |= self._known(pair, output)
        counted = [weight * value for weight, value in terms.values() if weight > 0]
        return {"loss": torch.stack(counted).sum(), **{name: value for name, (_, value) in terms.items()}}

    def _dissimilarity(self, pair: Pair, output: NetworkOutput) -> Tensor:
        mask = None
        if self.similarity_in_lungs:
            lungs = pair.fixed_lungs
            mask = torch.where(shown(lungs)[:, None, None, None, None], lungs, torch.ones_like(lungs))
        return parse_similarity(self.similarity)(pair.fixed, warp(pair.moving, output.grid), mask)

    def _known(self, pair: Pair, output: NetworkOutput) -> dict[str, tuple[float, Tensor]]:
        weight = pair.certainty * (self.outside_lungs + (1 - self.outside_lungs) * pair.fixed_lungs)
        off = (output.displacement() - pair.displacement).square().sum(1, keepdim=True)
        distance = (off + SMOOTHING).sqrt()
        stride = weight.shape[-1] // output.spatial_gradients.shape[-1]
        known, in_blocks = (functional.avg_pool3d(part, stride) for part in (pair.displacement / stride, weight))
        steep = (output.spatial_gradients - spatial_gradients(known)).abs().sum(1, keepdim=True)
        return {
            "known_displacement": (self.known_displacement, weighted_mean(distance, weight)),
            "known_spatial_gradients": (self.known_spatial_gradients, weighted_mean(steep, in_blocks)),
        }


def deviation(values: Tensor, expected: Tensor) -> Tensor:
    """``|values - expected|_1`` of each pair ``(B, ...)``, the mean over the pairs."""
    return (values - expected).abs().flatten(1).sum(1).mean()


def spatial_gradients(displacement: Tensor) -> Tensor:
    """Phi, ``(B, 3, K, J, I)``, that :func:`deformation.integrate` makes a displacement of.

    Args:
        displacement: u, ``(B, 3, K, J, I)`` in voxels.

    Returns:
        Phi_d, 1 more than the differences of u_d along its own axis d, and 1 on the first plane. Their sum gives u
        back less its value on each component's first plane.
    """
    parts = []
    for d in range(3):
        axis, ahead = 4 - d, [0, 0, 0, 0, 0, 0]
        ahead[2 * d] = 1
        along = displacement[:, d : d + 1]
        parts.append(1 + functional.pad(along.diff(dim=axis), ahead))
    return torch.cat(parts, 1)


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Mean of ``(B, 1, K, J, I)`` over the voxels of all pairs, by their weights; zero where there is no weight."""
    return (values * weights).sum() / weights.sum().clamp(min=1e-6)


def missing_overlap(pair: Pair, output: NetworkOutput) -> Tensor:
    """1 - soft Dice of the fixed and the warped moving lungs, over the pairs with both masks; zero without any."""
    both = shown(pair.fixed_lungs) & shown(pair.moving_lungs)
    if not bool(both.any()):
        return output.grid.sum() * 0
    return 1 - soft_dice(pair.fixed_lungs[both], warp(pair.moving_lungs[both], output.grid[both]))


def soft_dice(first: Tensor, second: Tensor) -> Tensor:
    """Dice coefficient of masks ``(B, 1, K, J, I)`` in [0, 1], the mean over the pairs.

    Pairs of two empty masks are left out; 1 where all are empty.
    """
    total = (first + second).sum(EVERYWHERE)
    dice = 2 * (first * second).sum(EVERYWHERE) / total.clamp(min=1e-6)
    return dice[total > 0].mean() if bool((total > 0).any()) else total.sum() + 1


def shown(mask: Tensor) -> Tensor:
    """Which pairs have a mask that isn't empty, bool ``(B,)``, of ``(B, 1, K, J, I)``."""
    return mask.amax(EVERYWHERE) > 0
