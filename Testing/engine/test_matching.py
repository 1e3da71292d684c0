"""Matching costs: what they are by the formula, and that they point where tissue went."""

import itertools

import pytest
import torch
from LungDeepRegLib.matching import DESCRIPTOR, matching
from torch.nn import functional

SHAPE = (12, 16, 20)


def texture(seed=0, shape=SHAPE):
    noise = torch.rand(1, 1, *(n + 8 for n in shape), generator=torch.Generator().manual_seed(seed))
    return functional.avg_pool3d(noise, 3, 1, 1)


def crop(image, start=(4, 4, 4), shape=SHAPE):
    for dim, (first, length) in enumerate(zip(start, shape, strict=True), start=2):
        image = image.narrow(dim, first, length)
    return image


def displacements(radius):
    return list(itertools.product(range(-radius, radius + 1), repeat=3))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("radius", [1, 2])
def test_costs_are_squared_differences_of_averaged_descriptors(radius, stride):
    fixed, moving = crop(texture(1)), crop(texture(2))
    found = matching(fixed, moving, radius, stride)
    here, there = (functional.avg_pool3d(DESCRIPTOR.features(image), stride)[0] for image in (fixed, moving))
    size = here.shape[1:]
    plain = torch.empty(len(displacements(radius)), *size)
    for number, (dk, dj, di) in enumerate(displacements(radius)):
        for k, j, i in itertools.product(*map(range, size)):
            to = tuple(min(max(a + d, 0), n - 1) for a, d, n in zip((k, j, i), (dk, dj, di), size, strict=True))
            plain[number, k, j, i] = (there[(slice(None), *to)] - here[:, k, j, i]).square().mean()
    plain -= plain.mean(0)
    torch.testing.assert_close(found[0], plain / plain.square().mean().sqrt(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("shift", [(0, 0, 0), (0, 0, 2), (2, -2, 0)])
def test_least_cost_is_where_the_tissue_went(shift):
    image = texture(shape=(24, 24, 24))
    fixed = crop(image, shape=(24, 24, 24))
    moving = crop(image, [4 - s for s in shift], (24, 24, 24))  # moving(x + shift) = fixed(x)
    best = matching(fixed, moving, 1, 2)[0].argmin(0)[2:-2, 2:-2, 2:-2]
    assert (best == displacements(1).index(tuple(s // 2 for s in shift))).all()


def test_gain_offset_and_inversion_of_an_image_change_nothing():
    fixed, moving = crop(texture(1)), crop(texture(2))
    expected = matching(fixed, moving, 1, 2)
    torch.testing.assert_close(matching(0.5 * fixed + 0.2, 1 - moving, 1, 2), expected, rtol=0, atol=1e-3)


def test_pairs_of_a_batch_do_not_see_each_other():
    fixed, moving = torch.cat([crop(texture(1)), crop(texture(2))]), torch.cat([crop(texture(3)), crop(texture(4))])
    both = matching(fixed, moving, 1, 2)
    torch.testing.assert_close(both[1:], matching(fixed[1:], moving[1:], 1, 2))


def test_flat_images_cost_nothing_anywhere():
    flat = torch.full((1, 1, *SHAPE), 0.3)
    assert torch.equal(matching(flat, flat, 1, 2), torch.zeros(1, 27, 6, 8, 10))


def test_no_derivative_goes_through():
    fixed = crop(texture(1)).requires_grad_()
    assert not matching(fixed, crop(texture(2)), 1, 1).requires_grad
