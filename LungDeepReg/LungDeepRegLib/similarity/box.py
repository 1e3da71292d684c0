"""Sums over a cube around each voxel."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def box_sum(values: Tensor, radius: int) -> Tensor:
    """Sum of ``(B, C, K, J, I)`` over the ``2 * radius + 1`` voxels cubed around each voxel, with zeros outside.

    Adds shifted views along one axis after the other: on a CPU ten times faster than a convolution or average pooling,
    and without the rounding of cumulative sums.
    """
    return _BoxSum.apply(values, radius)


def box_counts(values: Tensor, radius: int) -> Tensor:
    """How many of the lattice's voxels lie in the cube around each, ``(1, 1, K, J, I)``: smaller at its borders."""
    return add_neighbours(torch.ones_like(values[:1, :1]), radius)


def add_neighbours(values: Tensor, radius: int) -> Tensor:
    """:func:`box_sum` without a gradient."""
    for dim in (4, 3, 2):
        values = _add_along(values, dim, radius)
    return values


def _add_along(values: Tensor, dim: int, radius: int) -> Tensor:
    total, size = values.clone(memory_format=torch.contiguous_format), values.shape[dim]
    for shift in range(1, min(radius, size - 1) + 1):
        rest = size - shift
        total.narrow(dim, 0, rest).add_(values.narrow(dim, shift, rest))
        total.narrow(dim, shift, rest).add_(values.narrow(dim, 0, rest))
    return total


class _BoxSum(torch.autograd.Function):
    """The box sum is its own adjoint: voxel p lies in the cube of q where q lies in that of p."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, radius: int) -> Tensor:
        ctx.radius = radius
        return add_neighbours(values, radius)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return add_neighbours(gradient, ctx.radius), None
