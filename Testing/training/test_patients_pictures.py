"""Synthetic patients as MRI."""

import numpy as np
import pytest
from LungDeepRegLib.displacement_field import lattice_points
from LungDeepRegLib.geometry import Lattice
from scipy.spatial.transform import Rotation

from training.patients.acquisition import GHOSTS_APART, Coils, acquired
from training.patients.appearance import picture
from training.patients.disease import Disease, Pattern
from training.patients.lung_texture import ill_bronchi
from training.patients.members import ILD, members
from training.patients.parameters import read_parameters
from training.patients.patient import sample_patient
from training.patients.solids import GridValues, frame_lattice

PARAMETERS = read_parameters()
ILL = next(member.number for member in members(PARAMETERS) if member.label == ILD and member.severity > 0.6)


@pytest.fixture(scope="module")
def patient():
    return sample_patient(PARAMETERS, ILL)


@pytest.fixture(scope="module")
def lattice():
    """Coronal slices, tilted, left-handed, anisotropic."""
    turn = Rotation.from_euler("xyz", (5, -4, 3), degrees=True).as_matrix()
    matrix = np.eye(4)
    matrix[:3, :3] = turn @ np.array([[-5.0, 0, 0], [0, 0, 7.5], [0, -5.0, 0]])
    shape = (36, 80, 76)
    matrix[:3, 3] = -matrix[:3, :3] @ (np.array(shape[::-1]) - 1) / 2
    return Lattice(shape, matrix)


@pytest.fixture(scope="module")
def inhaled(patient, lattice):
    return picture(patient, lattice, None, np.random.default_rng(1))


class Denser:
    """Tissue stays where it is, and twice as much of it fits."""

    def with_jacobian(self, points_ras):
        return points_ras, np.full(len(points_ras), 2.0)


def test_mask_is_the_lungs_right_and_left(patient, lattice, inhaled):
    points = lattice_points(lattice).astype(np.float32)
    expected = np.where(patient.lungs(points) < 0, np.where(patient.right_lung(points), 1, 2), 0)
    np.testing.assert_array_equal(inhaled[1].array.ravel(), expected)
    assert inhaled[1].lattice == inhaled[0].lattice == lattice


def test_lungs_are_dark_fibrosis_is_brighter_and_air_is_darkest(patient, lattice, inhaled):
    image, points = inhaled[0].array.ravel(), lattice_points(lattice).astype(np.float32)
    deep = patient.lungs(points) < -6
    fibrosis = patient.disease.fibrosis(patient.to_frame(points))
    healthy = np.median(image[deep & (fibrosis == 0)])
    assert np.median(image[deep & (fibrosis > 0.8)]) > 1.8 * healthy
    wall = (patient.body(points) < -8) & (patient.cage(points) > 10)
    assert np.median(image[wall]) > 3 * healthy
    far = (patient.body(points) > 30) & (np.abs(points[:, 0]) < 100)
    assert np.median(image[far]) < healthy
    assert image.min() >= 0
    assert image.max() <= 1300
    assert image.dtype == np.float32


def test_same_numbers_give_the_same_picture_and_others_another_noise(patient, lattice, inhaled):
    again = picture(patient, lattice, None, np.random.default_rng(1))[0]
    other = picture(patient, lattice, None, np.random.default_rng(2))[0]
    np.testing.assert_array_equal(again.array, inhaled[0].array)
    assert (other.array != inhaled[0].array).mean() > 0.9


def test_lung_keeps_its_mass(patient, lattice, inhaled):
    exhaled = picture(patient, lattice, Denser(), np.random.default_rng(1))[0].array.ravel()
    points = lattice_points(lattice).astype(np.float32)
    healthy = (patient.lungs(points) < -6) & (patient.disease.fibrosis(patient.to_frame(points)) == 0)
    assert 1.4 < np.median(exhaled[healthy]) / np.median(inhaled[0].array.ravel()[healthy]) < 2.1
    outside = patient.lungs(points) > 25
    assert np.abs(exhaled - inhaled[0].array.ravel())[outside].mean() < 5


def test_traction_widens_bronchi_where_there_is_fibrosis(patient):
    everywhere = GridValues(np.ones(frame_lattice().shape, np.float32))
    pattern = Pattern(0.9, 10, 1, 1, 0.5, 0.3, 0.5, 0.6, 6)
    bronchi = patient.trees["bronchi"]
    wide = ill_bronchi(bronchi, Disease(pattern, everywhere, everywhere))
    np.testing.assert_allclose(wide.radius, 1.6 * bronchi.radius, rtol=1e-5)
    nowhere = GridValues(np.zeros(frame_lattice().shape, np.float32))
    few = ill_bronchi(bronchi, Disease(pattern, nowhere, nowhere))
    assert 0 < len(few.tip) < len(bronchi.tip)


def test_ghosts_stand_left_and_right_of_what_pulses_whatever_the_axes(lattice):
    image, pulsing = np.zeros(lattice.shape, np.float32), np.zeros(lattice.shape, np.float32)
    pulsing[14:22, 36:44, 34:42] = image[14:22, 36:44, 34:42] = 1000
    seen = acquired(image, pulsing, lattice, 0.0, 1.0, 0.1, np.random.default_rng(0))
    shift = round(GHOSTS_APART * lattice.shape[2])  # i runs to the left
    assert seen[18, 40, 38] == pytest.approx(1000, rel=0.1)
    for ghost in (seen[18, 40, 38 + shift], seen[18, 40, 38 - shift]):
        assert ghost == pytest.approx(100, rel=0.15)
    assert seen[18, 5, 38] < 10


def test_what_is_not_measured_blurs_and_an_even_image_stays(lattice):
    even, edge = np.full(lattice.shape, 300, np.float32), np.zeros(lattice.shape, np.float32)
    edge[:, :, 38:] = 300
    none = np.zeros_like(even)
    same = acquired(even, none, lattice, 0.0, 0.6, 0.0, np.random.default_rng(0))
    np.testing.assert_allclose(same, 300, rtol=1e-4)
    steep, soft = (
        np.abs(np.diff(acquired(edge, none, lattice, 0.0, share, 0.0, np.random.default_rng(0))[18, 40])).max()
        for share in (1.0, 0.5)
    )
    assert soft < 0.75 * steep


def test_noise_in_air_is_rayleigh(lattice):
    none = np.zeros(lattice.shape, np.float32)
    seen = acquired(none, none, lattice, 20.0, 1.0, 0.0, np.random.default_rng(0))
    assert seen.mean() / seen.std() == pytest.approx(1.913, abs=0.03)
    assert 10 < seen.mean() < 20 * np.sqrt(np.pi / 2)


def test_coils_are_stronger_at_the_surface():
    coils = Coils.around(np.array([5.0, 0, 10]), np.random.default_rng(0))
    middle, front, back = coils(np.array([[5, -5, 5], [5, 105, 5], [5, -115, 5]], np.float32))
    assert min(front, back) > 1.25 * middle
