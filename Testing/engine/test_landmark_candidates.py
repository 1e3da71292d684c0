"""Candidates lie on true branchings of the phantom's vessels, proposals where the phantom's tissue truly is."""

import numpy as np
import pytest
from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.geometry import Lattice, apply, covering_lattice
from LungDeepRegLib.landmark_review.candidates import candidates, well_spread
from LungDeepRegLib.landmark_review.proposal import propose
from LungDeepRegLib.landmarks import LandmarkError
from LungDeepRegLib.phantom import PhantomConfig, make_pair
from LungDeepRegLib.volume import Volume
from LungDeepRegLib.worker.landmark_tasks import find_candidates, propose_points
from scipy.spatial import cKDTree

from Testing.true_branchings import true_branchings

BOX_MM = np.array([[-150.0, -110, -20], [150, 110, 75]])


def left_handed(spacing_mm, shift_mm=(0.0, 0.0, 0.0)):
    """A lattice on the middle of the chest: sagittal slices from left to right, stored upside down."""
    low, high = BOX_MM + np.array(shift_mm)
    r, a, s = np.ceil((high - low) / spacing_mm).astype(int)
    columns = np.array([[0, 0, 1.0], [1, 0, 0], [0, -1, 0]]) * spacing_mm  # i: A, j: down, k: R
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = columns, [low[0], low[1], high[2]]
    return Lattice((r, s, a), matrix)


@pytest.fixture(scope="module")
def pair():
    return make_pair(PhantomConfig(seed=4), left_handed(1.6), left_handed(2.0, (3, 5, -20)))


@pytest.fixture(scope="module")
def lungs(pair):
    return pair.fixed_mask.array > 0


@pytest.fixture(scope="module")
def found(pair, lungs):
    return candidates(pair.fixed, lungs, 30)


def test_candidates_lie_on_true_branchings(pair, found):
    distance = cKDTree(true_branchings(4, pair.phi)).query(found.landmarks.points_ras)[0]
    # Bright voxels of the lungs lie 3 mm from one in the median, half of them within 3 mm.
    assert np.median(distance) < 1.6
    assert (distance < 3).mean() >= 0.85


def test_candidates_are_deep_in_both_lungs_and_far_apart(pair, lungs, found):
    points = found.landmarks.points_ras
    assert len(points) == 30
    assert len(set(found.landmarks.labels)) == 30
    ijk = np.round(apply(pair.fixed.lattice.ras_to_ijk, points)).astype(int)
    assert lungs[tuple(ijk[:, ::-1].T)].all()
    side = pair.fixed_mask.array[tuple(ijk[:, ::-1].T)]
    assert min((side == 1).sum(), (side == 2).sum()) >= 8
    assert cKDTree(points).query(points, 2)[0][:, 1].min() > 10
    first = points[:6]  # the first few are spread, too
    assert cKDTree(first).query(first, 2)[0][:, 1].min() > 25
    assert ((found.distinctiveness > 0) & (found.distinctiveness <= 1)).all()


def test_lungs_are_found_in_ct_and_asked_for_elsewhere(pair, lungs):
    again = candidates(pair.fixed, None, 5)
    assert len(again.landmarks) == 5
    mri_like = pair.fixed.with_array(np.where(lungs, 100.0, 700.0).astype(np.float32), "mri.nii.gz")
    with pytest.raises(LandmarkError, match=r"mri\.nii\.gz: found no lungs, expected a chest CT or a lung mask"):
        candidates(mri_like, None, 5)


def test_lungs_without_vessels_are_refused(pair, lungs):
    empty = pair.fixed.with_array(np.where(lungs, -850, 40).astype(np.int16), "ct.nii.gz")
    with pytest.raises(LandmarkError, match=r"ct\.nii\.gz: found no branching of vessels"):
        candidates(empty, lungs, 5)
    small = np.zeros_like(lungs)
    small[20:22, 20, 20] = True
    with pytest.raises(LandmarkError, match="found no branching"):
        candidates(pair.fixed, small, 5)


def tubes(*directions):
    """Tubes of radius 2 mm from the middle of 40 voxels of 1 mm, in a lung that fills the image."""
    places = np.stack(np.meshgrid(*[np.arange(40.0)] * 3, indexing="ij"), axis=-1)[..., ::-1] - 20
    image = np.full((40, 40, 40), -850.0)
    for direction in np.array(directions, float):
        direction /= np.linalg.norm(direction)
        along = places @ direction
        across = np.linalg.norm(places - along[..., None] * direction, axis=-1)
        image = np.maximum(image, np.where(along > 0, -850 + 900 / (1 + np.exp((across - 2) / 0.4)), -850))
    return Volume(image, np.eye(4), "tubes")


def test_only_what_branches_is_taken():
    inside = np.ones((40, 40, 40), bool)
    fork = candidates(tubes((1, 0, 0.1), (-0.7, 0.7, 0.2), (-0.7, -0.7, 0.2)), inside, 5, "ct")
    np.testing.assert_allclose(fork.landmarks.points_ras[0], [20, 20, 20], atol=0.7)
    assert len(fork.landmarks) == 1
    for vessel in ([(1, 0, 0), (-1, 0.2, 0)], [(1, 0.1, 0.2), (-0.4, -1, 0)]):  # straight, and bent
        with pytest.raises(LandmarkError, match="found no branching"):
            candidates(tubes(*vessel), inside, 5, "ct")


def test_spreading_takes_the_most_distinct_first_and_then_far_ones():
    points = np.array([[0.0, 0, 0], [2, 0, 0], [50, 0, 0], [0, 60, 0]])
    assert well_spread(points, np.array([0.9, 1.0, 0.5, 0.4]), 3).tolist() == [1, 2, 3]
    assert well_spread(points, np.array([0.9, 1.0, 0.5, 0.4]), 9).tolist() == [1, 2, 3]  # the rest is too near
    assert len(well_spread(points[:0], np.empty(0), 3)) == 0


@pytest.fixture(scope="module")
def off(pair):
    """The true map, 2.7 mm off everywhere."""
    lattice = covering_lattice(pair.fixed.lattice, 8.0, 16.0)
    true = pair.displacement(lattice)
    return DisplacementField(true.vectors + np.float32([1.5, -1.0, 2.0]), lattice)


def test_proposals_snap_to_the_true_place(pair, found, off):
    points = found.landmarks.points_ras
    proposal = propose(pair.fixed, pair.moving, off, points)
    error = np.linalg.norm(proposal.points_ras - pair.phi(points), axis=1)
    before = np.linalg.norm(off(points) - pair.phi(points), axis=1)
    recognised = proposal.scores > 0
    assert recognised.mean() > 0.8
    assert np.median(before) > 2.4
    assert np.median(error) < 0.8
    assert (error[recognised] < 1.5).mean() > 0.85
    np.testing.assert_allclose(proposal.points_ras[~recognised], off(points)[~recognised])


def test_nothing_is_made_up_where_nothing_is_recognised(pair, off):
    noise = np.random.default_rng(0).normal(-700, 200, pair.moving.array.shape).astype(np.float32)
    inside = pair.fixed.lattice.centre_ras + np.array([[50.0, 0, 0], [60, 10, 5]])
    proposal = propose(pair.fixed, pair.moving.with_array(noise), off, inside, modality="ct")
    np.testing.assert_array_equal(proposal.scores, 0)
    np.testing.assert_array_equal(proposal.points_ras, off(inside))
    far = np.array([[900.0, 0, 0]])  # phi of it lies outside the moving image
    proposal = propose(pair.fixed, pair.moving, off, far)
    assert proposal.scores.tolist() == [0]
    np.testing.assert_array_equal(proposal.points_ras, off(far))


def test_the_workers_tasks_answer_plain_lists(pair, lungs, found, off):
    told = []
    request = {"volume": pair.fixed, "lungs": [pair.fixed_mask], "count": 30}
    answer = find_candidates(request, lambda *told_now: told.append(told_now))
    np.testing.assert_array_equal(answer["points"], found.landmarks.points_ras)
    np.testing.assert_array_equal(answer["distinctiveness"], found.distinctiveness)
    some = answer["points"][:2]
    request = {"fixed": pair.fixed, "moving": pair.moving, "field": off, "points": some}
    answer = propose_points(request, lambda *told_now: told.append(told_now))
    assert np.shape(answer["points"]) == (2, 3)
    assert len(answer["scores"]) == 2
    assert propose_points({**request, "points": []}, lambda *_: None) == {"points": [], "scores": []}
    stages = ["candidates", "propose"]
    assert list(dict.fromkeys(stage for stage, _ in told)) == stages
    assert told[-1] == ("propose", 1.0)
