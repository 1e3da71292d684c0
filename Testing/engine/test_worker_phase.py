"""The worker's task for a phase of a 4D image: what a series keeps of a registration, and no more."""

import numpy as np
import pytest
from LungDeepRegLib.phantom import PhantomConfig, PhantomSeries, chest_lattice
from LungDeepRegLib.worker.exchange import load, save
from LungDeepRegLib.worker.messages import STAGES
from LungDeepRegLib.worker.phase_task import FIGURES, phase
from LungDeepRegLib.worker.tasks import Tasks

SERIES = PhantomSeries(PhantomConfig(motion_mm=25.0, landmarks=8), 4, chest_lattice(12.0))
OPTIONS = {"alignment": "none"}


@pytest.fixture(scope="module")
def request_of_phase():
    fixed, moving = (SERIES.image(number)[0] for number in (0, 2))
    return {"fixed": fixed, "moving": moving, "options": OPTIONS, "weights": "none", "warped_wanted": True}


@pytest.fixture(scope="module")
def answer(request_of_phase):
    stages = []
    found = Tasks({}).table()["phase"](request_of_phase, lambda stage, fraction: stages.append(stage))
    assert set(stages) <= set(STAGES["phase"])
    return found


def test_a_phase_is_registered(answer, request_of_phase):
    start, there = (SERIES.landmarks(number).points_ras for number in (0, 2))
    assert np.linalg.norm(answer["field"](start) - there, axis=1).mean() < 3  # mm, with voxels of 12 mm
    assert np.linalg.norm(start - there, axis=1).mean() > 8
    assert answer["warped"].lattice == request_of_phase["fixed"].lattice
    assert set(answer["figures"]) == set(FIGURES)
    assert answer["figures"]["dice_after"] > answer["figures"]["dice_before"]


def test_the_reference_s_lungs_are_as_good_as_found_anew(answer, request_of_phase):
    given = {**request_of_phase, "fixed_mask": [answer["fixed_lungs"]]}
    again = Tasks({}).table()["phase"](given, lambda stage, fraction: None)
    np.testing.assert_array_equal(again["field"].vectors, answer["field"].vectors)


def test_the_deformed_volume_is_passed_only_if_it_is_wanted(request_of_phase, answer):
    class Found:
        field, warped, fixed_lungs = answer["field"], answer["warped"], None
        summary = dict.fromkeys(FIGURES)

    request = {**request_of_phase, "warped_wanted": False}
    assert phase(lambda request, progress: Found, request, print)["warped"] is None
    assert phase(lambda request, progress: Found, request_of_phase, print)["warped"] is answer["warped"]


def test_the_answer_can_be_passed(answer, tmp_path):
    save(answer, tmp_path / "answer")
    back = load(tmp_path / "answer")
    assert list(back) == ["field", "warped", "fixed_lungs", "figures"]
    np.testing.assert_array_equal(back["field"].vectors, answer["field"].vectors)
