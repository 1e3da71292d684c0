"""The lights: where they change, and that nothing is green that wasn't measured."""

import numpy as np
import pytest
from LungDeepRegLib.metrics import Distribution
from LungDeepRegLib.quality import DEFAULT_THRESHOLDS, MEANINGS, Light, Threshold, checks, overall

PERFECT = {
    "dice_before": 0.9,
    "dice_after": 0.99,
    "hausdorff95_mm": {"before": 20.0, "aligned": 10.0, "after": 1.0},
    "landmark_error_mm": None,
    "similarity": {"measure": "lncc", "before": 0.3, "after": 0.8},
    "folded_percent_lung": 0.0,
    "folded_percent": 0.0,
    "jacobian_lung": {"min": 0.8, "max": 1.6, "percent_outside": 0.0, "log_sd": 0.1},
    "mean_jacobian_lung": 1.2,
    "lung_volume_ratio": 1.2,
    "coverage_percent_lung": 100.0,
    "inverse_consistency_mm": {"mean": 0.5, "sd": 0.2, "median": 0.4, "p95": 1.0, "max": 2.0},
}


def pairs(*errors):
    return {"ds": Distribution.of(np.array(errors))}


def by_name(found):
    return {check.name: check for check in found}


class TestThreshold:
    @pytest.mark.parametrize(
        ("value", "light"),
        [(0.0, "green"), (2.0, "green"), (2.1, "yellow"), (3.0, "yellow"), (3.1, "red"), (None, "grey")],
    )
    def test_lower_is_better(self, value, light):
        assert Threshold(2.0, 3.0).light(value) is Light(light)

    @pytest.mark.parametrize(
        ("value", "light"),
        [(1.0, "green"), (0.9, "green"), (0.85, "yellow"), (0.8, "yellow"), (0.79, "red"), (float("nan"), "grey")],
    )
    def test_higher_is_better(self, value, light):
        assert Threshold(0.9, 0.8, higher_is_better=True).light(value) is Light(light)

    @pytest.mark.parametrize("wrong", [(3.0, 2.0, False), (0.8, 0.9, True), (float("nan"), 1.0, False)])
    def test_the_wrong_way_round(self, wrong):
        with pytest.raises(ValueError, match="expected good"):
            Threshold(*wrong)

    def test_every_default_says_what_it_is(self):
        assert MEANINGS.keys() == DEFAULT_THRESHOLDS.keys()


class TestChecks:
    def test_every_figure_has_its_light(self):
        found = by_name(checks(PERFECT, landmark_statistics=pairs(1, 1, 1, 1, 1)))
        assert found.keys() == DEFAULT_THRESHOLDS.keys() - {"given_landmark_error"}
        assert {check.light for check in found.values()} == {Light.GREEN}
        assert found["volume_agreement"].value == pytest.approx(0)
        assert found["dice"].note == "before 0.9"
        assert found["inverse_consistency"].note == "median 0.4, 95 % 1, max 2 mm"

    def test_nothing_measured_is_grey_and_says_what_is_needed(self):
        found = checks({})
        assert {check.light for check in found} == {Light.GREY}
        assert by_name(found)["dice"].note == "needs both lung masks"
        assert overall(found)[0] is Light.GREY

    def test_thresholds_can_be_changed(self):
        strict = {"dice": Threshold(0.995, 0.98, higher_is_better=True)}
        found = by_name(checks(PERFECT, strict))
        assert found["dice"].light is Light.YELLOW
        assert found["dice"].threshold == strict["dice"]
        assert found["coverage"].light is Light.GREEN

    def test_a_later_backward_run_replaces_the_summarys(self):
        given = {"mean": 5.0, "median": 4.0, "p95": 9.0, "max": 12.0}
        for consistency in (given, Distribution(5.0, 1.0, 4.0, 9.0, 12.0)):
            found = by_name(checks(PERFECT, consistency=consistency))["inverse_consistency"]
            assert (found.value, found.light) == (5.0, Light.RED)

    def test_mean_jacobian_the_wrong_way_round_is_seen(self):
        found = by_name(checks({**PERFECT, "mean_jacobian_lung": 1 / 1.2}))["volume_agreement"]
        assert found.light is Light.RED
        assert found.value == pytest.approx(100 * (1 - 1 / 1.44))

    def test_images_more_alike_without_the_registration(self):
        found = by_name(checks({**PERFECT, "similarity": {"before": 0.9, "after": 0.8}}))["similarity"]
        assert found.light is Light.YELLOW
        assert "more alike without" in found.note

    def test_any_folding_is_red(self):
        assert by_name(checks({**PERFECT, "folded_percent_lung": 0.001}))["folded"].light is Light.RED


class TestOverall:
    def test_overlap_and_jacobian_alone_are_never_enough(self):
        light, reasons = overall(checks(PERFECT))
        assert light is Light.GREY
        assert reasons[0].startswith("Not enough measured")

    def test_landmarks_that_came_with_the_images_are_not_enough(self):
        errors = {"after": {"ds": {"mean": 0.5, "median": 0.5, "p95": 1.0, "max": 1.0}}}
        found = checks({**PERFECT, "landmark_error_mm": errors})
        assert by_name(found)["given_landmark_error"].light is Light.GREEN
        assert overall(found)[0] is Light.GREY

    def test_green_takes_blind_pairs(self):
        light, reasons = overall(checks(PERFECT, landmark_statistics=pairs(1, 1.2, 0.9, 2, 1)))
        assert light is Light.GREEN
        assert reasons == ["Landmark error, placed blind: 1.22 mm"]

    def test_green_says_what_is_missing(self):
        found = checks({**PERFECT, "inverse_consistency_mm": None}, landmark_statistics=pairs(1, 1))
        assert overall(found) == (
            Light.GREEN,
            ["Landmark error, placed blind: 1 mm", "Not measured: Inverse consistency"],
        )

    def test_few_pairs_are_not_green(self):
        found = checks(PERFECT, landmark_statistics=pairs(1, 1), landmark_count=2)
        assert overall(found)[0] is Light.YELLOW
        assert "only 2 pairs" in by_name(found)["landmark_error"].note
        assert overall(checks(PERFECT, landmark_statistics=pairs(1, 1), landmark_count=11))[0] is Light.GREEN

    def test_a_mean_hides_no_pair_that_is_far_off(self):
        errors = pairs(*[0.5] * 10, 15.0)
        found = checks(PERFECT, landmark_statistics=errors, landmark_count=11)
        assert by_name(found)["landmark_error"].light is Light.YELLOW
        assert by_name(found)["landmark_error"].note.startswith(
            "one pair is 15 mm off, expected at most 5 mm; 11 pairs"
        )
        assert overall(found)[0] is Light.YELLOW
        given = {"after": {"ds": vars(errors["ds"])}}
        found = checks({**PERFECT, "landmark_error_mm": given})
        assert by_name(found)["given_landmark_error"].light is Light.YELLOW

    def test_good_landmarks_in_lungs_that_may_be_folded_are_not_green(self):
        light, reasons = overall(checks({}, landmark_statistics=pairs(1, 1, 1, 1, 1), landmark_count=5))
        assert light is Light.YELLOW
        assert "Folded in the lungs" in reasons[0]

    def test_red_beats_all(self):
        summary = {**PERFECT, "folded_percent_lung": 2.0, "dice_after": 0.85}
        light, reasons = overall(checks(summary, landmark_statistics=pairs(1, 1)))
        assert light is Light.RED
        assert reasons[:2] == ["Folded in the lungs: 2 %", "Dice of the lungs: 0.85"]
        assert overall(checks(PERFECT, landmark_statistics=pairs(8, 9)))[0] is Light.RED

    def test_yellow(self):
        light, reasons = overall(checks({**PERFECT, "dice_after": 0.85}, landmark_statistics=pairs(1, 1)))
        assert (light, reasons) == (Light.YELLOW, ["Dice of the lungs: 0.85"])
