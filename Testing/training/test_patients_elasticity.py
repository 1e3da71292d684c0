"""Elastic equilibrium: solutions known in closed form."""

import numpy as np
import pytest
from LungDeepRegLib.displacement_field import lattice_points
from LungDeepRegLib.geometry import Lattice

from training.patients import elasticity
from training.patients.elasticity import EquilibriumError, Tissue, equilibrium

LATTICE = Lattice((9, 7, 8), np.array([[5.0, 0, 0, -20], [0, 5, 0, 10], [0, 0, 5, 3], [0, 0, 0, 1]]))
POINTS = lattice_points(LATTICE).reshape(*LATTICE.shape, 3)


def held_at(target: np.ndarray, where: np.ndarray, shear: np.ndarray | float = 1.0, compression: float = 0.0) -> Tissue:
    full = np.ones(LATTICE.shape)
    return Tissue(full * shear, full * compression, np.where(where, 1e3, 0.0), target)


def borders() -> np.ndarray:
    found = np.ones(LATTICE.shape, bool)
    found[1:-1, 1:-1, 1:-1] = False
    return found


@pytest.mark.parametrize("compression", [0.0, 3.0])
def test_a_linear_motion_held_at_the_border_goes_on_inside(compression):
    """A constant strain is an equilibrium of any homogeneous elastic body."""
    strain = np.array([[0.1, 0.02, 0], [-0.03, -0.05, 0.04], [0, 0.01, 0.2]])
    linear = POINTS @ strain.T
    start = np.where(borders()[..., None], linear, 0)
    v = equilibrium(held_at(start, borders(), compression=compression), LATTICE, tolerance=1e-9)
    assert v == pytest.approx(linear, abs=1e-3)


def test_layers_in_series_share_a_shear_by_their_softness():
    """Between a plane that is still and one that moves, the strain of each layer is inverse to its stiffness."""
    shear = np.ones(LATTICE.shape)
    shear[5:] = 4.0
    ends = np.zeros(LATTICE.shape, bool)
    ends[[0, -1]] = True
    target = np.zeros((*LATTICE.shape, 3))
    target[-1, ..., 0] = 10.0
    v = equilibrium(held_at(target, ends, shear), LATTICE, tolerance=1e-9)
    softness = np.array([1, 1, 1, 1, (1 + 1 / 4) / 2, 1 / 4, 1 / 4, 1 / 4])
    expected = np.concatenate([[0], np.cumsum(softness)]) / softness.sum() * 10
    assert v[..., 0] == pytest.approx(np.broadcast_to(expected[:, None, None], LATTICE.shape), abs=1e-2)
    assert np.abs(v[..., 1:]).max() < 1e-6


def test_what_resists_change_of_volume_bulges_when_squeezed():
    ends = np.zeros(LATTICE.shape, bool)
    ends[[0, -1]] = True
    target = np.zeros((*LATTICE.shape, 3))
    target[-1, ..., 2] = -4.0
    bulge = []
    for compression in (0.0, 50.0):
        v = equilibrium(held_at(target, ends, compression=compression), LATTICE, tolerance=1e-8)
        bulge.append(v[4, 3, -1, 0] - v[4, 3, 0, 0])
    assert abs(bulge[0]) < 1e-6
    assert bulge[1] > 1.0


def test_an_equilibrium_that_is_not_found_is_an_error(monkeypatch):
    monkeypatch.setattr(elasticity, "MOST_ITERATIONS", 2)
    moving = np.where(borders()[..., None], POINTS, 0)
    with pytest.raises(EquilibriumError, match=r"found no elastic equilibrium in 2 iterations"):
        equilibrium(held_at(moving, borders()), LATTICE, tolerance=1e-9)
