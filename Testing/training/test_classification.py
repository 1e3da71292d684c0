"""Telling patients apart by their motion: closed forms, no leak between folds, and nothing found in noise."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from LungDeepRegLib.displacement_field import DisplacementField, lattice_points
from LungDeepRegLib.geometry import apply
from LungDeepRegLib.phantom import PhantomConfig, chest_lattice, make_pair
from LungDeepRegLib.volume import Volume

from training.classification import cross_validation, residuals
from training.classification.cross_validation import (
    cross_validate,
    cross_validate_yardstick,
    permutation_control,
    stratified_folds,
)
from training.classification.network import Training, as_input, fit, logits, saliency
from training.classification.patients import ClassificationError, Patient, read_patients
from training.classification.residuals import SHAPE, SPACING_MM, Residuals, common_lattice, on_common_lattice
from training.classification.scores import area, area_estimate, proportion, score
from training.classification.yardsticks import mean_displacement, mean_length
from training.cohorts import Cohort, CohortError, Scan

QUICK = Training(epochs=8, learning_rate=1e-2, batch=8, channels=(4,))
ILL = np.arange(20) < 12


def motion(ill_mm: float, healthy_mm: float) -> np.ndarray:
    """Displacements ``(20, 3, 6, 5, 4)``: tissue sinks, the lower the more, by so much and some noise."""
    random = np.random.default_rng(5)
    depth = np.linspace(1, 0, 6)[:, None, None]
    u = random.normal(0, 1, (20, 3, 6, 5, 4))
    u[:, 2] -= np.where(ILL, ill_mm, healthy_mm)[:, None, None, None] * depth
    return u.astype(np.float32)


def scan(patient: str, phase: str, label: str) -> Scan:
    return Scan(patient, phase, f"{patient} {phase}", image=lambda: None, label=label)


# Scores


def test_area_counts_pairs_and_ties_by_half():
    ill = np.array([True, True, True, False, False])
    said = np.array([0.5, 2.0, -1.0, 0.5, -3.0])
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a, b in itertools.product(said[ill], said[~ill])]
    assert area(ill, said) == pytest.approx(np.mean(pairs))


def test_eleven_of_thirteen_has_wilsons_interval():
    found = proportion(11, 13)
    assert found.percent() == "84.6 % (57.8 to 95.7)"
    z, p, n = 1.959964, 11 / 13, 13
    middle, half = p + z**2 / (2 * n), z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert (found.low, found.high) == pytest.approx([(middle + s * half) / (1 + z**2 / n) for s in (-1, 1)], abs=1e-6)


@pytest.mark.parametrize("found", [0.5, 0.8, 0.97])
def test_the_ends_of_an_areas_interval_are_where_it_would_just_be_unlikely(found):
    estimate = area_estimate(found, 29, 12)
    for end in (estimate.low, estimate.high):
        first, second = end * (1 - end) ** 2 / (2 - end), end**2 * (1 - end) / (1 + end)
        variance = (end * (1 - end) + 19.5 * (first + second)) / (29 * 12)  # Hanley and McNeil; Newcombe's mean count
        assert abs(found - end) == pytest.approx(1.959964 * math.sqrt(variance), rel=1e-4)
    assert 0 < estimate.low < found < estimate.high < 1
    other = area_estimate(1 - found, 12, 29)
    assert (1 - other.high) == pytest.approx(estimate.low, abs=0.05)


def test_an_area_of_one_isnt_certain():
    estimate = area_estimate(1.0, 29, 12)
    assert estimate.high == 1
    assert 0.7 < estimate.low < 0.97
    assert area_estimate(1.0, 4, 4).low < estimate.low


def test_scores_of_five_patients():
    found = score(np.array([True, True, True, False, False]), np.array([3.0, 1.0, -1.0, 2.0, -2.0]))
    assert found.confusion == ((2, 1), (1, 1))
    assert found.accuracy.value == pytest.approx(3 / 5)
    assert found.sensitivity.value == pytest.approx(2 / 3)
    assert found.specificity.value == pytest.approx(1 / 2)
    assert found.auc.value == pytest.approx(4 / 6)


# Folds


def test_folds_hold_as_many_of_each_kind_as_can_be():
    ill = np.random.default_rng(0).permutation(np.arange(41) < 29)
    fold = stratified_folds(ill, 5, 0)
    for kind in (ill, ~ill):
        counts = np.bincount(fold[kind], minlength=5)
        assert counts.sum() == kind.sum()
        assert np.ptp(counts) <= 1
    assert np.ptp(np.bincount(fold)) <= 1
    assert np.array_equal(fold, stratified_folds(ill, 5, 0))
    assert not np.array_equal(fold, stratified_folds(ill, 5, 1))


@pytest.mark.parametrize("folds", [1, 3])
def test_folds_without_both_kinds_are_refused(folds):
    with pytest.raises(ClassificationError, match=f"found {folds} folds for 3 patients who are ill and 2 who aren't"):
        stratified_folds(np.array([True, False, True, False, True]), folds, 0)


def test_nobody_is_judged_by_a_model_that_saw_them(monkeypatch):
    names = np.arange(20, dtype=np.float32)[:, None, None, None, None] * np.ones((1, 3, 4, 4, 4), np.float32)
    seen = []

    def note(inputs, ill, training, seed):
        seen.append((set(inputs[:, 0, 0, 0, 0].int().tolist()), ill.tolist()))
        return fit(inputs, ill, training, seed)

    monkeypatch.setattr(cross_validation, "fit", note)
    found = cross_validate(names, ILL, 2, QUICK, 0)
    assert len(seen) == 2
    for number, (known, labels) in enumerate(seen):
        assert known == set(np.flatnonzero(found.fold != number).tolist())
        assert labels == ILL[found.fold != number].tolist()


# The network


def test_another_amount_of_motion_is_found_and_no_difference_isnt():
    for amounts, low, high in (((4.0, 12.0), 0.95, 1.0), ((8.0, 8.0), 0.1, 0.85)):
        found = cross_validate(motion(*amounts), ILL, 2, QUICK, 0)
        assert low <= area(ILL, found.logits) <= high
        assert found.saliency.shape == (20, 6, 5, 4)


def test_the_same_seed_gives_the_same_and_leaves_torchs_own_alone():
    torch.manual_seed(3)
    state = torch.random.get_rng_state()
    first, again, other = (cross_validate(motion(8, 8), ILL, 2, QUICK, seed).logits for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_learning_rate_is_halved():
    inputs = as_input(motion(4, 12))

    def furthest(halved_every: int) -> float:
        one, many = (
            fit(inputs, ILL, Training(epochs, 1e-3, halved_every, batch=20, channels=(2,)), 0).state_dict()
            for epochs in (1, 20)
        )
        return max(float((many[name] - one[name]).abs().max()) for name in one)

    assert furthest(1) < 1.2e-3  # 1/2 + 1/4 + ... of a step, which Adam keeps near the learning rate
    assert furthest(50) > 5e-3


def test_saliency_is_the_slope_of_the_logit():
    inputs = as_input(motion(4, 12))
    network = fit(inputs, ILL, QUICK, 0).double()
    at, step = inputs.double(), 1e-4
    slopes = []
    for component in range(3):
        moved = at.clone()
        moved[:, component, 2, 1, 3] += step
        slopes.append((logits(network, moved) - logits(network, at)) / step)
    expected = np.linalg.norm(slopes, axis=0)
    assert saliency(network, at)[:, 2, 1, 3] == pytest.approx(expected, rel=1e-3, abs=1e-9)
    assert expected.max() > 0


def test_permutation_control_counts_what_chance_does_as_well():
    shared = (motion(4, 12), ILL)
    control = permutation_control(*shared, 0.99, 2, QUICK, 0, range(1, 4))
    assert len(control.areas) == 3
    assert max(control.areas) < 0.99
    assert control.p_value == pytest.approx(1 / 4)
    assert permutation_control(*shared, 0.0, 2, QUICK, 0, range(1, 3)).p_value == 1


# Yardsticks


def test_means_are_over_the_lungs_alone():
    u = np.zeros((2, 3, 2, 2, 2), np.float32)
    u[0, :, 0, 0, 0] = (3, 0, -4)
    u[1, 0], u[1, 1, 1] = 2, 50
    lungs = np.zeros((2, 2, 2, 2), np.float32)
    lungs[:, 0, 0] = (1.0, 0.5)
    found = Residuals(u, lungs, {})
    assert mean_length(found)[:, 0] == pytest.approx([5 / 1.5, 2])
    assert mean_displacement(found) == pytest.approx(np.array([[2, 0, -4 / 1.5], [2, 0, 0]]))


def test_logistic_regression_tells_apart_what_one_number_tells():
    value = np.where(ILL, 5.0, 9.0) + np.random.default_rng(1).normal(0, 0.5, 20)
    fold = stratified_folds(ILL, 4, 0)
    said = cross_validate_yardstick(value[:, None], ILL, fold)
    assert area(ILL, said) == 1
    assert ((said > 0) == ILL).all()
    assert cross_validate_yardstick(1000 * value[:, None] - 7, ILL, fold) == pytest.approx(said, abs=1e-3)


# Residuals


def oblique() -> Volume:
    """A left-handed, oblique, anisotropic image with a box of lung."""
    turn = np.array([[0.9, -0.2, 0.1], [0.25, 0.95, -0.1], [-0.05, 0.15, 1.0]])
    matrix = np.eye(4)
    matrix[:3, :3] = turn @ np.diag([-3.0, 4.0, 5.0])
    matrix[:3, 3] = (40, -30, 70)
    lungs = np.zeros((30, 36, 50), np.uint8)
    lungs[6:24, 8:30, 5:44] = 1
    return Volume(lungs, matrix)


def test_the_common_lattice_lies_around_the_lungs_along_ras():
    lungs = oblique()
    lattice = common_lattice(lungs)
    assert lattice.shape == SHAPE
    assert np.allclose(lattice.ijk_to_ras[:3, :3], SPACING_MM * np.eye(3))
    points = apply(lungs.ijk_to_ras, np.argwhere(lungs.array)[:, ::-1].astype(float))
    assert lattice.centre_ras == pytest.approx((points.min(axis=0) + points.max(axis=0)) / 2)
    assert lattice.contains(points).all()


def test_residuals_are_the_maps_displacement_in_ras_mm():
    lungs = oblique()
    matrix = np.eye(4) + np.array([[0.02, 0.01, 0, 3], [0, -0.03, 0, -5], [0.01, 0, 0.1, -12], [0, 0, 0, 0]])
    around = common_lattice(lungs)
    found = SimpleNamespace(
        field=DisplacementField.from_matrix(matrix, around), warped=lungs, fixed_lungs=lungs.array > 0, warnings=("so",)
    )
    arrays = on_common_lattice(found, "P01 exhale")
    x = around.ijk_to_ras[:3, 3] + SPACING_MM * np.array([7, 3, 11])
    assert arrays["displacement"][:, 11, 3, 7] == pytest.approx(apply(matrix, x) - x, abs=1e-3)
    volume = lungs.array.sum() * lungs.lattice.voxel_volume_mm3
    assert arrays["lungs"].sum() * SPACING_MM**3 == pytest.approx(volume, rel=0.02)
    assert arrays["warnings"].tolist() == ["so"]


def test_a_phantom_gives_its_own_motion():
    pair = make_pair(PhantomConfig(3, "mri", motion_mm=25.0), chest_lattice(8.0), chest_lattice(8.0, (5, -3, 6)))
    fixed = Scan("A", "exhale", "a", image=lambda: pair.fixed, lungs=lambda: pair.fixed_mask)
    moving = Scan("A", "inhale", "a", image=lambda: pair.moving, lungs=lambda: pair.moving_mask)
    arrays = residuals.registered(Patient("A", fixed, moving, True, False), "cpu")
    x = lattice_points(common_lattice(pair.fixed_mask))
    inside = arrays["lungs"] > 0.99
    truth = (pair.phi(x) - x).reshape(*SHAPE, 3)[inside]
    found = np.moveaxis(arrays["displacement"], 0, -1)[inside]
    assert np.linalg.norm(truth, axis=1).mean() > 8
    assert np.linalg.norm(found - truth, axis=1).mean() < 3


def test_an_image_whose_lungs_arent_known_is_named():
    with pytest.raises(ClassificationError, match="P01 exhale: found no lung mask, expected one"):
        residuals.on_common_lattice(SimpleNamespace(fixed_lungs=None), "P01 exhale")


# Patients


def test_patients_have_two_images_and_a_diagnosis():
    scans = [scan(name, phase, label) for name, label in (("A", "ILD"), ("B", "well")) for phase in ("in", "out")]
    found = read_patients(Cohort("c", tuple(scans), split={"B": "validation"}), "out", "in", "ILD")
    assert [(one.name, one.fixed.phase, one.moving.phase, one.ill, one.validates) for one in found] == [
        ("A", "out", "in", True, False),
        ("B", "out", "in", False, True),
    ]


def test_all_that_is_wrong_with_the_patients_is_said_together():
    scans = [scan("A", "in", "ILD"), scan("A", "out", "well"), scan("B", "in", ""), scan("B", "out", "")]
    scans.append(scan("C", "out", "well"))
    with pytest.raises(CohortError) as error:
        read_patients(Cohort("c", tuple(scans)), "out", "in", "ILD")
    assert "patient A, label: found 'ILD' and 'well', expected one diagnosis" in str(error.value)
    assert "patient B, label: found ''" in str(error.value)
    assert "patient C: found no scan of the phase 'in', expected one" in str(error.value)


@pytest.mark.parametrize("labels", [("ILD", "ILD", "ILD"), ("ILD", "COPD", "well"), ("a", "b", "b")])
def test_other_than_two_diagnoses_are_refused(labels):
    scans = [scan(f"P{n}", phase, label) for n, label in enumerate(labels) for phase in ("in", "out")]
    with pytest.raises(ClassificationError, match=r"c: found the labels .*, expected 'ILD' and one other"):
        read_patients(Cohort("c", tuple(scans)), "out", "in", "ILD")
