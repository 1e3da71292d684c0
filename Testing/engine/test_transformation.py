"""The written field: it is phi, it encloses the fixed image, and goes on without folding."""

import numpy as np
import pytest
from LungDeepRegLib.displacement_field import DisplacementField, lattice_points
from LungDeepRegLib.geometry import Lattice, apply, corner_indices, covering_lattice, index_box, orthonormal_axes
from LungDeepRegLib.metrics import folded_cells
from LungDeepRegLib.transformation import extended, written_field
from scipy.spatial.transform import Rotation

OBLIQUE = Rotation.from_euler("xyz", [15, -20, 10], degrees=True).as_matrix()
DIRECTIONS = {
    "axial": np.eye(3),
    "oblique": OBLIQUE,
    "left-handed": OBLIQUE * [-1, 1, 1],
    "coronal": np.array([[-1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "sheared": np.array([[1, 0, 0], [0, 1, np.sin(0.3)], [0, 0, np.cos(0.3)]]),
}
each_direction = pytest.mark.parametrize("name", DIRECTIONS)
ROTATED = np.eye(4)
ROTATED[:3, :3] = Rotation.from_euler("zyx", [20, 5, -4], degrees=True).as_matrix()
ROTATED[:3, 3] = [100, -20, 35]


def lattice(name, shape=(14, 24, 22), spacing=(2.0, 1.5, 3.0)):
    matrix = np.eye(4)
    matrix[:3, :3] = DIRECTIONS[name] * spacing
    matrix[:3, 3] = [30, -120, 55]
    return Lattice(shape, matrix)


def corners(fixed):
    return apply(fixed.ijk_to_ras, corner_indices(fixed.shape, outer=True))


def margin_mm(outer, fixed):
    """Least distance from the fixed image's corners to the outermost voxel centres."""
    ijk = apply(outer.ras_to_ijk, corners(fixed))
    return (np.minimum(ijk.min(axis=0), np.array(outer.shape[::-1]) - 1 - ijk.max(axis=0)) * outer.spacing_mm).min()


def bump(where, centre, amount=(0, 0, 6.0)):
    """A smooth displacement that has died away some 12 mm from its centre."""
    return DisplacementField.from_displacement(
        lambda x: np.exp(-((np.linalg.norm(x - centre, axis=1) / 6) ** 2))[:, None] * np.array(amount), where
    )


@each_direction
def test_the_identity_is_written_as_exactly_zero(name):
    phi = written_field(np.eye(4), None, lattice(name))
    assert not phi.vectors.any()


@each_direction
@pytest.mark.parametrize("part", [None, "inner"])
def test_the_lattice_encloses_the_fixed_image_with_a_margin(name, part):
    fixed = lattice(name)
    residual = None
    if part:
        inner = index_box(fixed, np.array([6, 7, 4]), np.array([9, 8, 7]))
        residual = bump(inner, inner.centre_ras)
    phi = written_field(ROTATED, residual, fixed)
    assert margin_mm(phi.lattice, fixed) >= min(phi.lattice.spacing_mm) * 0.999
    axes = phi.lattice.ijk_to_ras[:3, :3] / phi.lattice.spacing_mm
    np.testing.assert_allclose(axes, orthonormal_axes(axes), atol=1e-4)  # ITK holds no shear


@each_direction
def test_an_alignment_alone_is_its_matrix_over_the_whole_image(name):
    fixed = lattice(name)
    phi = written_field(ROTATED, None, fixed)
    points = np.concatenate([corners(fixed), lattice_points(fixed)])
    np.testing.assert_allclose(phi(points), apply(ROTATED, points), atol=1e-3)


@each_direction
def test_the_alignment_acts_on_what_the_residual_displaced(name):
    fixed = lattice(name)
    inner = index_box(fixed, np.array([3, 3, 2]), np.array([16, 18, 10]))
    v = bump(inner, inner.centre_ras)
    phi = written_field(ROTATED, v, fixed)
    x = lattice_points(inner)
    expected = apply(ROTATED, x + v.vectors.reshape(-1, 3))
    # a sheared lattice is resampled, the others keep their voxel centres
    np.testing.assert_allclose(phi(x), expected, atol=0.8 if name == "sheared" else 1e-3)
    assert np.abs(phi(x) - apply(ROTATED, x)).max() > 5


@each_direction
def test_outside_the_residual_goes_on_without_folding(name):
    fixed = lattice(name)
    inner = index_box(fixed, np.array([6, 7, 4]), np.array([9, 8, 6]))
    v = DisplacementField.from_displacement(lambda x: 4 * np.sin((x - inner.centre_ras) / 25), inner)
    phi = written_field(ROTATED, v, fixed)
    assert not folded_cells(phi).any()
    # the border's displacement, not zero: no jump
    beyond = apply(inner.ijk_to_ras, np.array([[-4.0, 3, 3]]))
    border = apply(inner.ijk_to_ras, np.array([[0.0, 3, 3]]))
    if name != "sheared":
        np.testing.assert_allclose(phi(beyond), apply(ROTATED, beyond + v(border) - border), atol=1e-3)


@pytest.mark.parametrize("name", ["axial", "oblique", "left-handed", "coronal"])
def test_an_extended_lattice_keeps_its_voxel_centres(name):
    fixed = lattice(name)
    inner = index_box(lattice("oblique"), np.array([4, -5, 3]), np.array([9, 8, 7]))
    outer = extended(inner, fixed)
    ijk = apply(outer.ras_to_ijk, lattice_points(inner))
    np.testing.assert_allclose(ijk, ijk.round(), atol=1e-6)
    assert (ijk.round() >= 0).all()
    assert (ijk.round() <= np.array(outer.shape[::-1]) - 1).all()
    assert margin_mm(outer, fixed) >= 0.999 * outer.spacing_mm.min()


def test_a_lattice_larger_than_the_fixed_image_is_kept_whole():
    fixed = lattice("oblique")
    wide = covering_lattice(fixed, 4.0, 40.0)
    outer = extended(wide, fixed)
    assert all(a >= b for a, b in zip(outer.shape, wide.shape, strict=True))
