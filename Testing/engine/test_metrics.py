import numpy as np
import pytest
from LungDeepRegLib.displacement_field import DisplacementField, lattice_points
from LungDeepRegLib.geometry import Lattice, apply
from LungDeepRegLib.metrics import (
    Distribution,
    any_corner,
    consistency_mm,
    dice,
    folded_cells,
    folded_percent,
    jacobian_determinant,
    landmark_errors,
)
from scipy.spatial.transform import Rotation

SHEAR = np.array([[0.5, 1.0, 0.0], [1.0, 0.5, 0.0], [0.0, 0.0, 1.0]])


def lattice(*, left_handed=False, shape=(5, 6, 7)):
    """Oblique and anisotropic, of either handedness."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", [20, -35, 10], degrees=True).as_matrix() * [1.5, 3.0, 5.0]
    if left_handed:
        matrix[:3, 0] *= -1
    matrix[:3, 3] = [-30.5, 12.25, -1400]
    return Lattice(shape, matrix)


def linear(matrix, where, offset=(0, 0, 0)):
    """The field of x -> matrix x + offset."""
    full = np.eye(4)
    full[:3, :3], full[:3, 3] = matrix, offset
    return DisplacementField.from_matrix(full, where)


def still(where):
    return DisplacementField(np.zeros((*where.shape, 3)), where)


class TestDice:
    def test_same_half_and_disjoint(self):
        a = np.array([1, 1, 0, 0], bool)
        assert dice(a, a) == 1
        assert dice(a, np.array([0, 1, 1, 0], bool)) == 0.5
        assert dice(a, ~a) == 0
        assert dice(a, np.ones(4, bool)) == pytest.approx(4 / 6)

    def test_nothing_in_either_is_not_a_number(self):
        assert np.isnan(dice(np.zeros(4, bool), np.zeros(4, bool)))


def test_distribution_of_known_numbers():
    found = Distribution.of(np.arange(1, 102, dtype=float))
    assert (found.mean, found.median, found.p95, found.max) == (51, 51, 96, 101)
    assert found.sd == pytest.approx(np.sqrt((101**2 - 1) / 12))


def test_landmark_errors_are_absolute_along_the_axes_and_euclidean():
    errors = landmark_errors(np.array([[0.0, 0, 0], [1, 1, 1]]), np.array([[3.0, -4, 0], [1, 1, 13]]))
    assert [errors[name].mean for name in ("dx", "dy", "dz", "ds")] == [1.5, 2, 6, 8.5]
    assert errors["ds"].max == 12


@pytest.mark.parametrize("left_handed", [False, True])
class TestJacobian:
    def test_identity_and_translation_keep_volume(self, left_handed):
        where = lattice(left_handed=left_handed)
        assert np.allclose(jacobian_determinant(still(where)), 1, atol=1e-6)
        assert np.allclose(jacobian_determinant(linear(np.eye(3), where, (35, -20, 7))), 1, atol=1e-4)

    @pytest.mark.parametrize(
        ("matrix", "expected"),
        [
            (np.diag([1.2, 0.9, 1.5]), 1.62),
            (np.array([[1, 0.7, 0], [0, 1, 0], [0, 0, 1.0]]), 1.0),
            (Rotation.from_rotvec([0.2, -0.1, 0.3]).as_matrix(), 1.0),
            (np.diag([-1.0, 1, 1]), -1.0),
            (SHEAR, -0.75),
        ],
        ids=["scaling", "shear", "rotation", "reflection", "shear that folds"],
    )
    def test_linear_maps_have_their_determinant(self, left_handed, matrix, expected):
        field = linear(matrix, lattice(left_handed=left_handed))
        assert np.allclose(jacobian_determinant(field), expected, atol=2e-3)
        assert folded_percent(field) == (100 if expected <= 0 else 0)

    def test_quadratic_map(self, left_handed):
        # u_S = 0.002 s^2 around the middle: the determinant is 1 + 0.004 s; central differences are exact inside.
        where = lattice(left_handed=left_handed)
        middle = where.centre_ras
        field = DisplacementField.from_displacement(lambda x: 0.002 * (x - middle) ** 2 * [0, 0, 1], where)
        s = (lattice_points(where) - middle)[:, 2].reshape(where.shape)
        inner = (slice(1, -1),) * 3
        assert np.allclose(jacobian_determinant(field)[inner], (1 + 0.004 * s)[inner], atol=2e-3)


class TestFolding:
    def test_gradients_above_zero_along_each_axis_can_fold(self):
        field = linear(SHEAR, Lattice((4, 4, 4), np.eye(4)))
        assert all((np.diff(field.vectors[..., d], axis=2 - d) + 1 > 0).all() for d in range(3))
        assert folded_cells(field).all()

    def test_a_fold_that_central_differences_overlook(self):
        # Along i, node 3 goes 1.2 voxels back: it passes node 2, while (node 4 - node 2) / 2 is still 1.
        where = Lattice((4, 4, 7), np.diag([2.0, 2, 2, 1]))
        vectors = np.zeros((4, 4, 7, 3))
        vectors[:, :, 3, 0] = -1.2 * 2
        field = DisplacementField(vectors, where)
        assert jacobian_determinant(field)[:, :, 3] == pytest.approx(1)
        assert folded_cells(field).nonzero()[2].tolist() == [2] * 9
        assert folded_percent(field) == pytest.approx(100 / 6)

    def test_a_collapsed_cell_is_folded(self):
        assert folded_percent(linear(np.diag([0.0, 1, 1]), Lattice((3, 3, 3), np.eye(4)))) == 100

    def test_a_region_counts_the_cells_that_it_touches(self):
        vectors = np.zeros((4, 4, 7, 3))
        vectors[:, :, 3, 0] = -1.2
        field = DisplacementField(vectors, Lattice((4, 4, 7), np.eye(4)))
        region = np.zeros((4, 4, 7), bool)
        assert np.isnan(folded_percent(field, region))
        region[0, 0, 0] = True
        assert folded_percent(field, region) == 0
        region[0, 0, 2] = True  # cells 0, 1 and 2 along i, of which 2 is folded
        assert folded_percent(field, region) == pytest.approx(100 / 3)

    def test_any_corner(self):
        voxels = np.zeros((3, 3, 3), bool)
        voxels[1, 1, 1] = True
        assert any_corner(voxels).all()
        assert any_corner(voxels).shape == (2, 2, 2)
        voxels[1, 1, 1], voxels[0, 0, 0] = False, True
        assert any_corner(voxels).sum() == 1


class TestConsistency:
    def test_there_and_back(self):
        where = lattice()
        points = apply(where.grid_to_ras, np.random.default_rng(0).uniform(-0.3, 0.3, (50, 3)))
        forth, back = linear(np.eye(3), where, (3, 0, -4)), linear(np.eye(3), where, (-3, 0, 4))
        assert np.allclose(consistency_mm(forth, back, points), 0, atol=1e-4)
        assert np.allclose(consistency_mm(forth, still(where), points), 5, atol=1e-4)
