"""The worker's task: what it asks for, and what it answers."""

import numpy as np
import pytest
from LungDeepRegLib.assessment import NAMES
from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.geometry import covering_lattice
from LungDeepRegLib.labels import Marked
from LungDeepRegLib.quality import NOT_MEASURED
from LungDeepRegLib.volume import VolumeError
from LungDeepRegLib.worker.exchange import load, save
from LungDeepRegLib.worker.messages import STAGES
from LungDeepRegLib.worker.tasks import Tasks

from Testing.engine.conftest import build

COARSE = {"voxel_budget": 50_000, "refine": "off", "alignment": "centre"}
MAPS = ("residual", "correlation", "trust")


def asked(progress=lambda stage, fraction: None, **request):
    return Tasks({"cpu": "CPU"}).table()["assess"](request, progress)


@pytest.fixture(scope="module")
def request_of(phantom):
    field = phantom.displacement(covering_lattice(phantom.fixed.lattice, 6.0, 8.0))
    return {"fixed": phantom.fixed, "moving": phantom.moving, "field": field, "modality": "auto", "inhale": "moving"}


@pytest.fixture(scope="module")
def both_ways(request_of):
    stages = []
    found = asked(
        lambda stage, fraction: stages.append(stage), **request_of, backward=True, options=COARSE, weights="none"
    )
    return found, stages


def test_the_answer_is_as_it_is_documented(phantom, both_ways, tmp_path):
    found, _ = both_ways
    where = found["regions"].lattice
    for image in (*found["maps"].values(), *found["ventilation"].values()):
        assert image.lattice == where
        assert image.array.dtype == np.float32
        assert (image.array[found["regions"].array == 0] == NOT_MEASURED).all()
    assert found["regions"].array.dtype == found["lungs"].array.dtype == np.uint8
    assert found["region_names"] == list(NAMES)
    assert found["lungs"].lattice == phantom.fixed.lattice
    assert found["figures"].keys() == {
        "inverse_consistency_mm", "residual_unit", "residual_rms", "correlation_mean", "trust_mean",
        "low_trust_percent", "modality", "inhale",
    }  # fmt: skip
    save(found, tmp_path / "answer")
    again = load(tmp_path / "answer")
    np.testing.assert_array_equal(again["maps"]["trust"].array, found["maps"]["trust"].array)
    assert again["region_figures"] == found["region_figures"]


def test_the_way_back_is_registered_once(phantom, request_of, both_ways):
    found, stages = both_ways
    order = [stage for stage in STAGES["assess"] if stage in stages]
    assert [stage for number, stage in enumerate(stages) if stage not in stages[:number]] == order
    assert "refine" in order
    assert found["backward"].lattice.contains(phantom.moving.lattice.centre_ras)
    assert found["figures"]["inverse_consistency_mm"]["mean"] > 0
    assert any(warning.startswith("the way back: no trained weights") for warning in found["warnings"])
    stages.clear()
    again = asked(lambda stage, fraction: stages.append(stage), **request_of, backward_field=found["backward"])
    assert set(stages) == {"assess"}
    assert again["figures"] == found["figures"]
    np.testing.assert_array_equal(again["maps"]["consistency"].array, found["maps"]["consistency"].array)


def test_masks_that_were_given_are_what_is_judged(phantom, request_of):
    right = [Marked(labels=phantom.fixed_mask, values=[1])]
    found = asked(**request_of, fixed_mask=right)
    np.testing.assert_array_equal(found["lungs"].array > 0, phantom.fixed_mask.array == 1)
    assert found["maps"]["consistency"] is None
    assert found["backward"] is None
    assert {row["region"] for row in found["region_figures"]} == {"Lungs", *NAMES[6:]}


def test_an_empty_mask_is_refused_by_name(phantom, request_of):
    with pytest.raises(VolumeError, match="phantom exhale lungs: found an empty mask"):
        asked(**request_of, fixed_mask=[Marked(labels=phantom.fixed_mask, values=[9])])


def test_the_way_back_of_a_translation_on_oblique_voxels():
    case = build("oblique")
    fixed, field = case.pair.fixed, case.phi
    move = np.eye(4)
    move[:3, 3] = (3, -4, 0)
    there = DisplacementField.from_matrix(move, field.lattice)
    back = DisplacementField.from_matrix(np.linalg.inv(move), field.lattice)
    mask = [fixed.with_array(case.pair.fixed_mask.astype(np.uint8))]
    for backward, expected in ((back, 0.0), (there, 10.0)):
        found = asked(
            fixed=fixed, moving=fixed, fixed_mask=mask, moving_mask=mask, field=there, modality="ct",
            backward_field=backward,
        )  # fmt: skip
        known = found["maps"]["consistency"].array
        assert known[known != NOT_MEASURED] == pytest.approx(expected, abs=1e-3)
        assert found["figures"]["inverse_consistency_mm"]["max"] == pytest.approx(expected, abs=1e-3)
    assert all(found["maps"][name].lattice == found["regions"].lattice for name in MAPS)
