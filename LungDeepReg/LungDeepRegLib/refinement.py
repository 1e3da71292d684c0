"""Instance optimisation: the displacement that makes one pair of images most alike, found coarse to fine.

The residual displacement v lives on the fixed image's registration lattice, in RAS mm, before the alignment:
``phi(x) = T_align (x + v(x))``. Features are computed on one level and averaged down to the next coarser one before
they are compared, as in ConvexAdam (Siebert et al. 2021): detail at the cost of the coarser lattice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from .descent import Adam
from .displacement_field import DisplacementField
from .geometry import Lattice, index_box
from .pyramid import Level
from .similarity import Similarity
from .unfolding import unfolded
from .warp import identity_grid, warp

CONTROL = 2
"""Voxels of a level between two control points of the displacement."""


@dataclass(frozen=True)
class Plan:
    """How much work a refinement does.

    Attributes:
        iterations: Gradient steps of each level, coarsest first; each level has twice the resolution of the last.
        full_resolution: Whether the last level is the registration lattice itself, not the next coarser one.
        rate: Step length, in voxels of a level.
    """

    iterations: tuple[int, ...]
    full_resolution: bool = False
    rate: float = 0.2


PLANS = {"fast": Plan((40, 30)), "accurate": Plan((40, 30, 12), full_resolution=True)}
SMOOTHNESS = {"mind": 0.2, "lncc": 6.0, "ncc": 2.0, "mse": 0.3, "mi": 8.0, "dwm": 2.0}
"""Weight of the mean squared gradient of v beside each similarity term, for their different scales."""


def refine(
    levels: list[Level],
    similarity: Similarity,
    plan: Plan,
    starts: Sequence[DisplacementField],
    progress: Callable[[float], None] = lambda fraction: None,
) -> DisplacementField:
    """The residual displacement v, without folds, on the finest level's lattice.

    The coarsest level, which costs little, goes from every start; the others go on from what ends there with the least
    loss. Where a start ends says more of it than where it begins.

    Args:
        levels: From :func:`pyramid.levels`, coarsest first, as many as the plan has.
        similarity: What the levels' features are of.
        plan: Steps of each level.
        starts: Every v to start from, one or more, each on any lattice.
        progress: Told the fraction that is done.
    """
    smoothness = sum(weight * SMOOTHNESS[term.name] for term, weight in similarity.terms)
    total, done = sum(plan.iterations) + (len(starts) - 1) * plan.iterations[0], 0
    for level, steps in zip(levels, plan.iterations, strict=True):
        ends = []
        for start in starts:
            step_done = _counter(progress, done, total)
            ends.append(_optimise(level, similarity, smoothness, start, steps, plan.rate, step_done))
            done += steps
        starts = [min(ends, key=lambda end: end.loss).v]
    return unfolded(starts[0])


def dissimilarity(level: Level, v: DisplacementField) -> float:
    """Mean squared difference of a level's features over its mask, the moving ones moved by v."""
    difference = (level.moved(v) - level.fixed).square().mean(1, keepdim=True)
    return float((difference * level.mask).sum() / level.mask.sum())


def _counter(progress: Callable[[float], None], done: int, total: int) -> Callable[[int], None]:
    return lambda step: progress((done + step + 1) / total)


def _optimise(
    level: Level,
    similarity: Similarity,
    smoothness: float,
    start: DisplacementField,
    steps: int,
    rate: float,
    step_done: Callable[[int], None],
) -> End:
    """Adam on the control points of one level."""
    lattice, device = level.lattice, level.fixed.device
    control = control_lattice(lattice)
    v = start.on(control).tensor(device).requires_grad_()
    optimiser, rate_mm = Adam(v), rate * float(lattice.spacing_mm.min())
    parts = [(sites, similarity.against(sites.fixed, sites.mask)) for sites in Sites.parts(level, similarity)]
    to_grid = torch.as_tensor(lattice.ras_to_grid[:3, :3].copy(), dtype=torch.float32, device=device)
    for step in range(steps):
        sites, objective = parts[step % len(parts)]
        moved = sites.take(upsampled(v, lattice.shape)).movedim(1, -1) @ to_grid.T
        loss = objective(warp(level.moving, sites.grid + moved)) + smoothness * mean_squared_gradient(v, control)
        optimiser.step(loss, rate_mm)
        step_done(step)
    vectors = upsampled(v.detach(), lattice.shape)[0].movedim(0, -1)
    return End(DisplacementField(vectors.cpu().numpy(), lattice), loss.item())


class End(NamedTuple):
    """Where gradient steps lead: v, and the loss of the last step."""

    v: DisplacementField
    loss: float


@dataclass(frozen=True)
class Sites:
    """The voxels of a level that a step compares: some of its mask, as one long row, where the similarity allows that.

    The lungs fill a third of their box; the warp is what takes the time.
    """

    fixed: Tensor  # features (1, C, 1, 1, N), or (1, C, K, J, I)
    mask: Tensor | None  # weights, where not all the same
    grid: Tensor  # identity grid (1, 1, 1, N, 3), or (1, K, J, I, 3)
    chosen: Tensor | None  # their flat indices

    @classmethod
    def parts(cls, level: Level, similarity: Similarity) -> list[Sites]:
        """What the steps compare in turn: all voxels with the mask as weights, or quarters of the masked voxels.

        Eight voxels share a control point; a quarter has two opposite corners of each such block, which say as much.
        """
        grid = identity_grid(level.lattice.shape, device=level.fixed.device)[None]
        if not similarity.pointwise:
            return [cls(level.fixed, level.mask, grid, None)]
        k, j, i = level.mask[0, 0].nonzero().T
        diagonal = (k + j) % 2 * 2 + (j + i) % 2
        flat = level.mask.flatten().nonzero()[:, 0]
        quarters = [flat[diagonal == number] for number in range(4)]
        return [cls._of(level, grid, chosen) for chosen in quarters if len(chosen)]

    @classmethod
    def _of(cls, level: Level, grid: Tensor, chosen: Tensor) -> Sites:
        fixed = level.fixed.flatten(2).index_select(2, chosen)[:, :, None, None]
        return cls(fixed, None, grid.reshape(-1, 3)[chosen][None, None, None], chosen)

    def take(self, values: Tensor) -> Tensor:
        """The values ``(1, C, K, J, I)`` at these voxels."""
        return values if self.chosen is None else values.flatten(2).index_select(2, self.chosen)[:, :, None, None]


def control_lattice(lattice: Lattice) -> Lattice:
    """Control points in the middle of blocks of ``CONTROL`` voxels cubed."""
    count = np.maximum(-(-np.array(lattice.shape[::-1]) // CONTROL), 2)
    return index_box(lattice, np.zeros(3), count, np.full(3, CONTROL))


def upsampled(v: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Control points to the voxels of their lattice, linearly."""
    fine = functional.interpolate(v, scale_factor=float(CONTROL), mode="trilinear", align_corners=False)
    return fine[:, :, : shape[0], : shape[1], : shape[2]]


def mean_squared_gradient(v: Tensor, lattice: Lattice) -> Tensor:
    """Mean over the lattice of ``|grad v|^2``: the squared differences along each axis, per mm."""
    spacing = lattice.spacing_mm
    squares = [(v.diff(dim=4 - axis) / float(spacing[axis])).square().mean() for axis in range(3)]
    return torch.stack(squares).sum()
