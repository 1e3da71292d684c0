"""Free-form deformation with the engine's similarities: the kind of method that the paper compares with.

A grid of control points of cubic B-splines, made finer step by step (Rueckert et al. 1999, IEEE TMI 18(8)), moved by
Adam. The paper's method has the same model and similarities, optimised as a discrete Markov random field on a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from LungDeepRegLib import __version__
from LungDeepRegLib.descent import Adam
from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.geometry import Lattice, index_box
from LungDeepRegLib.pyramid import as_blurred_as_interpolated, average
from LungDeepRegLib.refinement import mean_squared_gradient
from LungDeepRegLib.similarity import Similarity, parse_similarity
from LungDeepRegLib.volume import Volume
from LungDeepRegLib.warp import identity_grid, warp
from torch import Tensor

from ..synthesis.free_form import spline_basis
from .method import AlignedPair


@dataclass(frozen=True)
class Stage:
    """One resolution.

    Attributes:
        voxel_mm: Voxels are averaged to about this size.
        control_mm: Distance between control points.
        steps: Of Adam.
    """

    voxel_mm: float
    control_mm: float
    steps: int


@dataclass(frozen=True)
class FreeForm:
    """Free-form deformation.

    Attributes:
        name: See :class:`Method`.
        title: See :class:`Method`.
        similarity: As the engine reads it, such as ``ncc=1``.
        smoothness: Weight of the mean squared gradient of the displacement.
        stages: Coarsest first.
        reach_mm: How far beyond the fixed lungs images are compared.
        rate: Step length of Adam, in voxels of a stage.
    """

    name: str
    title: str
    similarity: str
    smoothness: float
    stages: tuple[Stage, ...] = (Stage(16.0, 64.0, 60), Stage(8.0, 32.0, 60), Stage(4.0, 16.0, 60))
    reach_mm: float = 12.0
    rate: float = 0.2
    costly: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        """See :class:`Method`."""
        stages = [vars(stage) for stage in self.stages]
        return {**vars(self), "stages": stages, "optimiser": "Adam", "model": "cubic B-spline", "version": __version__}

    def ready(self) -> None:
        """Nothing has to be loaded."""

    def __call__(self, pair: AlignedPair, threads: int, device: str = "cpu") -> DisplacementField:
        """See :class:`Method`."""
        torch.set_num_threads(threads)
        similarity = parse_similarity(self.similarity)
        v = None
        for stage in self.stages:
            v = self.optimised(levelled(pair, stage.voxel_mm, self.reach_mm, device), stage, similarity, v)
        assert v is not None
        return v.on(pair.lattice)

    def optimised(
        self, level: Level, stage: Stage, similarity: Similarity, start: DisplacementField | None
    ) -> DisplacementField:
        """What Adam makes of a start, on the level's lattice."""
        lattice, device = level.lattice, level.fixed.device
        bases = [
            torch.from_numpy(spline_basis(n, stage.control_mm / float(mm))).to(device)
            for n, mm in zip(lattice.shape, lattice.spacing_mm[::-1], strict=True)
        ]
        control = torch.zeros(1, 3, *(basis.shape[1] for basis in bases), device=device, requires_grad=True)
        before = 0.0 if start is None else start.on(lattice).tensor(device)
        optimiser, rate_mm = Adam(control), self.rate * float(lattice.spacing_mm.min())
        objective = similarity.against(level.fixed, level.mask)
        identity = identity_grid(lattice.shape, device=device)[None]
        to_grid = torch.as_tensor(lattice.ras_to_grid[:3, :3].copy(), dtype=torch.float32, device=device)
        for _ in range(stage.steps):
            v = before + spline(control, bases)
            loss = objective(warp(level.moving, identity + v.movedim(1, -1) @ to_grid.T))
            optimiser.step(loss + self.smoothness * mean_squared_gradient(v, lattice), rate_mm)
        found = (before + spline(control.detach(), bases))[0].movedim(0, -1)
        return DisplacementField(found.cpu().numpy(), lattice)


@dataclass(frozen=True)
class Level:
    """Both images ``(1, 1, K, J, I)`` in [0, 1] on an averaged lattice, and where they are compared."""

    lattice: Lattice
    fixed: Tensor
    moving: Tensor
    mask: Tensor | None


def levelled(pair: AlignedPair, voxel_mm: float, reach_mm: float, device: str) -> Level:
    """An aligned pair with its voxels averaged, along each axis, to about a size."""
    lattice = pair.lattice
    step = np.clip(np.round(voxel_mm / lattice.spacing_mm).astype(int), 1, np.array(lattice.shape[::-1]) // 2)
    fixed, moving = (torch.from_numpy(array)[None, None] for array in images(pair))
    near = pair.near_lungs(pair.fixed_lungs, reach_mm)
    mask = None if near is None else average(torch.from_numpy(near)[None, None].float(), step).to(device)
    coarse = index_box(lattice, np.zeros(3), np.array(lattice.shape[::-1]) // step, step)
    return Level(coarse, average(fixed, step).to(device), average(moving, step).to(device), mask)


def images(pair: AlignedPair) -> tuple[np.ndarray, np.ndarray]:
    """Both in [0, 1]; the fixed one as blurred as interpolation made the moving one."""
    fixed, moving = pair.normalised()
    return as_blurred_as_interpolated(Volume(fixed, pair.lattice.ijk_to_ras)).array, moving


def spline(control: Tensor, bases: list[Tensor]) -> Tensor:
    """Control values ``(1, 3, k, j, i)`` as a field ``(1, 3, K, J, I)``, by a basis for each axis."""
    for basis in bases:  # each takes the first axis of space and gives the last one
        control = torch.tensordot(control, basis, dims=([2], [1]))
    return control


FREE_FORM = (
    FreeForm("ffd-ncc", "B-spline, NCC", "ncc=1", 0.7),
    FreeForm("ffd-dwm", "B-spline, DWM", "dwm=1", 0.25),
    FreeForm("ffd-mi", "B-spline, MI", "mi=1", 8.0),
    FreeForm("ffd-all", "B-spline, NCC + DWM + MI", "ncc=1,dwm=1,mi=1", 9.4),
)
