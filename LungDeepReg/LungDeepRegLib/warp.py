"""The only sampler of the project, and the grid that samples an image at its own voxels."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor


def identity_grid(
    shape: tuple[int, int, int], *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
) -> Tensor:
    """The grid ``(K, J, I, 3)`` that samples every voxel of a lattice of this shape at its own place."""
    axes = [torch.linspace(-1, 1, n, dtype=dtype, device=device) for n in shape]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    return torch.stack((x, y, z), dim=-1)


def warp(image: Tensor, grid: Tensor, *, mode: str = "bilinear") -> Tensor:
    """Sample an image at the positions of a grid: ``W(S, G)(p) = sum_q S(q) prod_d max(0, 1 - |G(p)_d - q_d|)``.

    Differentiable in image and grid. Positions beyond the outermost voxel centres take the nearest border value; where
    that isn't wanted the caller masks by coverage.

    Args:
        image: ``(B, C, K, J, I)``.
        grid: ``(B, K', J', I', 3)`` in grid coordinates (see :mod:`geometry`).
        mode: ``bilinear`` (in 3D: trilinear) or ``nearest`` (labels).

    Returns:
        ``(B, C, K', J', I')``.

    Raises:
        ValueError: Shapes other than these.
    """
    if image.ndim != 5 or grid.ndim != 5 or grid.shape[-1] != 3 or image.shape[0] != grid.shape[0]:
        msg = f"found image {tuple(image.shape)} and grid {tuple(grid.shape)}, expected (B,C,K,J,I) and (B,K',J',I',3)"
        raise ValueError(msg)
    if image.device.type == "cpu" and image.shape[0] == 1 and not image.requires_grad:
        return _warp_in_slabs(image, grid, mode)
    return functional.grid_sample(image, grid, mode=mode, padding_mode="border", align_corners=True)


def _warp_in_slabs(image: Tensor, grid: Tensor, mode: str) -> Tensor:
    """On the CPU torch samples in parallel over the batch only: offer it parts of one grid as a batch."""
    channels, shape = image.shape[1], grid.shape[1:4]
    positions, parts = shape.numel(), torch.get_num_threads()
    length = -(-positions // parts)
    filled = functional.pad(grid.reshape(positions, 3), (0, 0, 0, length * parts - positions))
    sampled = functional.grid_sample(
        image.expand(parts, -1, -1, -1, -1),
        filled.reshape(parts, 1, 1, length, 3),
        mode=mode,
        padding_mode="border",
        align_corners=True,
    )
    in_a_row = sampled.transpose(0, 1).reshape(channels, length * parts)[:, :positions]
    return in_a_row.reshape(1, channels, *shape)
