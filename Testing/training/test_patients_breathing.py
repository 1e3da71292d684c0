"""Breathing of a made-up chest, made of boxes and one dome: what an elastic motion must be."""

from dataclasses import replace

import numpy as np
import pytest
from LungDeepRegLib.displacement_field import DisplacementField, lattice_points
from LungDeepRegLib.geometry import Lattice

from training.patients.breath import Breath
from training.patients.breathing import ElasticBreathing, MotionError, breathe, refined, upsampled
from training.patients.mechanics import ChestMechanics, Stiffness
from training.patients.parameters import read_parameters

STIFFNESS = read_parameters().section("stiffness", Stiffness)
BREATH = Breath(descent_mm=40.0, left=1.0, behind=0.1, forward=0.05, side=0.15, front=0.25, rise=0.4)


class RoundChest:
    """Two lungs in an elliptic tube 200 mm high, on a diaphragm with two domes; the right base may be stiff."""

    def __init__(self, stiff: float = 1.0) -> None:
        self.stiff = stiff

    def body(self, p):
        return self.tube(p, 25.0)

    def cage(self, p):
        return np.maximum(self.tube(p, 0.0), p[:, 2] - 100)

    def diaphragm(self, p):
        return p[:, 2] + 50 + ((np.abs(p[:, 0]) - 60) / 60) ** 2 * 40 + (p[:, 1] / 80) ** 2 * 40

    def lungs(self, p):
        return np.maximum(np.maximum(self.cage(p), -self.diaphragm(p)), 15 - np.abs(p[:, 0]))

    def stiffness(self, p):
        return np.where((p[:, 0] > 0) & (p[:, 2] < -5), self.stiff, 1.0)

    def tube(self, p, wall):
        return (np.hypot(p[:, 0] / (125 + wall), p[:, 1] / (90 + wall)) - 1) * (90 + wall)


def moved(stiff: float = 1.0, **changed) -> ElasticBreathing:
    mechanics = ChestMechanics(RoundChest(stiff), replace(BREATH, **changed), STIFFNESS)
    return breathe(mechanics, mechanics.lattice(15.0))


@pytest.fixture(scope="module")
def phi() -> ElasticBreathing:
    return moved()


@pytest.fixture(scope="module")
def tissue() -> np.ndarray:
    """Points in the exhaled lungs, spread evenly."""
    points = np.random.default_rng(0).uniform((-110, -80, -60), (110, 80, 95), (4000, 3))
    return points[RoundChest().lungs(points) < -8]


def test_the_diaphragm_descends_by_what_was_asked_for_and_the_apices_stay(phi):
    dome = phi.inverse(np.array([[60.0, 0, -55], [-60.0, 0, -55]]))
    assert dome[:, 2] + 55 == pytest.approx([40, 40], abs=6)
    apex = np.array([[60.0, 0, 95]])
    assert np.linalg.norm(phi(apex) - apex) < 8


def test_the_ribs_swing_outwards_and_forwards_when_inhaling(phi):
    sides, front = np.array([[125.0, 0, -40], [-125.0, 0, -40]]), np.array([[0.0, 95, -40]])
    assert phi.displacement(sides)[:, 0] * [1, -1] == pytest.approx([6, 6], abs=2.5)
    assert 2 < phi.displacement(front)[0, 1] < 12
    assert phi.displacement(front)[0, 2] > 0.5


def test_lungs_expand_and_nothing_folds(phi, tissue):
    nodes = lattice_points(phi.field.lattice)
    assert phi.jacobian(nodes).min() > 0.3
    assert np.median(phi.jacobian(tissue)) > 1.15
    cells = np.array(phi.field.lattice.shape[::-1]) - 1
    edges = np.diff(phi(nodes).reshape(*(cells[::-1] + 1), 3)[..., 0], axis=2)
    assert edges.min() > 0


def test_lungs_slide_along_the_ribs(phi):
    """The lung beside the ribs goes down much further than they do."""
    rib, lung = np.array([[124.0, 0, -20]]), np.array([[100.0, 0, -20]])
    assert phi.displacement(rib)[0, 2] - phi.displacement(lung)[0, 2] > 10


def test_stiff_lung_expands_less_than_healthy_lung_in_the_same_place(tissue):
    ill, healthy = moved(stiff=8.0), moved()
    base = tissue[(tissue[:, 0] > 20) & (tissue[:, 2] < 15)]
    base = base[healthy(base)[:, 2] < -15]
    gain = np.median(ill.jacobian(base)) - 1, np.median(healthy.jacobian(base)) - 1
    assert gain[0] < 0.7 * gain[1]


def test_the_inverse_undoes_the_map(phi, tissue):
    assert phi(phi.inverse(tissue)) == pytest.approx(tissue, abs=1e-5)
    with pytest.raises(MotionError, match=r"mm from where phi takes their origins, expected 1e-6 or less"):
        phi.inverse(tissue, iterations=1)


def test_the_jacobian_is_that_of_the_map(phi, tissue):
    """Its mean over a box is the box's change of volume; here of many small ones, by differences over a node's cell."""
    h = float(phi.field.lattice.spacing_mm[0])
    steps = np.stack([(phi(tissue + h * e) - phi(tissue - h * e)) / (2 * h) for e in np.eye(3)], axis=-1)
    together, determinant = phi.with_jacobian(tissue)
    assert together == pytest.approx(phi(tissue), abs=1e-9)
    assert determinant == pytest.approx(np.linalg.det(steps), rel=0.08)
    assert phi.jacobian_matrix(tissue) == pytest.approx(steps, abs=0.1)


def test_single_precision_gives_the_same_map(phi, tissue):
    assert phi(tissue.astype(np.float32)).dtype == np.float32
    assert phi(tissue.astype(np.float32)) == pytest.approx(phi(tissue), abs=1e-3)


def test_no_descent_is_no_motion():
    still = moved(descent_mm=0.0)
    assert np.abs(still.field.vectors).max() < 1e-6


def test_a_breath_that_tears_tissue_is_refused():
    with pytest.raises(MotionError, match=r"found a Jacobian determinant of .* expected 0.05 or more"):
        moved(descent_mm=900.0)


def test_refined_lattices_keep_their_corners_and_splines_their_nodes():
    lattice = Lattice((3, 4, 5), np.array([[6.0, 0, 0, -1], [0, 6, 0, 2], [0, 0, 6, 3], [0, 0, 0, 1]]))
    fine = refined(lattice)
    assert fine.shape == (5, 7, 9)
    assert lattice_points(fine)[[0, -1]] == pytest.approx(lattice_points(lattice)[[0, -1]])
    quadratic = lattice_points(lattice) ** 2 / 10
    found = upsampled(quadratic.reshape(3, 4, 5, 3))
    assert found.reshape(-1, 3) == pytest.approx(lattice_points(fine) ** 2 / 10, abs=1e-9)
    assert DisplacementField(found, fine).vectors.shape == (5, 7, 9, 3)
