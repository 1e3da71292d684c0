"""A search over many displacements at once, for motion too large for gradient steps to find."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from .displacement_field import DisplacementField
from .geometry import index_box
from .pyramid import Level, average
from .warp import identity_grid, warp

COUPLINGS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""How strongly each voxel's choice is drawn to its neighbours', round by round, in units of what a choice decides."""
SMOOTHING_VOXELS = 1.0
CANDIDATES_AT_ONCE = 128


@dataclass(frozen=True)
class Extent:
    """How far to search.

    Attributes:
        reach_mm: Largest displacement along each axis.
        step_mm: About the distance between displacements.
        spacing_mm: Least size of the voxels that choose; the work grows with the sixth power of the resolution.
    """

    reach_mm: float
    step_mm: float
    spacing_mm: float


NEAR, FAR = Extent(30.0, 7.5, 10.0), Extent(60.0, 15.0, 20.0)


def search_far(level: Level) -> DisplacementField:
    """Like :func:`search`, up to 90 mm: far and coarsely, and then near around what that found."""
    far = search(level, FAR)
    return far.after(search(replace(level, moving=level.moved(far))))


def search(level: Level, extent: Extent = NEAR) -> DisplacementField:
    """The displacement, on a coarse level, that matches features best while its neighbours agree.

    Every voxel of the mask tries all displacements within reach; choices and a smooth field are then drawn together in
    a few rounds (coupled convex optimisation, Heinrich et al., MICCAI 2014, as ConvexAdam uses it before its gradient
    steps).

    Args:
        level: A coarse level of features that can be compared by their squared differences (MIND-SSC).
        extent: Which displacements; by default within 30 mm along each axis, about 7.5 mm apart.

    Returns:
        v in RAS mm, on the level's lattice or a coarser one; beyond the mask it goes on smoothly.
    """
    level = coarsened(level, extent.spacing_mm)
    candidates = offsets(level, extent)
    chosen = level.mask.flatten().nonzero()[:, 0]
    cost = matching_cost(level, chosen, candidates)
    unit = (cost.median(1).values - cost.amin(1)).median() / (candidates[1] - candidates[0]).square().sum()
    picked = candidates[cost.argmin(1)]
    for coupling in COUPLINGS:
        smooth = smoothed(picked, chosen, level)[:, chosen].T
        distance = torch.cdist(smooth, candidates).square_()
        picked = candidates[torch.add(cost, distance, alpha=float(coupling * unit)).argmin(1)]
    vectors = smoothed(picked, chosen, level).T.reshape(*level.lattice.shape, 3)
    return DisplacementField(vectors.cpu().numpy(), level.lattice)


def coarsened(level: Level, spacing_mm: float) -> Level:
    """The level averaged to voxels of at least about this size."""
    step = np.maximum(1, np.round(spacing_mm / level.lattice.spacing_mm)).astype(int)
    step = np.minimum(step, np.array(level.lattice.shape[::-1]) // 2)
    lattice = index_box(level.lattice, np.zeros(3), np.array(level.lattice.shape[::-1]) // step, step)
    fixed, moving, mask = (average(tensor, step) for tensor in (level.fixed, level.moving, level.mask))
    return Level(lattice, fixed, moving, (mask > 0).float())


def offsets(level: Level, extent: Extent) -> Tensor:
    """The displacements to try, ``(D, 3)`` in RAS mm: along the lattice's axes, a voxel or a part of it apart."""
    parts = np.maximum(np.round(level.lattice.spacing_mm / extent.step_mm), 1)
    count = np.maximum(np.floor(extent.reach_mm * parts / level.lattice.spacing_mm), 1).astype(int)
    steps = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in count), indexing="ij"), axis=-1).reshape(-1, 3)
    found = (steps / parts) @ level.lattice.ijk_to_ras[:3, :3].T
    return torch.as_tensor(found, dtype=torch.float32, device=level.fixed.device)


def matching_cost(level: Level, chosen: Tensor, candidates: Tensor) -> Tensor:
    """Mean squared difference of the features, ``(N, D)``, of N voxels at D displacements."""
    lattice, device = level.lattice, level.fixed.device
    to_grid = torch.as_tensor(lattice.ras_to_grid[:3, :3].copy(), dtype=torch.float32, device=device)
    sites = identity_grid(lattice.shape, device=device).reshape(-1, 3)[chosen]
    fixed = level.fixed.flatten(2)[0][:, chosen, None]
    parts = []
    for part in candidates.split(CANDIDATES_AT_ONCE):
        grid = sites[:, None] + (part @ to_grid.T)[None]
        parts.append((warp(level.moving, grid[None, None])[0, :, 0] - fixed).square_().mean(0))
    return torch.cat(parts, 1)


def smoothed(values: Tensor, chosen: Tensor, level: Level) -> Tensor:
    """Vectors ``(N, 3)`` at the mask's voxels, smoothed among themselves and carried on beyond, ``(3, K * J * I)``."""
    shape = level.lattice.shape
    known = level.mask[0, 0].cpu().numpy()
    total = np.zeros((3, known.size), np.float32)
    total[:, chosen.cpu().numpy()] = values.T.cpu().numpy()
    result = np.zeros((3, *shape), np.float32)
    # Wider and wider smoothing fills what lies further from the mask.
    for sigma in (16.0, 4.0, SMOOTHING_VOXELS):
        weight = ndimage.gaussian_filter(known, sigma, mode="nearest")
        share = weight / (weight + 1e-3)
        for axis in range(3):
            mean = ndimage.gaussian_filter(total[axis].reshape(shape), sigma, mode="nearest") / (weight + 1e-6)
            result[axis] += share * (mean - result[axis])
    return torch.from_numpy(result.reshape(3, -1)).to(values.device)
