"""Chest, disease and landmarks of the synthetic cohort's patients."""

from dataclasses import replace

import numpy as np
import pytest
from LungDeepRegLib.geometry import apply
from scipy import ndimage

from training.patients.anatomy import LOBES, Anatomy, frame_points
from training.patients.branchings import NAMES
from training.patients.members import HEALTHY, ILD, members
from training.patients.parameters import ParametersError, read_parameters
from training.patients.patient import sample_patient
from training.patients.vessels import hila

PARAMETERS = read_parameters()
MEMBERS = members(PARAMETERS)
ILL = next(member.number for member in MEMBERS if member.label == ILD and member.severity > 0.6)
WELL = next(member.number for member in MEMBERS if member.label == HEALTHY)


@pytest.fixture(scope="module")
def ill():
    return sample_patient(PARAMETERS, ILL)


@pytest.fixture(scope="module")
def well():
    return sample_patient(PARAMETERS, WELL)


def lung_points(patient) -> np.ndarray:
    return frame_points()[(patient.anatomy.lungs.values < 0).ravel()]


@pytest.mark.parametrize("name", ["ill", "well"])
def test_two_lungs_of_a_persons_size_between_diaphragm_and_wall(name, request):
    patient = request.getfixturevalue(name)
    anatomy = patient.anatomy
    pieces, count = ndimage.label(anatomy.lungs.values < 0)
    voxels = np.bincount(pieces.ravel())[1:]
    assert count == 2
    litres = voxels.sum() * 27e-6 * patient.placement.size**3
    assert 1.2 < litres < 7.5
    inside = lung_points(patient)
    right = (inside[:, 0] > anatomy.midline(inside)).mean()
    assert 0.45 < right < 0.65
    assert anatomy.cage(inside).max() <= 0
    assert anatomy.body(inside).max() < -10
    assert anatomy.diaphragm(inside).min() >= 0
    assert anatomy.heart(inside).min() > 0


def test_patients_differ_and_the_number_alone_chooses(well, ill):
    again = sample_patient(PARAMETERS, WELL)
    np.testing.assert_array_equal(again.anatomy.lungs.values, well.anatomy.lungs.values)
    a, b = (patient.anatomy.lungs.values < 0 for patient in (well, ill))
    assert 2 * (a & b).sum() / (a.sum() + b.sum()) < 0.9


def test_distances_are_mm_of_the_world(well):
    inside = apply(well.placement.frame_to_ras, lung_points(well).astype(np.float64))
    points = np.random.default_rng(0).permutation(inside)[:4000]
    near = points[np.abs(well.lungs(points)) < 5]
    slope = [(well.lungs(near + d) - well.lungs(near - d)) / 2 for d in np.eye(3)]
    assert np.median(np.linalg.norm(slope, axis=0)) == pytest.approx(1, abs=0.12)
    assert abs(np.linalg.det(well.placement.frame_to_ras[:3, :3])) == pytest.approx(well.placement.size**3)


def test_disease_fills_its_share_and_begins_low_behind_and_at_the_pleura(ill):
    lungs = ill.anatomy.lungs.values < 0
    fibrosis = ill.disease.fibrosis.values
    assert (fibrosis[lungs] > 0).mean() == pytest.approx(ill.extent, abs=0.002)
    assert not fibrosis[~lungs].any()
    depth = ndimage.distance_transform_edt(lungs, 3.0)[lungs]
    inside, ill_there = lung_points(ill), fibrosis[lungs]
    for far, near in (
        (inside[:, 2] > np.quantile(inside[:, 2], 0.7), inside[:, 2] < np.quantile(inside[:, 2], 0.3)),
        (inside[:, 1] > np.median(inside[:, 1]), inside[:, 1] < np.median(inside[:, 1])),
        (depth > 20, depth < 10),
    ):
        assert ill_there[near].mean() > 1.3 * ill_there[far].mean()


def test_stiffness_is_one_in_health_and_rises_with_fibrosis(ill, well):
    points = np.random.default_rng(0).uniform(-150, 150, (5000, 3))
    np.testing.assert_array_equal(well.stiffness(points), 1)
    assert well.extent == 0
    stiffness = ill.stiffness(apply(ill.placement.frame_to_ras, lung_points(ill).astype(np.float64)))
    assert stiffness.min() >= 1
    assert 0.9 * ill.disease.pattern.stiffest < stiffness.max() <= ill.disease.pattern.stiffest
    assert ill.stiffness(points[ill.lungs(points) > 8]).max() == 1


def test_fibrosis_makes_lungs_smaller(well):
    volumes = [(Anatomy(well.anatomy.shape.shrunk(extent)).lungs.values < 0).sum() for extent in (0.0, 0.5)]
    assert volumes[1] < 0.9 * volumes[0]


@pytest.mark.parametrize("name", ["ill", "well"])
def test_eleven_landmarks_lie_in_the_lobes_they_are_named_after(name, request):
    patient = request.getfixturevalue(name)
    landmarks = patient.landmarks
    assert landmarks.labels == NAMES
    assert len(set(NAMES)) == len(NAMES) == 11
    assert patient.lungs(landmarks.points_ras).max() < -5
    lobes = patient.anatomy.lobe(patient.to_frame(landmarks.points_ras))
    for label, lobe in zip(landmarks.labels, lobes, strict=True):
        assert label.startswith(LOBES[lobe])
    gaps = np.linalg.norm(landmarks.points_ras[:, None] - landmarks.points_ras[None], axis=2)
    assert gaps[~np.eye(11, dtype=bool)].min() > 8


def test_trees_reach_through_the_lungs_from_their_hila(well):
    tree = well.trees["arteries"]
    lobes = len(np.unique(tree.lobe))
    assert lobes == 5
    starts = {tuple(point) for point in tree.start}
    leaves = tree.terminals == 1
    assert all(tuple(tip) in starts for tip in tree.tip[~leaves])
    roots = tree.start[tree.terminals == tree.above]
    hilum = np.array(list(hila(well.anatomy.shape.hilum_up).values()))
    assert np.linalg.norm(roots[:, None] - hilum[None], axis=2).min(axis=1).max() < 10
    assert well.anatomy.lungs(tree.tip[leaves]).max() < 0
    assert tree.radius.max() > 6 * tree.radius.min()


def test_a_table_of_other_names_is_refused():
    tables = {name: dict(table) for name, table in PARAMETERS.tables.items()}
    del tables["anatomy"]["dome"]
    with pytest.raises(ParametersError, match=r"\[anatomy\]"):
        sample_patient(replace(PARAMETERS, tables=tables), 0)
