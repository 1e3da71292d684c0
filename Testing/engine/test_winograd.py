"""Convolutions by tiles: the same numbers as by the definition."""

import pytest
import torch
from LungDeepRegLib import winograd
from LungDeepRegLib.winograd import WinogradConvolution, minimal_filtering, part_with_zeros, pays
from torch.nn import functional

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 8e-2}
"""Largest difference that is allowed, relative to the largest value."""


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def by_definition(image, weight, dilation):
    """In float64, ``(K, J, I, O)``."""
    moved = image.double().movedim(-1, 0)[None]
    return functional.conv3d(moved, weight.double(), padding=dilation, dilation=dilation)[0].movedim(0, -1)


def whole(convolve, image):
    return torch.cat([convolve(image, start) for start in range(0, len(image), convolve.planes)])


def test_matrices_filter_a_line():
    a, g, b = minimal_filtering()
    kernel, line = random(3).double(), random(6, seed=1).double()
    expected = torch.stack([kernel @ line[o : o + 3] for o in range(4)])
    torch.testing.assert_close(a @ ((g @ kernel) * (b @ line)), expected)


def test_matrices_are_exact_in_bfloat16():
    a, _, b = minimal_filtering()
    for matrix in (torch.kron(a, a), torch.kron(b, b)):
        assert torch.equal(matrix.bfloat16().double(), matrix)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("dilation", [1, 2, 3])
@pytest.mark.parametrize("shape", [(8, 8, 8), (9, 13, 7), (2, 3, 5), (13, 2, 2)])
def test_the_convolution_is_that_of_the_definition(shape, dilation, dtype):
    image, weight = random(*shape, 5).to(dtype), random(6, 5, 3, 3, 3, seed=1)
    found = whole(WinogradConvolution(weight, dilation, shape, dtype), image)
    assert (found.shape, found.dtype) == ((*shape, 6), dtype)
    expected = by_definition(image, weight, dilation)
    assert (found - expected).abs().max() < TOLERANCE[dtype] * expected.abs().max()


@pytest.mark.parametrize("at_once", [1, 5000])
def test_columns_of_tiles_in_turn_make_no_difference(monkeypatch, at_once):
    shape = (6, 22, 9)
    image, weight = random(*shape, 4), random(3, 4, 3, 3, 3, seed=1)
    together = whole(WinogradConvolution(weight, 1, shape, torch.float32), image)
    monkeypatch.setattr(winograd, "GATHERED_AT_ONCE", at_once)
    in_turn = WinogradConvolution(weight, 1, shape, torch.float32)
    assert in_turn.groups > 1
    torch.testing.assert_close(whole(in_turn, image), together)


def test_some_channels_of_an_image_are_read_where_they_lie():
    shape = (5, 6, 7)
    features, weight = random(*shape, 9), random(3, 4, 3, 3, 3, seed=1)
    convolve = WinogradConvolution(weight, 1, shape, torch.float32)
    expected = whole(convolve, features[..., 2:6].contiguous())
    assert torch.equal(whole(convolve, features[..., 2:6]), expected)


def test_it_pays_for_many_channels_on_lattices_that_tiles_fill():
    shape = (64, 192, 192)
    wide, narrow = torch.empty(128, 290, 3, 3, 3), torch.empty(32, 2, 3, 3, 3)
    assert pays(wide, 1, shape)
    assert not pays(narrow, 1, shape)
    assert not pays(wide, 5, (3, 3, 192))


def test_beyond_an_image_there_are_zeros():
    image = random(4, 5, 3, 2)
    part = part_with_zeros(image, -1, 7, 3, 4)
    assert part.shape == (7, 4, 3, 2)
    assert torch.equal(part[1:5, :2], image[:, 3:])
    assert not part[0].any()
    assert not part[5:].any()
    assert not part[:, 2:].any()
    assert part_with_zeros(image, 1, 2, 0, 5).data_ptr() == image[1].data_ptr()
