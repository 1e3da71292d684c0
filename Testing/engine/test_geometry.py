"""Frames and index order: closed form, on every kind of geometry that scanners write."""

import numpy as np
import pytest
import torch
from LungDeepRegLib.geometry import (
    GeometryError,
    Lattice,
    apply,
    canonical_axes,
    canonical_order,
    checked_matrix,
    corner_indices,
    covering_lattice,
    enclosing_lattice,
    index_box,
    orthonormal_axes,
)
from LungDeepRegLib.warp import identity_grid
from scipy.spatial.transform import Rotation

SHAPE = (5, 6, 7)
SPACING = np.array([0.7, 1.5, 4.0])
OBLIQUE = Rotation.from_euler("xyz", [15, -20, 10], degrees=True).as_matrix()
DIRECTIONS = {
    "axial": np.eye(3),
    "oblique": OBLIQUE,
    "left-handed": OBLIQUE * [-1, 1, 1],
    "coronal": np.array([[-1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "sheared": np.array([[1, 0, 0], [0, 1, np.sin(0.3)], [0, 0, np.cos(0.3)]]),
}


def lattice(name, shape=SHAPE):
    matrix = np.eye(4)
    matrix[:3, :3] = DIRECTIONS[name] * SPACING
    matrix[:3, 3] = [30, -120, 55]
    return Lattice(shape, matrix)


each_direction = pytest.mark.parametrize("name", DIRECTIONS)


@each_direction
def test_index_world_and_grid_agree(name):
    where = lattice(name)
    ijk = np.array([[0, 0, 0], [6, 5, 4], [2, 3, 1]])
    world = apply(where.ijk_to_ras, ijk)
    expected = [[30, -120, 55] + DIRECTIONS[name] @ (SPACING * index) for index in ijk]
    np.testing.assert_allclose(world, expected)
    np.testing.assert_allclose(apply(where.ras_to_ijk, world), ijk, atol=1e-9)
    np.testing.assert_allclose(apply(where.grid_to_ras, np.array([[-1.0, -1, -1], [1, 1, 1]])), world[:2])
    np.testing.assert_allclose(apply(where.ras_to_grid, world[:2]), [[-1, -1, -1], [1, 1, 1]], atol=1e-9)
    np.testing.assert_allclose(where.centre_ras, world[:2].mean(axis=0))
    np.testing.assert_allclose(where.spacing_mm, SPACING)


@each_direction
def test_identity_grid_lies_on_the_voxel_centres(name):
    where = lattice(name)
    grid = identity_grid(SHAPE, dtype=torch.float64)
    k, j, i = np.indices(SHAPE)
    np.testing.assert_allclose(
        apply(where.grid_to_ras, grid).numpy(), apply(where.ijk_to_ras, np.stack([i, j, k], -1)), atol=1e-9
    )


def test_voxel_volume_counts_shear_and_has_no_sign():
    assert lattice("left-handed").voxel_volume_mm3 == pytest.approx(SPACING.prod())
    assert lattice("sheared").voxel_volume_mm3 == pytest.approx(SPACING.prod() * np.cos(0.3))


@each_direction
def test_a_lattice_reaches_half_a_voxel_beyond_its_outer_centres(name):
    where = lattice(name)
    for outside, expected in ((0.49, True), (0.51, False)):
        low, high = [-outside, 2, 2], [3, 5 + outside, 2]
        np.testing.assert_array_equal(where.contains(apply(where.ijk_to_ras, np.array([low, high]))), expected)
    assert where.contains(apply(where.ijk_to_ras, corner_indices(SHAPE))).all()


def test_equal_lattices_are_at_the_same_place():
    where = lattice("oblique")
    moved = where.ijk_to_ras.copy()
    moved[2, 3] += 1e-5
    assert where == Lattice(SHAPE, moved)
    moved[2, 3] += 0.01
    assert where != Lattice(SHAPE, moved)
    assert where != lattice("oblique", (5, 6, 8))
    assert where != lattice("left-handed")
    assert where != "a lattice"


def test_the_matrix_is_a_copy_that_nobody_can_change():
    matrix = np.eye(4)
    where = Lattice(SHAPE, matrix)
    matrix[0, 3] = 5
    assert where.ijk_to_ras[0, 3] == 0
    with pytest.raises(ValueError, match="read-only"):
        where.ijk_to_ras[0, 3] = 5


@pytest.mark.parametrize("shape", [(1, 5, 5), (5, 5, 0), (5, 5), (2, 2, 2, 2)])
def test_shapes_of_no_image_are_refused(shape):
    with pytest.raises(GeometryError, match="at least 2 voxels"):
        Lattice(shape, np.eye(4))


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.eye(3), "expected 4x4"),
        (np.diag([1, 1, np.nan, 1]), "finite"),
        (np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0.5, 1]]), "last row"),
        (np.diag([1.0, 0.0, 1.0, 1.0]), "spacing"),
        (np.diag([1.0, 250.0, 1.0, 1.0]), "spacing"),
        (np.array([[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), "not independent"),
    ],
)
def test_matrices_of_no_geometry_are_refused(matrix, message):
    with pytest.raises(GeometryError, match=message):
        checked_matrix(matrix)


def test_apply_is_the_same_for_numpy_and_torch_and_keeps_precision():
    points = np.random.default_rng(0).normal(size=(2, 4, 3))
    matrix = lattice("oblique").ijk_to_ras
    expected = apply(matrix, points)
    np.testing.assert_allclose(apply(matrix, torch.from_numpy(points)).numpy(), expected)
    assert apply(matrix, torch.from_numpy(points).float()).dtype == torch.float32


def test_corners_are_in_the_order_of_indices():
    assert {tuple(c) for c in corner_indices(SHAPE)} == {(i, j, k) for i in (0, 6) for j in (0, 5) for k in (0, 4)}
    outer = corner_indices(SHAPE, outer=True)
    np.testing.assert_allclose([outer.min(axis=0), outer.max(axis=0)], [[-0.5] * 3, [6.5, 5.5, 4.5]])


def test_canonical_order_of_a_coronal_series():
    # i runs to the left, j downwards, k to the front
    order, signs = canonical_order(lattice("coronal").ijk_to_ras)
    assert order == [0, 2, 1]
    np.testing.assert_array_equal(signs, [-1, 1, -1])


@each_direction
def test_canonical_axes_are_near_those_of_the_world_and_orthonormal(name):
    axes = canonical_axes(lattice(name).ijk_to_ras)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1)
    assert (np.diag(axes) > 0.9).all()


def test_canonical_axes_keep_obliquity():
    np.testing.assert_allclose(canonical_axes(lattice("oblique").ijk_to_ras), OBLIQUE, atol=1e-12)
    np.testing.assert_allclose(canonical_axes(lattice("left-handed").ijk_to_ras), OBLIQUE, atol=1e-12)
    np.testing.assert_allclose(canonical_axes(lattice("coronal").ijk_to_ras), np.eye(3), atol=1e-12)


def test_orthonormal_axes_share_a_shear_between_both_axes():
    # the columns are 90 - 17.2 degrees apart; each gives half of that
    axes = orthonormal_axes(lattice("sheared").ijk_to_ras)
    half = 0.15
    expected = [[1, 0, 0], [0, np.cos(half), np.sin(half)], [0, -np.sin(half), np.cos(half)]]
    np.testing.assert_allclose(axes, expected, atol=1e-12)


@each_direction
def test_a_covering_lattice_encloses_with_its_margin(name):
    where = lattice(name)
    cover = covering_lattice(where, 1.3, 2.0)
    np.testing.assert_allclose(cover.spacing_mm, 1.3)
    np.testing.assert_allclose(cover.ijk_to_ras[:3, :3] / 1.3, canonical_axes(where.ijk_to_ras), atol=1e-12)
    ijk = apply(cover.ras_to_ijk, apply(where.ijk_to_ras, corner_indices(SHAPE, outer=True)))
    beyond = np.minimum(ijk.min(axis=0), np.array(cover.shape[::-1]) - 1 - ijk.max(axis=0)) * 1.3
    assert (beyond >= 2.0 - 1e-9).all()
    assert (beyond < 2.0 + 1.3).all()


def test_an_enclosing_lattice_of_one_point_has_two_voxels_along_each_axis():
    cover = enclosing_lattice(np.array([[3.0, 4.0, 5.0]]), np.eye(3), 2.0, 0.0)
    assert cover.shape == (2, 2, 2)
    np.testing.assert_allclose(cover.centre_ras, [3, 4, 5])


@each_direction
def test_index_box_begins_anywhere(name):
    where = lattice(name)
    box = index_box(where, np.array([-2, 1, 3]), np.array([4, 5, 6]))
    assert box.shape == (6, 5, 4)
    np.testing.assert_allclose(
        apply(box.ijk_to_ras, np.array([1, 2, 3])), apply(where.ijk_to_ras, np.array([-1, 3, 6])), atol=1e-9
    )


@each_direction
def test_blocks_lie_in_the_middle_of_their_voxels(name):
    where = lattice(name)
    blocks = index_box(where, np.array([1, 0, 0]), np.array([2, 2, 2]), np.array([3, 2, 1]))
    np.testing.assert_allclose(
        apply(blocks.ijk_to_ras, np.array([1, 1, 1])), apply(where.ijk_to_ras, np.array([5, 2.5, 1])), atol=1e-9
    )
