"""Random smooth maps by cubic B-splines."""

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline

from training.synthesis.free_form import random_free_form, spline_basis

AXES = [(7, 2.5), (30, 4.0), (12, 30.0), (25, 0.7), (2, 3.0)]


def control_positions(points, spacing, controls):
    """Where the control points are, in voxels."""
    return (np.arange(controls) - (controls - 1) / 2) * spacing + (points - 1) / 2


@pytest.mark.parametrize(("points", "spacing"), AXES)
class TestBasis:
    def test_is_the_cubic_b_spline_of_each_control_point(self, points, spacing):
        basis = spline_basis(points, spacing)
        at = control_positions(points, spacing, basis.shape[1])
        distance = (np.arange(points)[:, None] - at) / spacing
        expected = np.nan_to_num(BSpline.basis_element([-2, -1, 0, 1, 2], extrapolate=False)(distance))
        assert basis == pytest.approx(expected, abs=1e-6)

    def test_rows_have_the_sum_one(self, points, spacing):
        basis = spline_basis(points, spacing)
        assert basis.min() >= 0
        assert basis.sum(axis=1) == pytest.approx(1, abs=1e-6)

    def test_linear_functions_are_reproduced(self, points, spacing):
        basis = spline_basis(points, spacing)
        controls = 3 - 0.5 * control_positions(points, spacing, basis.shape[1])
        assert basis @ controls == pytest.approx(3 - 0.5 * np.arange(points), abs=1e-4)

    def test_both_ends_are_alike(self, points, spacing):
        assert spline_basis(points, spacing)[::-1, ::-1] == pytest.approx(spline_basis(points, spacing), abs=1e-6)


def test_a_finer_axis_shows_the_same_function_with_continuous_second_derivatives():
    points, spacing, finer = 13, 4.0, 20
    coarse, fine = spline_basis(points, spacing), spline_basis((points - 1) * finer + 1, spacing * finer).astype(float)
    assert fine[::finer] == pytest.approx(coarse, abs=1e-6)
    random = np.random.default_rng(0)
    values = fine @ random.normal(size=fine.shape[1])
    step = 1 / (spacing * finer)  # in units of the control points' distance
    second = np.diff(values, 2) / step**2
    jump = np.abs(np.diff(second)).max()
    assert jump < 3 * step * 10 + 0.5 * np.abs(second).max() * step * 10  # no more than a bounded third derivative


class TestFields:
    def test_depend_on_the_generator_alone(self):
        first = random_free_form((6, 7, 8), torch.tensor([2.0, 3, 4]), (20, 20, 20), np.random.default_rng(1))
        torch.manual_seed(5)
        again = random_free_form((6, 7, 8), torch.tensor([2.0, 3, 4]), (20, 20, 20), np.random.default_rng(1))
        other = random_free_form((6, 7, 8), torch.tensor([2.0, 3, 4]), (20, 20, 20), np.random.default_rng(2))
        assert first.shape == (1, 3, 6, 7, 8)
        assert torch.equal(first, again)
        assert not torch.equal(first, other)

    def test_are_sums_over_standard_normal_control_points(self):
        shape, spacing_mm, control_mm = (6, 7, 8), torch.tensor([2.0, 3.0, 4.0]), (9.0, 10.0, 15.0)
        found = random_free_form(shape, spacing_mm, control_mm, np.random.default_rng(3))
        bases = [spline_basis(8, 4.5), spline_basis(7, 10 / 3), spline_basis(6, 3.75)]  # i, j, k
        controls = np.random.default_rng(3).standard_normal((3, *(b.shape[1] for b in bases[::-1])), dtype=np.float32)
        expected = np.einsum("czyx,kz,jy,ix->ckji", controls, *bases[::-1])
        assert found[0].numpy() == pytest.approx(expected, abs=1e-5)

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_vary_along_the_axis_whose_control_points_are_near(self, axis):
        control_mm = [400.0, 400.0, 400.0]
        control_mm[axis] = 6.0
        field = random_free_form((14, 15, 16), torch.tensor([3.0, 2, 2.5]), tuple(control_mm), np.random.default_rng(0))
        steps = [float(field.diff(dim=4 - d).abs().mean()) for d in range(3)]
        assert steps[axis] > 5 * max(steps[:axis] + steps[axis + 1 :])
