"""What weights are worth is measured against the truth, and doing nothing is worth nothing."""

import json

import numpy as np
import pytest
from LungDeepRegLib.checkpoint import BUNDLED, Checkpoint, load_checkpoint
from LungDeepRegLib.network import NetworkConfig, RegistrationNetwork
from LungDeepRegLib.phantom import PhantomConfig, chest_lattice, make_pair

from training import held_out, refinement_steps
from training.held_out import CONTRASTS, Case, judged, recoloured, summary

LEAST_GAIN = 0.5
"""Error of the shipped network over that of the alignment, on one pair; the model card's means are lower."""


@pytest.fixture(scope="module")
def case():
    pair = make_pair(PhantomConfig(seed=3, motion_mm=20.0), chest_lattice(7.0), chest_lattice(7.0))
    return Case("small", pair.fixed, pair.moving, pair.fixed_mask.array > 0, pair.moving_mask.array > 0, pair.phi)


@pytest.fixture(scope="module")
def fresh():
    config = NetworkConfig(
        (4,), (1,), (4,), squeeze_reduction=2, lattice_shape=(16, 13, 16), lattice_spacing_mm=(20.0,) * 3
    )
    return Checkpoint(RegistrationNetwork(config).eval(), {})


def test_the_truth_has_no_error_and_a_shift_has_its_own(case):
    assert case.error_mm(case.truth).max == 0
    assert case.error_mm(lambda x: case.truth(x) + np.array([3.0, 0, 4.0])).mean == pytest.approx(5)


def test_a_fresh_network_leaves_the_alignment_as_it_is(case, fresh):
    row = judged(case, fresh)
    assert row["ratio"] == pytest.approx(1, abs=1e-3)
    assert row["alignment"]["mean"] < row["before"]["mean"]
    assert summary([row, row])["network_mm"] == pytest.approx(row["network"]["mean"])
    json.dumps(row)


@pytest.mark.parametrize("contrast", ["ct", "flat mri"])
def test_the_weights_that_ship_improve_on_the_alignment(contrast):
    lattice = chest_lattice(3.0)
    pair = make_pair(PhantomConfig(held_out.FIRST_SEED + 50, contrast.split()[-1], 25.0), lattice, lattice)
    fixed, moving = (image.with_array(recoloured(image.array, contrast)) for image in (pair.fixed, pair.moving))
    masks = (pair.fixed_mask.array > 0, pair.moving_mask.array > 0)
    row = judged(Case("held out", fixed, moving, *masks, pair.phi), load_checkpoint(BUNDLED))
    assert row["ratio"] < LEAST_GAIN
    assert row["folded_percent"] == 0
    assert row["warnings"] == []


def test_the_ratio_is_that_of_the_mean_errors():
    rows = [
        {"alignment": {"mean": 4.0}, "network": {"mean": 1.0}, "ratio": 0.25},
        {"alignment": {"mean": 2.0}, "network": {"mean": 2.0}, "ratio": 1.0},
    ]
    assert summary(rows) == {"alignment_mm": 3.0, "network_mm": 1.5, "ratio": 0.5, "worst_ratio": 1.0}


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_contrasts_keep_what_is_brighter_brighter(contrast):
    values = np.linspace(-1024, 900, 50) if contrast.endswith("ct") else np.linspace(0, 1200, 50)
    found = recoloured(values, contrast)
    assert np.isfinite(found).all()
    assert (np.diff(found) >= 0).all()
    assert found[-1] > found[0]


def test_refinement_by_steps_starts_where_the_alignment_left_it(case, fresh, monkeypatch):
    monkeypatch.setattr(refinement_steps, "SHARES", (0.0, 0.25, 1.0))
    found = refinement_steps.measured(case, fresh)
    assert set(found) == {"alignment", "search", "network"}
    assert found["network"][0] == pytest.approx(found["alignment"][0], rel=0.01)
    assert found["network"] == pytest.approx(found["alignment"], rel=0.05)
    assert found["alignment"][2] < found["alignment"][1] < found["alignment"][0]


def test_its_motion_and_anatomy_were_not_trained_on():
    assert held_out.FIRST_SEED > 300_000 + 10_000
    assert min(breath.seed for breath in held_out.BREATHS) >= held_out.FIRST_SEED
