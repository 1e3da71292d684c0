"""Random changes of how an image looks."""

import math

import numpy as np
import pytest
import torch

from training.augmentation import Augmentation, AugmentationError
from training.pairs import Pair

SHAPE = (1, 9, 8, 10)
NONE = {"gamma": 1.0, "bias": 0.0, "noise": 0.0, "blur": 0.0}


def image(seed=0):
    return torch.rand(SHAPE, generator=torch.Generator().manual_seed(seed))


def changed(settings, seed, of=None):
    return Augmentation(**settings)(image() if of is None else of, np.random.default_rng(seed))


def test_settings_of_none_change_nothing():
    for seed in range(5):
        assert torch.equal(changed(NONE, seed), image())


def test_the_generator_alone_decides():
    first = [changed({}, seed) for seed in range(6)]
    torch.manual_seed(99)
    np.random.seed(99)
    assert all(torch.equal(changed({}, seed), found) for seed, found in enumerate(first))
    assert not any(torch.equal(found, first[0]) for found in first[1:] if not torch.equal(found, image()))


def test_global_random_numbers_are_left_alone():
    torch.manual_seed(1)
    np.random.seed(1)
    expected = torch.rand(3), np.random.rand(3)
    torch.manual_seed(1)
    np.random.seed(1)
    for seed in range(4):
        changed({}, seed)
    assert torch.equal(torch.rand(3), expected[0])
    assert np.array_equal(np.random.rand(3), expected[1])


def test_one_number_is_drawn_whatever_the_settings():
    for settings in (NONE, {}):
        random = np.random.default_rng(3)
        Augmentation(**settings)(image(), random)
        ahead = np.random.default_rng(3)
        ahead.integers(2**31)
        assert random.random() == ahead.random()


def test_values_stay_in_range():
    strong = {"gamma": 3.0, "bias": 1.0, "noise": 0.5, "blur": 2.0}
    for seed in range(8):
        found = changed(strong, seed)
        assert found.shape == SHAPE
        assert found.dtype == torch.float32
        assert type(found) is torch.Tensor
        assert 0 <= float(found.min()) <= float(found.max()) <= 1


def shares(setting, amount):
    """Of 60 images, how many a setting alone changes, and those that it did."""
    found = [changed({**NONE, setting: amount}, seed) for seed in range(60)]
    return [one for one in found if not torch.equal(one, image())]


@pytest.mark.parametrize(("setting", "amount"), [("gamma", 1.5), ("bias", 0.3), ("noise", 0.1), ("blur", 0.8)])
def test_each_change_is_made_to_about_half_of_the_images(setting, amount):
    assert 15 <= len(shares(setting, amount)) <= 45


def test_gamma_is_a_power_between_its_bounds():
    """Of an image that begins at 0 and ends at 1."""
    x = (image() - image().min()) / (image().max() - image().min())
    inner = (x > 0.01) & (x < 0.99)
    for seed in range(10):
        found = changed({**NONE, "gamma": 1.5}, seed, x)
        power = found[inner].log() / x[inner].log()
        assert float(power.std()) < 1e-3
        assert 1 / 1.5 - 1e-3 <= float(power.mean()) <= 1.5 + 1e-3


def test_bias_is_smooth_and_bounded():
    half = torch.full(SHAPE, 0.3)
    for seed in range(10):
        field = changed({**NONE, "bias": 0.1}, seed, half) / 0.3
        assert math.exp(-1.0) <= float(field.min()) <= float(field.max()) <= math.exp(1.0)  # 10 terms, each at most 1
        assert float(field.log().diff(n=2, dim=3).diff(dim=3).abs().max()) < 1e-4  # of the second degree


def test_noise_has_at_most_its_deviation():
    half = torch.full((1, 20, 20, 20), 0.5)
    found = [float(changed({**NONE, "noise": 0.1}, seed, half).std()) for seed in range(20)]
    assert max(found) <= 0.1 * 1.02
    assert max(found) > 0.05
    assert any(deviation == 0 for deviation in found)


def test_blur_spreads_a_point_and_keeps_its_sum():
    point = torch.zeros(1, 15, 15, 15)
    point[0, 7, 7, 7] = 1
    found = [changed({**NONE, "blur": 1.0}, seed, point) for seed in range(12)]
    assert any(float(one.max()) < 0.9 for one in found)
    for one in found:
        assert float(one.sum()) == pytest.approx(1, abs=0.01)
        assert torch.equal(one.nonzero().float().mean(0)[1:], torch.full((3,), 7.0))


def test_the_images_of_a_pair_change_independently_and_nothing_else_does():
    noise = Augmentation(**{**NONE, "noise": 0.2})
    pair = Pair.of_images(image(), image(), fixed_lungs=image(1), displacement=image(2).expand(3, -1, -1, -1))
    found = [noise.pair(pair, np.random.default_rng(seed)) for seed in range(10)]
    assert any(not torch.equal(one.fixed, image()) and torch.equal(one.moving, image()) for one in found)
    assert any(
        not torch.equal(one.fixed, image()) and not torch.equal(one.moving, image())
        and not torch.equal(one.fixed, one.moving)
        for one in found
    )  # fmt: skip
    assert all(a is b for one in found for a, b in zip(one[2:], pair[2:], strict=True))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"gamma": 0.8}, "found gamma 0.8 of the augmentation, expected a number of at least 1"),
        ({"noise": -0.1}, "found noise -0.1 of the augmentation, expected a number of at least 0"),
        ({"bias": math.nan}, "found bias nan"),
        ({"blur": math.inf}, "found blur inf"),
    ],
)
def test_settings_that_change_nothing_sensibly_are_refused(settings, said):
    with pytest.raises(AugmentationError, match=said):
        Augmentation(**settings)
