"""Random motion of a chest."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from training.synthesis import Motion, SynthesisError
from training.synthesis.motion import LEAST_JACOBIAN, SHRINK, depth, jacobian, softened

SHAPE = (15, 12, 14)
SPACING_MM = torch.tensor([20.0, 18.0, 16.0])
STILL = {"base_mm": 0.0, "coarse_mm": 0.0, "middle_mm": 0.0, "fine_mm": 0.0}


def lungs():
    """Two ellipsoids from plane 3 to plane 11."""
    k, j, i = np.meshgrid(*map(np.arange, SHAPE), indexing="ij")
    sides = [((i - at) / 2.6) ** 2 + ((j - 5.5) / 3.4) ** 2 + ((k - 7) / 4.4) ** 2 < 1 for at in (3.5, 9.5)]
    return torch.from_numpy((sides[0] | sides[1]).astype(np.float32))[None, None]


def sample(seed=0, **settings):
    return Motion(**settings).sample(lungs(), SPACING_MM, np.random.default_rng(seed))


class TestMotion:
    @pytest.mark.parametrize("settings", [{}, {"base_mm": 90.0, "coarse_mm": 60.0, "fine_mm": 40.0, "sliding": 1.0}])
    def test_never_folds(self, settings):
        least = [float(jacobian(sample(seed, **settings), SPACING_MM).amin()) for seed in range(40)]
        assert min(least) >= LEAST_JACOBIAN
        assert max(least) < 1  # nor is it still

    def test_what_would_fold_is_made_smaller_as_a_whole(self):
        large, small = ({**STILL, "coarse_mm": size} for size in (4000.0, 1.0))
        for seed in range(4):
            ratio = sample(seed, **large) / sample(seed, **small)
            assert float(ratio.std()) < 1e-3 * float(ratio.mean())
            steps = math.log(float(ratio.mean()) / 4000) / math.log(SHRINK)
            assert steps == pytest.approx(round(steps), abs=1e-3)
            assert steps >= 5

    def test_of_no_size_is_none(self):
        assert torch.equal(sample(**STILL), torch.zeros(1, 3, *SHAPE))

    def test_depends_on_the_generator_alone(self):
        assert torch.equal(sample(3), sample(3))
        assert not torch.equal(sample(3), sample(4))
        assert sample().shape == (1, 3, *SHAPE)

    @pytest.mark.parametrize("part", ["coarse_mm", "middle_mm", "fine_mm"])
    def test_of_a_part_keeps_to_its_size(self, part):
        """A standard normal number exceeds 4.5 once in 150,000; splines lie between their control values."""
        found = [sample(seed, **{**STILL, part: 3.0}) for seed in range(20)]
        assert max(float(field.abs().max()) for field in found) < 4.5 * 3.0
        assert max(float(field.std()) for field in found) < 3.0
        assert np.mean([float(field.std()) for field in found]) > 0.3

    def test_finer_parts_vary_more(self):
        def steepness(part):
            fields = [sample(seed, **{**STILL, part: 1.0}) for seed in range(12)]
            return np.mean([float(field.diff(dim=4).std() / field.std()) for field in fields])

        assert steepness("coarse_mm") < steepness("middle_mm") < steepness("fine_mm")

    def test_of_breathing_is_most_at_the_base_and_none_at_the_apex(self):
        fields = [sample(seed, **{**STILL, "base_mm": 30.0, "sliding": 0.0}) for seed in range(20)]
        for field in fields:
            assert float(field[:, :, 11:].abs().max()) == 0
            assert float(field[0, 2, 3].abs().mean()) > float(field[0, 2, 8].abs().mean())
            assert float(field[0, 2].abs().mean()) > float(field[0, 1].abs().mean()) * 2
        down = [float(field[0, 2, 3].mean()) for field in fields]
        assert min(down) < -3
        assert max(down) > 3
        assert max(map(abs, down)) < 30 * (1 + 0.6 * 3)

    def test_of_sliding_lungs_ends_at_their_surface(self):
        far = torch.from_numpy(
            ndimage.distance_transform_edt(lungs()[0, 0].numpy() == 0, SPACING_MM.tolist()[::-1]) > 55
        )
        for seed in range(6):
            settings = {**STILL, "base_mm": 30.0}
            with_it, without = (sample(seed, **settings, sliding=share)[0, 2] for share in (1.0, 0.0))
            assert float(with_it[far].abs().max()) < 0.05 * float(without[far].abs().max())
            assert float(with_it.abs().max()) > 0.3 * float(without[lungs()[0, 0] > 0].abs().max())

    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            ({"base_mm": -1.0}, "found base_mm -1.0 in Motion, expected a number of at least 0"),
            ({"fine_mm": math.nan}, "found fine_mm nan"),
            ({"sliding": 1.2}, "found sliding 1.2 in Motion, expected a number from 0 to 1"),
        ],
    )
    def test_of_such_sizes_is_refused(self, settings, said):
        with pytest.raises(SynthesisError, match=said):
            Motion(**settings)


class TestDepth:
    def test_goes_from_the_lungs_top_to_their_bottom(self):
        found = depth(lungs(), 1.0).flatten()
        assert torch.equal(found[:4], torch.ones(4))
        assert torch.equal(found[11:], torch.zeros(4))
        torch.testing.assert_close(found[3:12], torch.linspace(1, 0, 9))
        torch.testing.assert_close(depth(lungs(), 2.0).flatten(), found**2)

    def test_without_lungs_the_whole_lattice_counts(self):
        torch.testing.assert_close(depth(torch.zeros(1, 1, 5, 4, 4), 1.0).flatten(), torch.linspace(1, 0, 5))


class TestSoftened:
    def test_is_a_gaussian_along_each_axis(self):
        sigma = torch.tensor([1.1, 0.7, 2.0])
        expected = lungs()[0, 0].numpy()
        for axis, width in zip((2, 1, 0), sigma.tolist(), strict=True):
            expected = ndimage.gaussian_filter1d(expected, width, axis=axis, mode="constant", truncate=2.5)
        assert softened(lungs(), sigma)[0, 0].numpy() == pytest.approx(expected, abs=1e-5)

    def test_keeps_the_sum_of_what_lies_inside_and_the_value_where_it_is_constant(self):
        mask = torch.zeros(1, 1, 21, 21, 21)
        mask[..., 7:14, 7:14, 7:14] = 1
        soft = softened(mask, torch.tensor([1.0, 2.0, 1.5]))
        assert float(soft.sum()) == pytest.approx(7**3, rel=1e-5)
        assert 0 <= float(soft.min()) <= float(soft.max()) <= 1 + 1e-6
        inner = softened(torch.ones(1, 1, 21, 21, 21), torch.tensor([1.0, 2.0, 1.5]))[..., 5:-5, 5:-5, 5:-5]
        torch.testing.assert_close(inner, torch.ones_like(inner))


class TestJacobian:
    def positions(self):
        at = torch.stack(torch.meshgrid(*map(torch.arange, SHAPE), indexing="ij")[::-1]).float()
        return at * SPACING_MM.reshape(3, 1, 1, 1)

    def test_of_an_affine_map_is_its_determinant(self):
        matrix = torch.tensor([[1.1, 0.2, -0.1], [0.05, 0.9, 0.3], [-0.2, 0.1, 1.2]])
        u = torch.einsum("cd,dkji->ckji", matrix - torch.eye(3), self.positions()) + 7
        found = jacobian(u[None], SPACING_MM)
        torch.testing.assert_close(found, torch.full((1, *SHAPE), float(torch.linalg.det(matrix))), rtol=1e-4, atol=0)

    def test_of_a_quadratic_map_is_exact_within(self):
        x = self.positions()
        u = torch.zeros(1, 3, *SHAPE)
        u[0, 1] = 0.002 * x[1] ** 2
        found = jacobian(u, SPACING_MM)[0]
        torch.testing.assert_close(found[:, 1:-1], 1 + 0.004 * x[1][:, 1:-1], rtol=1e-4, atol=0)

    def test_of_a_mirror_is_negative(self):
        u = torch.zeros(1, 3, *SHAPE)
        u[0, 2] = -2 * self.positions()[2]
        torch.testing.assert_close(jacobian(u, SPACING_MM), -torch.ones(1, *SHAPE), rtol=1e-4, atol=1e-4)
