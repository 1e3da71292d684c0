"""Simulated observers, and the scanner."""

import numpy as np
import pytest
from LungDeepRegLib.geometry import canonical_order
from LungDeepRegLib.landmarks import Landmarks

from training.patients.observers import Observers
from training.patients.parameters import read_parameters
from training.patients.scanner import Scanner

PAPER_MM = (1.664, 2.545, 1.555)


def test_two_observers_differ_as_those_of_the_paper():
    observers = read_parameters().section("observers", Observers)
    assert observers.difference_mm == PAPER_MM
    truth = Landmarks(np.random.default_rng(0).uniform(-90, 90, (20000, 3)), tuple(map(str, range(20000))))
    first, second = (observers.place(truth, np.random.default_rng(seed), f"observer {seed}") for seed in (1, 2))
    difference = np.abs(first.points_ras - second.points_ras).mean(axis=0)
    assert difference == pytest.approx(PAPER_MM, rel=0.03)
    errors = first.points_ras - truth.points_ras
    assert errors.mean(axis=0) == pytest.approx([0, 0, 0], abs=0.06)
    assert np.corrcoef(errors.T) == pytest.approx(np.eye(3), abs=0.03)
    assert first.labels == truth.labels


def test_images_have_the_papers_size_coronal_and_a_little_oblique():
    scanner = read_parameters().section("scanner", Scanner)
    middle = np.array([5.0, -10, -30])
    lattice = scanner.lattice(middle, np.random.default_rng(3))
    assert lattice.shape == (96, 288, 288)
    assert lattice.spacing_mm == pytest.approx([1.45, 1.45, 2.7])
    assert canonical_order(lattice.ijk_to_ras)[0] == [0, 2, 1]  # slices follow one another from front to back
    assert canonical_order(lattice.ijk_to_ras)[1] == pytest.approx([-1, -1, -1])
    assert np.linalg.norm(lattice.centre_ras - middle) < 20
    directions = lattice.ijk_to_ras[:3, :3] / lattice.spacing_mm
    assert 0.5 < np.degrees(np.arccos(np.abs(directions).max(axis=0))).max() < 12


def test_coarser_voxels_fill_the_same_field_of_view():
    scanner = read_parameters().section("scanner", Scanner)
    fine, coarse = (scanner.lattice(np.zeros(3), np.random.default_rng(3), coarser) for coarser in (1, 6))
    assert coarse.shape == (16, 48, 48)
    sides = [np.array(lattice.shape[::-1]) * lattice.spacing_mm for lattice in (fine, coarse)]
    assert sides[0] == pytest.approx(sides[1])
    assert coarse.centre_ras == pytest.approx(fine.centre_ras)
