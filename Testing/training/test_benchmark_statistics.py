"""Tests of one method against others: by hand, paired, corrected, and honest about pairs that share a patient."""

import numpy as np
import pytest

from Testing.training.made_up_records import cohort_records, landmarks, record
from training.benchmarking.record import DRAWN, REST, VALIDATION
from training.benchmarking.statistics import (
    DEFAULT,
    DICE,
    LANDMARKS,
    compare,
    comparisons,
    distribution,
    holm,
    landmark_mm,
    signed_rank,
    true_landmark_mm,
)


def dices(method, values, group=VALIDATION):
    return [
        record(method, f"{fixed} exhale", f"{moving} inhale", group, dice=value)
        for (fixed, moving), value in values.items()
    ]


class TestHolm:
    def test_by_hand(self):
        assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
        assert holm([0.2, 0.001, 0.9, 0.02]) == pytest.approx([0.4, 0.004, 0.9, 0.06])

    def test_never_above_one_and_never_in_another_order(self):
        p = np.random.default_rng(0).random(20)
        found = np.array(holm(p.tolist()))
        assert (found >= p).all()
        assert found.max() == 1
        assert (np.diff(found[np.argsort(p)]) >= 0).all()
        assert holm([]) == []


class TestSignedRank:
    def test_all_thirteen_better_is_the_least_p_there_is(self):
        assert signed_rank(np.arange(1.0, 14)) == pytest.approx(2 / 2**13)

    def test_by_hand(self):
        # ranks 1 (negative), 2, 3, 4: 1 below; W = 0 or 1 has 2 of 16 sign patterns, twice for both sides
        assert signed_rank(np.array([-1.0, 2, 3, 4])) == pytest.approx(4 / 16)

    def test_no_difference_at_all(self):
        assert signed_rank(np.zeros(5)) == 1


class TestCompare:
    def test_pairs_are_paired_by_their_images_not_by_their_order(self):
        ours = dices("a", {("P1", "P1"): 0.9, ("P2", "P2"): 0.8, ("P3", "P3"): 0.7})
        theirs = dices("b", {("P3", "P3"): 0.68, ("P2", "P2"): 0.79, ("P1", "P1"): 0.93})
        found = compare(DICE, "", ours, theirs, by_patient=False)
        assert (found.method, found.other, found.n, found.better) == ("a", "b", 3, 2)
        assert found.median == pytest.approx(1.0)

    def test_less_distance_is_better(self):
        ours, theirs = (
            [record(name, landmarks={"1": landmarks(ds), "2": landmarks(ds + 2)})] for name, ds in (("a", 3), ("b", 5))
        )
        found = compare(LANDMARKS, "", ours, theirs, by_patient=False)
        assert (found.median, found.better) == (pytest.approx(-2), 1)

    def test_combinations_count_once_a_fixed_patient(self):
        pairs = [("P1", "P2"), ("P1", "P3"), ("P1", "P4"), ("P2", "P1")]
        ours = dices("a", dict(zip(pairs, (0.9, 0.8, 0.7, 0.5), strict=True)), DRAWN)
        theirs = dices("b", dict.fromkeys(pairs, 0.6), DRAWN)
        found = compare(DICE, "", ours, theirs, by_patient=True)
        assert (found.registrations, found.n, found.better) == (4, 2, 1)
        assert found.median == pytest.approx((20 - 10) / 2)

    def test_the_signed_ranks_say_who_is_ahead_not_the_count(self):
        pairs = [(f"P{n}", f"P{n}") for n in range(5)]
        theirs = dices("b", dict.fromkeys(pairs, 0.5))
        for values, better, ahead in (((0.5, 0.5, 0.5, 0.6, 0.7), 2, True), ((0.51, 0.52, 0.53, 0.1, 0.2), 3, False)):
            found = compare(DICE, "", dices("a", dict(zip(pairs, values, strict=True))), theirs, by_patient=False)
            assert (found.better, found.ahead) == (better, ahead)

    def test_failures_leave_their_pair_out_and_are_counted(self):
        ours = dices("a", {("P1", "P1"): 0.9, ("P2", "P2"): 0.8})
        theirs = [*dices("b", {("P1", "P1"): 0.7}), record("b", "P2 exhale", "P2 inhale", error="it broke")]
        found = compare(DICE, "", ours, theirs, by_patient=False)
        assert (found.n, found.left_out, found.better) == (1, 1, 1)
        assert compare(DICE, "", ours, [theirs[1]], by_patient=False) is None


class TestComparisons:
    def test_costly_methods_are_compared_on_the_drawn_combinations_alone(self):
        tests = comparisons(cohort_records(4, 5), ("syn", "refine"))
        combined = {test.other: test for test in tests if test.pairs.endswith("combinations")}
        assert (combined["syn"].pairs, combined["syn"].registrations) == ("drawn combinations", 5)
        assert (combined["refine"].pairs, combined["refine"].registrations) == ("combinations", 16)
        assert combined["refine"].n == 4
        assert combined["syn"].left_out == combined["refine"].left_out == 0

    def test_without_more_than_the_drawn_combinations_no_test_is_called_one_of_all(self):
        records = [one for one in cohort_records(4, 5) if one.group != REST]
        assert {test.pairs for test in comparisons(records, ("refine",))} == {"inhale-exhale", "drawn combinations"}
        within = [one for one in records if one.group == VALIDATION]
        assert {test.pairs for test in comparisons(within, ("refine",))} == {"inhale-exhale"}

    def test_each_measure_is_corrected_for_its_own_tests(self):
        tests = comparisons(cohort_records(4, 5), ("syn", "refine", "affine"))
        assert len(tests) == 4 * 3
        for start in range(0, 12, 3):
            part = tests[start : start + 3]
            assert len({test.measure for test in part}) == 1
            assert [test.p_holm for test in part] == pytest.approx(holm([test.p for test in part]))

    def test_without_ours_or_without_others_nothing_is_tested(self):
        records = cohort_records(3, 2)
        assert comparisons([one for one in records if one.method != DEFAULT], ("syn",)) == []
        assert comparisons(records, ()) == []


class TestMeasures:
    def test_both_observers_count_alike_and_the_truth_apart(self):
        both = record(landmarks={"1": landmarks(3), "2": landmarks(5), "truth": landmarks(1)})
        assert landmark_mm(both) == 4
        assert landmark_mm(both, "dy") == pytest.approx(2.8)
        assert true_landmark_mm(both) == 1
        assert landmark_mm(record(landmarks={"2": landmarks(5)})) == 5
        assert landmark_mm(record()) is true_landmark_mm(record()) is None

    def test_what_is_not_known_is_in_no_mean(self):
        records = [record(dice=0.5), record(error="it broke"), record(dice=0.9)]
        found, n = distribution(records, DICE.value)
        assert (found.mean, found.sd, n) == (pytest.approx(70), pytest.approx(20), 2)
        assert distribution([records[1]], DICE.value) == (None, 0)

    def test_groups(self):
        groups = {one.group for one in cohort_records(4, 5) if one.method == DEFAULT}
        assert groups == {VALIDATION, DRAWN, REST}
