"""A search over many displacements at once, for motion too large for gradient steps to find."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from .displacement_field import DisplacementField
from .geometry import index_box
from .pyramid import Level, average
from .warp import identity_grid, warp

REACH_MM = 30.0
STEP_MM = 7.5
LEAST_SPACING_MM = 10.0
COUPLINGS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""How strongly each voxel's choice is drawn to its neighbours', round by round, in units of what a choice decides."""
SMOOTHING_VOXELS = 1.0
CANDIDATES_AT_ONCE = 128


def search(level: Level) -> DisplacementField:
    """The displacement, on a coarse level, that matches features best while its neighbours agree.

    Every voxel of the mask tries all displacements within 30 mm along each axis, about 7.5 mm apart; choices and
    a smooth field are then drawn together in a few rounds (coupled convex optimisation, Heinrich et al., MICCAI 2014,
    as ConvexAdam uses it before its gradient steps).

    Args:
        level: A coarse level of features that can be compared by their squared differences (MIND-SSC).

    Returns:
        v in RAS mm, on the level's lattice or a coarser one; beyond the mask it goes on smoothly.
    """
    level = coarsened(level)
    candidates = offsets(level)
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


def coarsened(level: Level) -> Level:
    """The level averaged to voxels of at least about 10 mm: the work grows with the sixth power of the resolution."""
    step = np.maximum(1, np.round(LEAST_SPACING_MM / level.lattice.spacing_mm)).astype(int)
    step = np.minimum(step, np.array(level.lattice.shape[::-1]) // 2)
    lattice = index_box(level.lattice, np.zeros(3), np.array(level.lattice.shape[::-1]) // step, step)
    fixed, moving, mask = (average(tensor, step) for tensor in (level.fixed, level.moving, level.mask))
    return Level(lattice, fixed, moving, (mask > 0).float())


def offsets(level: Level) -> Tensor:
    """The displacements to try, ``(D, 3)`` in RAS mm: along the lattice's axes, a voxel or a part of it apart."""
    parts = np.maximum(np.round(level.lattice.spacing_mm / STEP_MM), 1)
    count = np.maximum(np.floor(REACH_MM * parts / level.lattice.spacing_mm), 1).astype(int)
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
