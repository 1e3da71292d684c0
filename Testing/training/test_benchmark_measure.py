"""Figures of maps that are known, on oblique and anisotropic lattices; alignment and method go the right way round."""

import numpy as np
import pytest
from LungDeepRegLib.displacement_field import DisplacementField, lattice_points
from LungDeepRegLib.geometry import Lattice, apply
from LungDeepRegLib.landmarks import Landmarks
from LungDeepRegLib.volume import Volume

from training.benchmarking.inputs import ReadyScan
from training.benchmarking.measure import inter_observer, judged_lattice, measured, whole_map

SHIFT_MM = np.array([6.0, -4.0, 9.0])


def oblique(shape, origin=(0.0, 0.0, 0.0)):
    """Left-handed, oblique and anisotropic."""
    angle = np.deg2rad(20)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    matrix = np.eye(4)
    matrix[:3, :3] = turn @ np.array([[-2.0, 0, 0], [0, 0, 3.0], [0, 2.0, 0]])
    matrix[:3, :3] *= [1, 1, -1]
    matrix[:3, 3] = origin
    return Lattice(shape, matrix)


FIXED = oblique((20, 32, 34))
CENTRE = FIXED.centre_ras


def scan(lattice, centre, observers=None):
    """A ball with structure in it."""
    x = lattice_points(lattice) - centre
    distance = np.linalg.norm(x, axis=1).reshape(lattice.shape)
    texture = (np.sin(x / 4).sum(axis=1) * 100 + 600).reshape(lattice.shape)
    image = Volume(np.where(distance < 17, texture, 1200).astype(np.float32), lattice.ijk_to_ras)
    return ReadyScan(image, distance < 17, observers or {}, "paper")


def points(offset, error=(0, 0, 0)):
    places = CENTRE + np.array([[0, 0, 0], [5, 5, 5], [-8, 2, 1]])
    return Landmarks(places + np.array(offset) + np.array(error), ("a", "b", "c"))


@pytest.fixture(scope="module")
def fixed():
    return scan(FIXED, CENTRE, {"1": points([0, 0, 0]), "2": points([1, -2, 2]), "truth": points([0, 0, 0])})


@pytest.fixture(scope="module")
def moving():
    lattice = oblique((24, 36, 30), (5.0, 6.0, -7.0))
    there = {"1": points(SHIFT_MM), "2": points(SHIFT_MM, [3, 0, 0]), "truth": points(SHIFT_MM, [0, 3, 4])}
    return scan(lattice, CENTRE + SHIFT_MM, there)


def constant(vector):
    return DisplacementField(np.broadcast_to(np.float32(vector), (*FIXED.shape, 3)).copy(), FIXED)


def test_the_true_shift_is_judged_well_and_none_badly(fixed, moving):
    lattice = judged_lattice(fixed)
    assert lattice == FIXED
    good = measured(fixed, moving, whole_map(np.eye(4), constant(SHIFT_MM), lattice), np.eye(4), within_patient=True)
    bad = measured(fixed, moving, whole_map(np.eye(4), None, lattice), np.eye(4), within_patient=True)
    assert good["dice"] > 0.93 > 0.75 > bad["dice"]
    assert good["similarity"] > 0.8 > 0.5 > bad["similarity"]
    assert good["hausdorff95_mm"] < 3 < 9 < bad["hausdorff95_mm"] < 14
    assert good["folded_percent"] == good["folded_percent_lung"] == 0
    assert good["jacobian_sd"] == pytest.approx(0, abs=1e-5)
    assert good["landmarks"]["1"] == pytest.approx({"dx": 0, "dy": 0, "dz": 0, "ds": 0}, abs=1e-4)
    assert good["landmarks"]["2"] == pytest.approx({"dx": 2, "dy": 2, "dz": 2, "ds": np.sqrt(12)}, abs=1e-4)
    assert good["landmarks"]["truth"] == pytest.approx({"dx": 0, "dy": 3, "dz": 4, "ds": 5}, abs=1e-4)
    assert bad["landmarks"]["1"]["ds"] == pytest.approx(np.linalg.norm(SHIFT_MM))


def test_the_distance_of_observers_is_the_mean_over_both_images(fixed, moving):
    found = inter_observer(fixed, moving)
    assert found == pytest.approx({"dx": 2, "dy": 1, "dz": 1, "ds": 3})


def test_between_patients_only_overlap_and_regularity_are_measured(fixed, moving):
    figures = measured(fixed, moving, whole_map(np.eye(4), None, FIXED), np.eye(4), within_patient=False)
    assert set(figures) == {"dice", "folded_percent", "folded_percent_lung", "jacobian_sd", "log_jacobian_sd"}


def test_without_masks_and_landmarks_their_figures_are_none(fixed, moving):
    bare = [ReadyScan(which.image, None, {}, "paper") for which in (fixed, moving)]
    figures = measured(*bare, whole_map(np.eye(4), None, FIXED), np.eye(4), within_patient=True)
    assert figures["dice"] is figures["hausdorff95_mm"] is figures["landmarks"] is figures["inter_observer"] is None
    assert figures["folded_percent"] == figures["folded_percent_lung"] == 0


def test_the_alignment_comes_after_the_methods_displacement():
    matrix = np.eye(4)
    matrix[:3] = [[1.1, 0.1, 0, 3], [0, 0.9, 0.2, -2], [0.05, 0, 1, 1]]
    coarse = oblique((12, 18, 19), FIXED.ijk_to_ras[:3, 3])
    v = DisplacementField.from_displacement(lambda x: 0.05 * x[:, [2, 0, 1]] + 1, coarse)
    phi = whole_map(matrix, v, FIXED)
    inside = coarse.contains(lattice_points(FIXED)).reshape(FIXED.shape)
    x = lattice_points(FIXED).reshape(*FIXED.shape, 3)
    expected = apply(matrix, x + 0.05 * x[..., [2, 0, 1]] + 1)
    well_inside = inside & np.roll(inside, 2, 0) & np.roll(inside, 2, 1) & np.roll(inside, 2, 2)
    np.testing.assert_allclose((x + phi.vectors)[well_inside], expected[well_inside], atol=1e-3)
    np.testing.assert_allclose(x + whole_map(matrix, None, FIXED).vectors, apply(matrix, x), atol=1e-4)


def test_what_folds_is_counted_and_stretching_is_spread(fixed, moving):
    mirror = DisplacementField.from_displacement(lambda x: -2.2 * (x - CENTRE) * [1, 0, 0], FIXED)
    figures = measured(fixed, moving, whole_map(np.eye(4), mirror, FIXED), np.eye(4), within_patient=False)
    assert figures["folded_percent"] == figures["folded_percent_lung"] == 100
    assert figures["log_jacobian_sd"] is None
    half = DisplacementField.from_displacement(lambda x: 0.5 * np.maximum(x - CENTRE, 0) * [1, 0, 0], FIXED)
    figures = measured(fixed, moving, whole_map(np.eye(4), half, FIXED), np.eye(4), within_patient=False)
    assert figures["folded_percent"] == 0
    assert figures["jacobian_sd"] == pytest.approx(0.25, abs=0.02)  # 1 in one half, 1.5 in the other


def test_fine_images_are_judged_on_blocks_of_voxels():
    lattice = Lattice((40, 40, 40), np.diag([0.6, 0.6, 1.2, 1]))
    fine = ReadyScan(Volume(np.arange(64000, dtype=np.float32).reshape(lattice.shape), lattice.ijk_to_ras), None)
    assert judged_lattice(fine).shape == (40, 20, 20)
    assert judged_lattice(fine).spacing_mm == pytest.approx([1.2, 1.2, 1.2])
