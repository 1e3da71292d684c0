"""Taking folds out, there and nowhere else."""

import numpy as np
import pytest
from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.geometry import Lattice
from LungDeepRegLib.metrics import folded_cells, least_corner_determinant
from LungDeepRegLib.unfolding import LEAST_DETERMINANT, near_cells, unfolded
from scipy.spatial.transform import Rotation

OBLIQUE = Rotation.from_euler("xyz", [15, -20, 10], degrees=True).as_matrix()
DIRECTIONS = {"axial": np.eye(3), "oblique": OBLIQUE, "left-handed": OBLIQUE * [-1, 1, 1]}
each_direction = pytest.mark.parametrize("name", DIRECTIONS)


def lattice(name):
    matrix = np.eye(4)
    matrix[:3, :3] = DIRECTIONS[name] * [2.0, 2.5, 3.0]
    matrix[:3, 3] = [20, -30, 10]
    return Lattice((20, 22, 24), matrix)


def smooth(where):
    return DisplacementField.from_displacement(lambda x: 3 * np.sin(x[:, [2, 0, 1]] / 20) + [50, 0, 0], where)


def with_folds(where):
    """A smooth field in which one voxel is thrown over its neighbours, and a few others against each other."""
    vectors = smooth(where).vectors.copy()
    vectors[10, 11, 12] += where.ijk_to_ras[:3, 0] * 2.5
    vectors[6:8, 6, 6] += np.array([[8], [-8]]) * where.ijk_to_ras[:3, 2] / 4
    return DisplacementField(vectors, where)


@each_direction
def test_a_field_without_folds_is_returned_unchanged(name):
    field = smooth(lattice(name))
    found = unfolded(field)
    np.testing.assert_array_equal(found.vectors, field.vectors)
    assert found.lattice is field.lattice


@each_direction
def test_folds_are_taken_out_and_the_rest_is_left_alone(name):
    field = with_folds(lattice(name))
    before = field.vectors.copy()
    assert folded_cells(field).sum() >= 8
    found = unfolded(field)
    assert least_corner_determinant(found).min() >= LEAST_DETERMINANT
    np.testing.assert_array_equal(field.vectors, before)
    far = np.ones(field.lattice.shape, bool)
    far[2:16, 2:17, 2:18] = False
    np.testing.assert_array_equal(found.vectors[far], before[far])
    # what was smooth there is found again
    assert np.linalg.norm(found.vectors - smooth(field.lattice).vectors, axis=-1).max() < 6


def test_noise_that_folds_everywhere_ends_unfolded():
    where = lattice("oblique")
    noise = np.random.default_rng(0).normal(0, 3, (*where.shape, 3))
    field = DisplacementField(noise, where)
    assert folded_cells(field).mean() > 0.5
    assert not folded_cells(unfolded(field)).any()


def test_weights_are_one_at_the_corners_of_marked_cells_and_end_near_them():
    cells = np.zeros((12, 12, 12), bool)
    cells[5, 6, 4] = True
    weight = near_cells(cells, 2)
    assert weight.shape == (13, 13, 13)
    np.testing.assert_array_equal(weight[5:7, 6:8, 4:6], 1)
    assert 0 < weight[4, 6, 4] < 1
    assert not weight[5, 6, 9:].any()
    assert not weight[:2].any()
