"""The pyramid: every level knows where it is, and looks only where both images are and lung is near."""

import numpy as np
import pytest
import torch
from LungDeepRegLib.displacement_field import lattice_points
from LungDeepRegLib.geometry import Lattice, apply
from LungDeepRegLib.intensity import Intensity
from LungDeepRegLib.preprocessing import prepare
from LungDeepRegLib.pyramid import (
    NEAR_LUNG_MM,
    as_blurred_as_interpolated,
    average,
    evaluation_mask,
    levels,
    padded_to_multiple,
    pooling_steps,
)
from LungDeepRegLib.similarity import parse_similarity
from LungDeepRegLib.volume import Volume
from scipy import ndimage
from scipy.spatial.transform import Rotation

OBLIQUE = Rotation.from_euler("xyz", [15, -20, 10], degrees=True).as_matrix()
CORONAL = np.array([[-1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
UNIT = Intensity("mri", 0.0, 1.0, 0.0, "as the test says")
MATRIX = np.eye(4)
MATRIX[:3, :3] = Rotation.from_euler("z", 10, degrees=True).as_matrix()
MATRIX[:3, 3] = [100, -20, 8]


def lattice(directions, shape, spacing, centre):
    matrix = np.eye(4)
    matrix[:3, :3] = directions * spacing
    matrix[:3, 3] = np.array(centre) - matrix[:3, :3] @ ((np.array(shape[::-1]) - 1) / 2)
    return Lattice(shape, matrix)


FIXED = lattice(OBLIQUE * [-1, 1, 1], (16, 40, 48), (1.5, 1.5, 3.0), (5, 10, -20))
MOVING = lattice(CORONAL, (30, 22, 50), (1.4, 2.9, 1.6), apply(MATRIX, np.array([8.0, 6, -18])))


def ramp_at(points):
    """Between 0.1 and 0.9 in both images, linear in the fixed world."""
    return 0.5 + (points - FIXED.centre_ras) @ np.array([0.004, -0.003, 0.005])


def prepared(where, values, lungs=None):
    return prepare(Volume(values.reshape(where.shape).astype(np.float32), where.ijk_to_ras), UNIT, lungs, 1.0)


def ramps():
    fixed = prepared(FIXED, ramp_at(lattice_points(FIXED)))
    return fixed, prepared(MOVING, ramp_at(apply(np.linalg.inv(MATRIX), lattice_points(MOVING))))


def test_each_level_averages_the_finest_axes_until_they_are_as_coarse_as_the_others():
    found = pooling_steps(FIXED, 3)
    np.testing.assert_array_equal(found, [[2, 2, 1], [2, 2, 2], [2, 2, 2]])
    very_thick = lattice(np.eye(3), (8, 30, 30), (1.0, 1.0, 10.0), (0, 0, 0))
    np.testing.assert_array_equal(pooling_steps(very_thick, 4), [[2, 2, 1], [2, 2, 1], [2, 2, 1], [2, 2, 2]])
    coarse = lattice(np.eye(3), (8, 30, 30), (18.0, 18.0, 30.0), (0, 0, 0))
    np.testing.assert_array_equal(pooling_steps(coarse, 2), [[2, 2, 1], [1, 1, 1]])


def test_padding_goes_on_at_the_end():
    found = padded_to_multiple(FIXED, np.array([7, 8, 20]))
    assert found.shape == (40, 40, 49)
    np.testing.assert_allclose(found.ijk_to_ras, FIXED.ijk_to_ras)


def test_averaging_is_over_blocks_along_i_j_k():
    features = torch.arange(2 * 4 * 6.0).reshape(1, 1, 2, 4, 6)
    found = average(features, np.array([3, 2, 1]))
    torch.testing.assert_close(found[0, 0], features[0, 0].reshape(2, 2, 2, 2, 3).mean(dim=(2, 4)))


def test_blur_is_that_of_an_interpolation_between_voxels():
    image = np.zeros((11, 11, 11), np.float32)
    image[5, 5, 5] = 1
    blurred = as_blurred_as_interpolated(Volume(image, np.eye(4))).array
    assert blurred.sum() == pytest.approx(1, abs=1e-5)
    variances = [(blurred.sum(axis=others) * (np.arange(11) - 5) ** 2).sum() for others in ((1, 2), (0, 2), (0, 1))]
    np.testing.assert_allclose(variances, 1 / 6, atol=0.02)


def test_levels_are_coarsest_first_and_each_knows_where_it_is():
    fixed, moving = ramps()
    found = levels(fixed, moving, fixed.image.lattice, MATRIX, [parse_similarity("mse")] * 3)
    np.testing.assert_allclose([level.lattice.spacing_mm.max() for level in found], [12, 6, 3])
    for level in found:
        assert level.fixed.shape == level.moving.shape == (1, 1, *level.lattice.shape)
        assert level.mask.shape == (1, 1, *level.lattice.shape)
        expected = ramp_at(lattice_points(level.lattice)).reshape(level.lattice.shape)
        # not where border values go on, into which blocks and blur reach
        reach = 0.7 * level.lattice.spacing_mm.max() + 2
        inner = deep_inside(level.lattice, fixed.image.lattice, reach)
        assert inner.sum() > 8
        np.testing.assert_allclose(level.fixed[0, 0].numpy()[inner], expected[inner], atol=1e-3)
        seen = inner & deep_inside(level.lattice, moving.image.lattice, reach, MATRIX)
        assert seen.sum() > 4
        np.testing.assert_allclose(level.moving[0, 0].numpy()[seen], expected[seen], atol=1e-3)


def deep_inside(where, image, reach_mm, matrix=None):
    """Voxels of a lattice that lie this far inside an image, bool ``(K, J, I)``."""
    x = lattice_points(where)
    ijk = apply(image.ras_to_ijk, x if matrix is None else apply(matrix, x))
    margin = reach_mm / image.spacing_mm
    return ((ijk > margin) & (ijk < np.array(image.shape[::-1]) - 1 - margin)).all(axis=-1).reshape(where.shape)


def test_the_finest_level_may_be_the_registration_lattice_itself():
    fixed, moving = ramps()
    lattice_ = fixed.image.lattice
    coarse, fine = levels(fixed, moving, lattice_, MATRIX, [parse_similarity("mse")] * 2, full_resolution=True)
    assert fine.lattice == lattice_
    np.testing.assert_allclose(coarse.lattice.spacing_mm, 3)
    inner = deep_inside(lattice_, lattice_, 4)
    np.testing.assert_allclose(fine.fixed[0, 0].numpy()[inner], fixed.image.array[inner], atol=1e-3)


def test_each_level_has_the_features_of_its_own_similarity():
    fixed, moving = ramps()
    terms = [parse_similarity(text) for text in ("mind", "mse", "mse=1,mind=2")]
    found = levels(fixed, moving, fixed.image.lattice, np.eye(4), terms)
    assert [level.fixed.shape[1] for level in found] == [12, 1, 13]


def test_without_lungs_similarity_counts_where_both_images_are():
    fixed, moving = ramps()
    mask = evaluation_mask(fixed, moving, FIXED, MATRIX)
    expected = MOVING.contains(apply(MATRIX, lattice_points(FIXED))).reshape(FIXED.shape)
    np.testing.assert_array_equal(mask, expected)
    assert 0.2 < mask.mean() < 0.95


def test_similarity_counts_in_and_near_the_lungs_and_where_both_images_are():
    lungs = np.zeros(FIXED.shape, bool)
    lungs[5:11, 10:30, 12:36] = True
    fixed = prepared(FIXED, ramp_at(lattice_points(FIXED)), lungs)
    _, moving = ramps()
    mask = evaluation_mask(fixed, moving, FIXED, MATRIX)
    seen = MOVING.contains(apply(MATRIX, lattice_points(FIXED))).reshape(FIXED.shape)
    distance = ndimage.distance_transform_edt(~lungs, sampling=FIXED.spacing_mm[::-1])
    np.testing.assert_array_equal(mask, seen & (distance <= NEAR_LUNG_MM))


def test_nothing_counts_where_the_images_are_apart():
    fixed, moving = ramps()
    apart = np.eye(4)
    apart[:3, 3] = 1000
    assert not evaluation_mask(fixed, moving, FIXED, apart).any()
