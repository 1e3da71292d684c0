"""The sampler: closed form, then torch's own sampler."""

import pytest
import torch
import torch.nn.functional as functional
from LungDeepRegLib.warp import identity_grid, warp


def image(shape=(6, 7, 5), *, batch=1, channels=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, channels, *shape, generator=generator, dtype=torch.float64)


def positions(shape):
    return identity_grid(shape, dtype=torch.float64)[None]


def moved_by(voxels, shape):
    """The grid that samples ``voxels`` (i, j, k) further on."""
    steps = [2 * v / (n - 1) for v, n in zip(voxels, shape[::-1], strict=True)]
    return positions(shape) + torch.tensor(steps, dtype=torch.float64)


def plain(moving, grid, mode="bilinear"):
    return functional.grid_sample(moving, grid, mode=mode, padding_mode="border", align_corners=True)


@pytest.mark.parametrize("batch", [1, 2])
def test_identity(batch):
    moving = image(batch=batch)
    torch.testing.assert_close(warp(moving, positions((6, 7, 5)).expand(batch, -1, -1, -1, -1)), moving)


def test_whole_voxels_along_each_axis_and_the_border():
    moving = image()
    warped = warp(moving, moved_by((1, 2, 3), (6, 7, 5)))
    torch.testing.assert_close(warped[..., :3, :5, :4], moving[..., 3:, 2:, 1:])
    torch.testing.assert_close(warped[..., 3:, 5:, 4:], moving[..., -1:, -1:, -1:].expand(1, 1, 3, 2, 1))


def test_half_a_voxel_is_the_mean_of_two():
    moving = image()
    warped = warp(moving, moved_by((0, 0.5, 0), (6, 7, 5)))
    torch.testing.assert_close(warped[..., :-1, :], (moving[..., :-1, :] + moving[..., 1:, :]) / 2)


def test_quarter_turn_about_k():
    moving = image((4, 5, 5))
    x, y, z = positions((4, 5, 5)).unbind(-1)
    warped = warp(moving, torch.stack((-y, x, z), -1))
    # the voxel at (i, j) takes its value from (-j, i), both from the centre
    torch.testing.assert_close(warped, torch.rot90(moving, 1, (3, 4)))
    assert warped[0, 0, 1, 0, 2] == pytest.approx(moving[0, 0, 1, 2, 4].item())


def test_nearest_invents_no_labels():
    labels = (image() * 4).round()
    warped = warp(labels, moved_by((0.4, -0.3, 0.2), (6, 7, 5)), mode="nearest")
    assert torch.equal(warped, labels)


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("planes", [1, 2, 7, 12, 16])
def test_one_image_equals_torch_whatever_its_slabs(planes, mode):
    moving = image((5, 6, 7), channels=3)
    generator = torch.Generator().manual_seed(1)
    grid = torch.rand(1, planes, 4, 9, 3, generator=generator, dtype=torch.float64) * 2.4 - 1.2
    torch.testing.assert_close(warp(moving, grid, mode=mode), plain(moving, grid, mode), rtol=0, atol=0)


@pytest.mark.parametrize("of_image", [False, True])
def test_gradients_equal_those_of_torch(of_image):
    moving = image((5, 6, 7), channels=2).requires_grad_(of_image)
    grid = (moved_by((0.3, -1.2, 0.4), (8, 6, 7)) * 0.9).requires_grad_()
    inputs = (moving, grid) if of_image else (grid,)
    weights = image((8, 6, 7), channels=2, seed=1)
    ours, theirs = (torch.autograd.grad((f(moving, grid) * weights).sum(), inputs) for f in (warp, plain))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize(
    ("moving", "grid"),
    [
        (torch.zeros(4, 4, 4), torch.zeros(1, 4, 4, 4, 3)),
        (torch.zeros(1, 1, 4, 4, 4), torch.zeros(1, 4, 4, 3)),
        (torch.zeros(1, 1, 4, 4, 4), torch.zeros(1, 4, 4, 4, 2)),
        (torch.zeros(2, 1, 4, 4, 4), torch.zeros(1, 4, 4, 4, 3)),
    ],
)
def test_other_shapes_are_refused(moving, grid):
    with pytest.raises(ValueError, match="found image"):
        warp(moving, grid)
