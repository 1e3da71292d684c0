"""The network's maps, as tensors on one lattice: spatial gradients, affine matrices, and their composition.

Displacements are ``(B, 3, K, J, I)`` in voxels, components in the order ``(i, j, k)``. Christodoulidis et al. 2018,
arXiv 1809.06226, describe the maps; the formulas are repeated at the functions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor

from .warp import identity_grid, warp

ANCHORS = ("first", "mean", "both_ends")


def integrate(spatial_gradients: Tensor, anchor: str = "first") -> Tensor:
    """Displacement from spatial gradients: along each axis d, ``u_d(p) = sum over i from 1 to p of (Phi_d(i) - 1)``.

    ``Phi = 1`` gives exactly zero in any precision. ``Phi > 0`` keeps voxels in order along each axis, which does not
    make the Jacobian determinant positive.

    Args:
        spatial_gradients: Phi, ``(B, 3, K, J, I)``, channel d belonging to axis d of ``(i, j, k)``.
        anchor: What the sum leaves free. ``first`` pins u_d = 0 on the first plane of axis d (the paper's sum),
            ``mean`` subtracts the mean along the line, ``both_ends`` subtracts the mean of Phi - 1 so that both ends
            of a line stay where they are.

    Returns:
        u in voxels, ``(B, 3, K, J, I)``.
    """
    if anchor not in ANCHORS:
        msg = f"found the anchor {anchor!r}, expected one of {', '.join(ANCHORS)}"
        raise ValueError(msg)
    return torch.cat([_integrate_axis(spatial_gradients[:, d : d + 1] - 1, 4 - d, anchor) for d in range(3)], dim=1)


def _integrate_axis(excess: Tensor, dim: int, anchor: str) -> Tensor:
    steps = excess.narrow(dim, 1, excess.shape[dim] - 1)
    if anchor == "both_ends":
        steps = steps - steps.mean(dim, keepdim=True)
    first = torch.zeros_like(excess.narrow(dim, 0, 1))
    u = torch.cat([first, steps.cumsum(dim)], dim)
    return u - u.mean(dim, keepdim=True) if anchor == "mean" else u


def displacement_grid(displacement: Tensor) -> Tensor:
    """The sampling grid ``(B, K, J, I, 3)`` of ``p + u(p)``, for a displacement in voxels."""
    shape = voxels(displacement)
    identity = identity_grid(shape, dtype=displacement.dtype, device=displacement.device)
    return identity + displacement.movedim(1, -1) * grid_units_per_voxel(displacement)


def finer(displacement: Tensor, factor: int) -> Tensor:
    """A displacement in voxels, ``(B, 3, K, J, I)``, on voxels so many times as small, of which these are blocks.

    Linear between the blocks' middles.
    """
    if factor == 1:
        return displacement
    return factor * functional.interpolate(displacement, scale_factor=factor, mode="trilinear", align_corners=False)


def voxels(tensor: Tensor) -> tuple[int, int, int]:
    """``(K, J, I)`` of a ``(B, C, K, J, I)`` tensor."""
    k, j, i = tensor.shape[2:]
    return k, j, i


def grid_units_per_voxel(tensor: Tensor) -> Tensor:
    """Grid units in a voxel along ``(i, j, k)`` of a ``(B, C, K, J, I)`` tensor."""
    return torch.tensor([2 / (n - 1) for n in tensor.shape[:1:-1]], dtype=tensor.dtype, device=tensor.device)


def affine_grid(matrix: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """The sampling grid ``(B, K, J, I, 3)`` of ``A (p, 1)``.

    p is centred on the lattice and scaled by one number for all axes (half the longest), so that ``|A - I|`` means the
    same along each axis.

    Args:
        matrix: A, ``(B, 3, 4)``, acting on ``(i, j, k)``.
        shape: ``(K, J, I)``.
    """
    sizes = torch.tensor([n - 1 for n in shape[::-1]], dtype=matrix.dtype, device=matrix.device)
    scale = sizes / sizes.max()
    identity = identity_grid(shape, dtype=matrix.dtype, device=matrix.device)
    # As a displacement, so that A = I gives the identity exactly.
    excess = matrix[:, :, :3] - torch.eye(3, dtype=matrix.dtype, device=matrix.device)
    moved = torch.einsum("bcd,kjid->bkjic", excess, identity * scale) + matrix[:, None, None, None, :, 3]
    return identity + moved / scale


def compose_with_affine(displacement: Tensor, matrix: Tensor) -> Tensor:
    """The grid of ``p -> G_N(G_A(p))``: sampling S there is the deformable warp, then the linear warp of its result.

    G_N is sampled as a displacement, ``q + u(q)`` with u going on at its border value, since positions themselves would
    collapse everything outside the lattice onto its border.
    """
    linear = affine_grid(matrix, voxels(displacement))
    deformable = warp(displacement, linear).movedim(1, -1)
    return linear + deformable * grid_units_per_voxel(displacement)
