"""The network's maps: closed forms, and the order of composition."""

import math

import pytest
import torch
from LungDeepRegLib.deformation import (
    ANCHORS,
    affine_grid,
    compose_with_affine,
    displacement_grid,
    grid_units_per_voxel,
    integrate,
)
from LungDeepRegLib.warp import identity_grid, warp

SHAPE = (6, 9, 13)  # (k, j, i)
SIZES = SHAPE[::-1]


def ones(dtype=torch.float64):
    return torch.ones(1, 3, *SHAPE, dtype=dtype)


def matrix(linear=((1, 0, 0), (0, 1, 0), (0, 0, 1)), shift=(0, 0, 0)):
    return torch.tensor([[*row, s] for row, s in zip(linear, shift, strict=True)], dtype=torch.float64)[None]


def voxels(grid):
    """Positions in voxels from the lattice's centre, ``(K, J, I, 3)``."""
    return grid[0] / grid_units_per_voxel(grid.movedim(-1, 1))


def centred_indices():
    return voxels(identity_grid(SHAPE, dtype=torch.float64)[None])


# --- spatial gradients


@pytest.mark.parametrize("anchor", ANCHORS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_gradients_of_one_give_exactly_no_displacement(anchor, dtype):
    assert torch.equal(integrate(ones(dtype), anchor), torch.zeros_like(ones(dtype)))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_constant_gradient_stretches_its_axis_and_no_other(axis):
    gradients = ones()
    gradients[:, axis] = 1.25
    u = integrate(gradients, "first").movedim(1, -1)[0]
    from_first = centred_indices() + (torch.tensor(SIZES) - 1) / 2
    expected = torch.zeros_like(u)
    expected[..., axis] = 0.25 * from_first[..., axis]
    torch.testing.assert_close(u, expected)


def test_the_first_gradient_of_a_line_is_not_used():
    gradients = ones()
    gradients[:, 0, ..., 0], gradients[:, 1, :, 0], gradients[:, 2, 0] = 2.0, 2.0, 2.0
    assert not integrate(gradients, "first").any()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_anchors(axis):
    gradients = torch.rand(1, 3, *SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2
    line = 4 - axis
    first, mean, both_ends = (integrate(gradients, anchor)[:, axis : axis + 1] for anchor in ANCHORS)
    last = SIZES[axis] - 1
    assert not first.narrow(line, 0, 1).any()
    assert mean.mean(line).abs().max() < 1e-12
    assert not both_ends.narrow(line, 0, 1).any()
    assert both_ends.narrow(line, last, 1).abs().max() < 1e-12
    steps = [u.diff(dim=line) for u in (first, mean, both_ends)]
    expected = (gradients[:, axis : axis + 1] - 1).narrow(line, 1, last)
    torch.testing.assert_close(steps[0], expected)
    torch.testing.assert_close(steps[1], expected)
    torch.testing.assert_close(steps[2], expected - expected.mean(line, keepdim=True))


def test_positive_gradients_keep_voxels_in_order():
    gradients = torch.rand(1, 3, *SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 + 1e-3
    place = voxels(displacement_grid(integrate(gradients)))
    for axis in range(3):
        assert (place[..., axis].diff(dim=2 - axis) > 0).all()


def test_unknown_anchor():
    with pytest.raises(ValueError, match=r"'last'.*first, mean, both_ends"):
        integrate(ones(), "last")


def test_displacement_grid_moves_by_voxels():
    u = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64).reshape(1, 3, 1, 1, 1).expand(1, 3, *SHAPE)
    torch.testing.assert_close(voxels(displacement_grid(u)) - centred_indices(), u[0].movedim(0, -1))


# --- affine matrices


def test_affine_identity():
    torch.testing.assert_close(
        affine_grid(matrix().float(), SHAPE)[0], identity_grid(SHAPE), rtol=0, atol=torch.finfo(torch.float32).eps
    )


def test_affine_translation_is_in_halves_of_the_longest_axis():
    moved = voxels(affine_grid(matrix(shift=(0.5, -0.25, 0.125)), SHAPE)) - centred_indices()
    torch.testing.assert_close(moved, torch.tensor([3.0, -1.5, 0.75], dtype=torch.float64).expand_as(moved))


@pytest.mark.parametrize("degrees", [90, 20])
@pytest.mark.parametrize("axes", [(0, 1), (1, 2), (2, 0)])
def test_affine_rotation_keeps_lengths_in_voxels(axes, degrees):
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    rotation = torch.eye(3, dtype=torch.float64)
    a, b = axes
    rotation[a, a], rotation[a, b], rotation[b, a], rotation[b, b] = cosine, -sine, sine, cosine
    turned = voxels(affine_grid(matrix(rotation.tolist()), SHAPE))
    torch.testing.assert_close(turned, centred_indices() @ rotation.T)


# --- composition


def smooth_displacement():
    """Up to a voxel, and zero on the lattice's border."""
    z, y, x = (torch.sin(torch.linspace(0, math.pi, n, dtype=torch.float64)) for n in SHAPE)
    bump = z[:, None, None] * y[:, None] * x
    return torch.stack([0.9 * bump, -0.7 * bump, 0.5 * bump])[None]


SMALLER = matrix([[0.8, 0.1, 0], [-0.1, 0.7, 0.05], [0, 0.05, 0.6]], (0.02, -0.03, 0.01))


def test_composing_with_the_identity():
    u = smooth_displacement()
    torch.testing.assert_close(compose_with_affine(u, matrix()), displacement_grid(u))
    torch.testing.assert_close(compose_with_affine(torch.zeros_like(u), SMALLER), affine_grid(SMALLER, SHAPE))


def test_composition_is_the_deformable_warp_and_then_the_linear_warp_of_its_result():
    # On a ramp, which trilinear interpolation keeps, warping twice blurs nothing; the affine map stays in the lattice.
    u = smooth_displacement()
    ramp = (centred_indices() @ torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64))[None, None]
    linear = affine_grid(SMALLER, SHAPE)
    assert linear.abs().max() <= 1
    twice = warp(warp(ramp, displacement_grid(u)), linear)
    torch.testing.assert_close(warp(ramp, compose_with_affine(u, SMALLER)), twice)
    other_order = warp(warp(ramp, linear), displacement_grid(u))
    assert (other_order - twice).abs().max() > 0.05


def test_beyond_the_lattice_the_displacement_goes_on():
    u = torch.tensor([1.5, -0.5, 2.0], dtype=torch.float64).reshape(1, 3, 1, 1, 1).expand(1, 3, *SHAPE).contiguous()
    far = matrix(shift=(3.0, 0, -3.0))
    composed = voxels(compose_with_affine(u, far))
    torch.testing.assert_close(composed, voxels(affine_grid(far, SHAPE)) + u[0, :, 0, 0, 0])


def test_each_pair_of_a_batch_has_its_own_map():
    u = torch.cat([smooth_displacement(), torch.zeros_like(smooth_displacement())])
    matrices = torch.cat([matrix(), SMALLER])
    composed = compose_with_affine(u, matrices)
    torch.testing.assert_close(composed[:1], compose_with_affine(u[:1], matrices[:1]))
    torch.testing.assert_close(composed[1:], affine_grid(SMALLER, SHAPE))


def test_gradient_in_float64():
    shape = (3, 4, 5)
    generator = torch.Generator().manual_seed(0)
    gradients = (torch.rand(1, 3, *shape, generator=generator, dtype=torch.float64) + 0.5).requires_grad_()
    affine = SMALLER.clone().requires_grad_()
    for anchor in ANCHORS:
        assert torch.autograd.gradcheck(
            lambda g, a, n=anchor: compose_with_affine(integrate(g, n), a), (gradients, affine)
        )
