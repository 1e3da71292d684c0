"""The transformation type: closed form on every geometry, then SimpleITK; the inverse round trip."""

import numpy as np
import pytest
import SimpleITK as sitk
from LungDeepRegLib.displacement_field import DisplacementField, FieldError, lattice_points
from LungDeepRegLib.geometry import LPS_TO_RAS, Lattice, apply, covering_lattice, index_box
from LungDeepRegLib.inversion import affine_fit, inverse_points, invert
from LungDeepRegLib.volume import Volume
from scipy.spatial.transform import Rotation

OBLIQUE = Rotation.from_euler("xyz", [15, -20, 10], degrees=True).as_matrix()
DIRECTIONS = {
    "axial": np.eye(3),
    "oblique": OBLIQUE,
    "left-handed": OBLIQUE * [-1, 1, 1],
    "coronal": np.array([[-1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
}
each_direction = pytest.mark.parametrize("name", DIRECTIONS)


def lattice(name, shape=(10, 12, 11), spacing=(2.0, 1.5, 3.0), centre=(10, -40, 25)):
    matrix = np.eye(4)
    matrix[:3, :3] = DIRECTIONS[name] * spacing
    matrix[:3, 3] = np.array(centre) - matrix[:3, :3] @ ((np.array(shape[::-1]) - 1) / 2)
    return Lattice(shape, matrix)


def noise(where, seed=0):
    array = np.random.default_rng(seed).integers(-1024, 3000, where.shape).astype(np.int16)
    return Volume(array, where.ijk_to_ras, "moving")


def affine(degrees=20.0, offset=(100.0, -30.0, 20.0)):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(np.radians(degrees) * np.array([1, 2, -1]) / 6**0.5).as_matrix() * 1.05
    matrix[:3, 3] = offset
    return matrix


def wavy(where, matrix=None):
    """A smooth map, on top of an affine one."""
    matrix = np.eye(4) if matrix is None else matrix
    return DisplacementField.from_displacement(
        lambda x: apply(matrix, x + 2 * np.sin(x[:, [1, 2, 0]] / 15)) - x, covering_lattice(where, 2.5, 5.0)
    )


# --- what a field may be


@pytest.mark.parametrize("shape", [(10, 12, 11), (3, 10, 12, 11), (10, 12, 10, 3)])
def test_vectors_of_another_shape_are_refused(shape):
    with pytest.raises(FieldError, match="found vectors of shape"):
        DisplacementField(np.zeros(shape), lattice("axial"))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_vectors_that_are_no_numbers_are_refused(bad):
    vectors = np.zeros((10, 12, 11, 3))
    vectors[3, 3, 3, 1] = bad
    with pytest.raises(FieldError, match="NaN or infinite"):
        DisplacementField(vectors, lattice("axial"))


# --- the map


@each_direction
def test_points_of_a_lattice_run_fastest_along_i(name):
    where = lattice(name)
    points = lattice_points(where)
    np.testing.assert_allclose(points[1], apply(where.ijk_to_ras, np.array([1, 0, 0])))
    np.testing.assert_allclose(points[11], apply(where.ijk_to_ras, np.array([0, 1, 0])))
    np.testing.assert_allclose(points[132], apply(where.ijk_to_ras, np.array([0, 0, 1])))


@each_direction
def test_an_affine_field_is_its_matrix_between_the_voxels(name):
    where = lattice(name)
    field = DisplacementField.from_matrix(affine(), where)
    ijk = np.random.default_rng(0).uniform(0, [10, 11, 9], (50, 3))
    points = apply(where.ijk_to_ras, ijk)
    np.testing.assert_allclose(field(points), apply(affine(), points), atol=1e-4)
    np.testing.assert_allclose(field(points.reshape(5, 10, 3)), apply(affine(), points).reshape(5, 10, 3), atol=1e-4)


def test_beyond_the_lattice_the_border_displacement_goes_on():
    where = lattice("oblique")
    field = wavy(where)
    border = apply(field.lattice.ijk_to_ras, np.array([[0.0, 4, 5]]))
    beyond = apply(field.lattice.ijk_to_ras, np.array([[-7.0, 4, 5]]))
    np.testing.assert_allclose(field(beyond) - beyond, field(border) - border, atol=1e-6)


@pytest.mark.parametrize("at", [[3.3, 4.6, 5.5], [-7, 4, 5], [40, 41.5, 42], [0, 0, 0]])
def test_a_point_alone_goes_where_it_goes_among_all(at):
    field = wavy(lattice("oblique"))
    around = apply(field.lattice.ijk_to_ras, np.concatenate([[at], np.random.default_rng(0).uniform(-9, 30, (50, 3))]))
    np.testing.assert_allclose(field(around[:1]), field(around)[:1], atol=1e-9)


def test_no_points_go_nowhere():
    assert wavy(lattice("oblique"))(np.empty((0, 3))).shape == (0, 3)


@each_direction
def test_the_map_on_another_lattice_is_the_same_map(name):
    field = DisplacementField.from_matrix(affine(), covering_lattice(lattice("axial"), 3.0, 12.0))
    other = field.on(lattice(name))
    x = lattice_points(other.lattice)
    np.testing.assert_allclose(other.vectors.reshape(-1, 3), apply(affine(), x) - x, atol=1e-3)


# --- warped(x) = moving(phi(x))


@each_direction
def test_identity_in_identity_out(name):
    moving = noise(lattice(name))
    still = DisplacementField.from_matrix(np.eye(4), covering_lattice(moving.lattice, 5.0, 5.0))
    assert not still.vectors.any()
    warped, covered = still.warp(moving, moving.lattice, fill=-1024)
    assert covered.all()
    np.testing.assert_allclose(warped.array, moving.array, atol=2e-2)
    labels, _ = still.warp(moving, moving.lattice, fill=0, mode="nearest")
    np.testing.assert_array_equal(labels.array, moving.array)
    assert labels.array.dtype == np.int16


@each_direction
def test_a_translation_by_whole_voxels_and_its_fill(name):
    moving = noise(lattice(name))
    before = moving.array.copy()
    matrix = np.eye(4)
    matrix[:3, 3] = moving.ijk_to_ras[:3, :3] @ [2, 0, -1]
    field = DisplacementField.from_matrix(matrix, covering_lattice(moving.lattice, 5.0, 5.0))
    warped, covered = field.warp(moving, moving.lattice, fill=-2000)
    np.testing.assert_allclose(warped.array[1:, :, :-2], moving.array[:-1, :, 2:], atol=2e-2)
    expected = np.ones(covered.shape, bool)
    expected[:1], expected[:, :, -2:] = False, False
    np.testing.assert_array_equal(covered, expected)
    np.testing.assert_array_equal(warped.array[~covered], -2000)
    np.testing.assert_array_equal(moving.array, before)


@pytest.mark.parametrize(("voxels", "covered_planes"), [(0.45, 11), (0.55, 10)])
def test_half_a_voxel_beyond_the_last_centre_is_still_covered(voxels, covered_planes):
    moving = noise(lattice("oblique"))
    matrix = np.eye(4)
    matrix[:3, 3] = moving.ijk_to_ras[:3, 0] * voxels
    _, covered = DisplacementField.from_matrix(matrix, moving.lattice).warp(moving, moving.lattice, fill=0)
    assert covered.sum() == covered_planes * 120


def itk_volume(volume, vectors=None):
    """A volume, or vectors in RAS on its lattice, as SimpleITK has it."""
    array = volume.array if vectors is None else vectors * [-1.0, -1, 1]
    image = sitk.GetImageFromArray(array, isVector=vectors is not None)
    matrix = LPS_TO_RAS @ volume.ijk_to_ras
    image.SetSpacing(volume.lattice.spacing_mm.tolist())
    image.SetDirection((matrix[:3, :3] / volume.lattice.spacing_mm).ravel().tolist())
    image.SetOrigin(matrix[:3, 3].tolist())
    return image


@each_direction
@pytest.mark.parametrize("other", ["coronal", "oblique"])
def test_warping_equals_that_of_simpleitk(name, other):
    moving = noise(lattice(other, (16, 14, 15), (2.2, 2.0, 2.5), (60, -50, 30)))
    fixed = lattice(name)
    field = wavy(fixed, affine(12, (52, -12, 3)))
    warped, covered = field.warp(moving, fixed, fill=-5000)
    reference = Volume(np.zeros(fixed.shape, np.float32), fixed.ijk_to_ras)
    grid = Volume(np.zeros(field.lattice.shape), field.lattice.ijk_to_ras)
    transform = sitk.DisplacementFieldTransform(itk_volume(grid, field.vectors.astype(np.float64)))
    image = sitk.Cast(itk_volume(moving), sitk.sitkFloat32)
    expected = sitk.GetArrayFromImage(sitk.Resample(image, itk_volume(reference), transform, sitk.sitkLinear, -5000.0))
    assert 0.2 < covered.mean() < 1
    assert (covered == (expected != -5000)).mean() > 0.999
    both = covered & (expected != -5000)
    np.testing.assert_allclose(warped.array[both], expected[both], atol=1.0)


# --- affine part and inverse


@each_direction
def test_the_affine_fit_of_an_affine_field_is_its_matrix(name):
    field = DisplacementField.from_matrix(affine(), lattice(name))
    np.testing.assert_allclose(affine_fit(field, stride=2), affine(), atol=1e-4)


def test_the_inverse_of_a_large_rotation_and_offset_leads_back():
    fixed = lattice("oblique", (20, 24, 22))
    field = wavy(fixed, affine(20.0, (100, -30, 20)))
    x = apply(fixed.ijk_to_ras, np.random.default_rng(0).uniform(0, [21, 23, 19], (200, 3)))
    back, residual = inverse_points(field, field(x))
    np.testing.assert_allclose(back, x, atol=0.01)
    assert residual.max() < 0.01
    moving = lattice("coronal", (9, 9, 9), (2, 2, 2), field(fixed.centre_ras[None])[0])
    inverse, left = invert(field, moving)
    assert left.shape == moving.shape
    assert left.max() < 0.05
    points = lattice_points(moving)
    np.testing.assert_allclose(field(inverse(points)), points, atol=0.05)


def test_what_cannot_be_inverted_says_so():
    where = lattice("axial", (12, 12, 12), (2, 2, 2), (0, 0, 0))
    # everything lands on the plane R = 0: no other point has an x
    flat = DisplacementField.from_displacement(lambda x: x * [-0.999, 0, 0], where)
    _, residual = inverse_points(flat, np.array([[8.0, 0, 0], [0.0, 0, 0]]), iterations=20)
    assert residual[1] < 0.01
    assert residual[0] > 1 or not np.isfinite(residual[0])


def test_slabs_of_a_lattice_join_without_a_seam():
    moving = noise(lattice("oblique"))
    field = wavy(moving.lattice)
    whole, _ = field.warp(moving, moving.lattice, fill=0)
    upper = index_box(moving.lattice, np.array([0, 0, 5]), np.array([11, 12, 5]))
    part, _ = field.warp(moving, upper, fill=0)
    np.testing.assert_allclose(part.array, whole.array[5:], atol=1e-2)
