"""Pairs, their errors and statistics, and two observers, against values computed by hand."""

import numpy as np
import pytest
from LungDeepRegLib.landmark_review.observers import Comparison, compare
from LungDeepRegLib.landmark_review.pairs import LandmarkPair, Provenance, State, check_labels
from LungDeepRegLib.landmark_review.table import Exclusion, errors, exclusion, left_out, statistics
from LungDeepRegLib.landmarks import LandmarkError


def shifted(points):
    """A registration that moves everything by (1, -2, 2) mm."""
    assert points.ndim == 2
    return points + np.array([1.0, -2.0, 2.0])


MANUAL = [
    LandmarkPair("a", (0, 0, 0), (3, -4, 0)),  # before 3 4 0 5; after 2 2 2
    LandmarkPair("b", (10, 0, 0), (11, -2, 2), state="accepted"),  # before 1 2 2 3; after 0
    LandmarkPair("c", (0, 10, 0), (0, 10, 12), state="doubtful"),  # before 0 0 12; after 1 2 10
]
OTHERS = [
    LandmarkPair("d", (0, 0, 5)),
    LandmarkPair("e", (0, 0, 6), (0, 0, 6), moving_provenance="assisted"),
    LandmarkPair("f", (0, 0, 7), (0, 0, 7), fixed_provenance="automatic", moving_provenance="assisted"),
]


def test_pairs_are_checked_and_compare_by_value():
    pair = LandmarkPair("x", np.array([1, 2, 3]), [4, 5, 6.5], "A", "manual", "assisted", "accepted", locked=True)
    assert pair.fixed_ras == (1.0, 2.0, 3.0)
    assert pair.moving_ras == (4.0, 5.0, 6.5)
    assert (pair.moving_provenance, pair.state) == (Provenance.ASSISTED, State.ACCEPTED)
    assert pair == LandmarkPair("x", (1, 2, 3), (4, 5, 6.5), "A", "manual", "assisted", "accepted", locked=True)
    with pytest.raises(LandmarkError, match=r"x, moving image: found the position \[1, 2\], expected three finite"):
        LandmarkPair("x", (1, 2, 3), (1, 2))
    with pytest.raises(LandmarkError, match="x, fixed image"):
        LandmarkPair("x", (1, 2, np.nan))
    with pytest.raises(LandmarkError, match="without a label"):
        LandmarkPair(" ", (1, 2, 3))
    with pytest.raises(ValueError, match="'fine' is not a valid State"):
        LandmarkPair("x", (1, 2, 3), state="fine")


def test_only_two_manual_points_are_blind():
    assert [pair.blind for pair in [*MANUAL, *OTHERS]] == [True, True, True, False, False, False]
    assert not LandmarkPair("x", (1, 2, 3), (1, 2, 3), fixed_provenance="assisted").blind


def test_labels_that_stand_twice_are_named():
    check_labels(MANUAL, "list")
    with pytest.raises(LandmarkError, match="list: found more than one landmark pair with the label b, a, expected"):
        check_labels([MANUAL[1], *MANUAL, MANUAL[0]], "list")


def test_errors_pair_by_pair():
    rows = errors([*MANUAL, *OTHERS], shifted)
    assert [row.pair.label for row in rows] == list("abcdef")
    assert [vars(row.before) for row in rows[:3]] == [
        {"dx": 3, "dy": 4, "dz": 0, "ds": 5},
        {"dx": 1, "dy": 2, "dz": 2, "ds": 3},
        {"dx": 0, "dy": 0, "dz": 12, "ds": 12},
    ]
    assert [(row.after.dx, row.after.dy, row.after.dz) for row in rows[:3]] == [(2, 2, 2), (0, 0, 0), (1, 2, 10)]
    assert rows[0].after.ds == pytest.approx(12**0.5)
    assert (rows[3].before, rows[3].after) == (None, None)
    assert errors(MANUAL, None)[0].after is None
    assert errors([], shifted) == []
    with pytest.raises(LandmarkError, match="the registration takes a, b, c to no place"):
        errors(MANUAL, lambda points: points * np.nan)


def test_statistics_are_those_of_blind_manual_pairs():
    rows = errors([*OTHERS, *MANUAL], shifted)
    before, after = statistics(rows, "before"), statistics(rows)
    assert before["ds"].mean == pytest.approx((5 + 3 + 12) / 3)
    assert before["ds"].sd == pytest.approx(np.std([5, 3, 12]))
    assert (before["dz"].median, before["dz"].max) == (2, 12)
    assert after["dx"].mean == pytest.approx(1)
    assert after["dz"].p95 == pytest.approx(np.percentile([2, 0, 10], 95))
    assert statistics(rows, "after", doubtful=False)["dz"].max == 2
    assert statistics(errors(OTHERS, shifted)) is None
    assert statistics([]) is None
    assert statistics(errors(MANUAL, None), "after") is None


def test_what_is_left_out_is_counted_with_its_reason():
    rows = errors([*MANUAL, *OTHERS], shifted)
    reasons = {Exclusion.UNPAIRED: 1, Exclusion.ASSISTED: 1, Exclusion.AUTOMATIC: 1}
    assert left_out(rows) == reasons
    assert left_out(rows, doubtful=False) == {**reasons, Exclusion.DOUBTFUL: 1}
    assert left_out(errors(MANUAL, None), "after") == {Exclusion.UNREGISTERED: 3}
    assert exclusion(rows[0]) is None
    with pytest.raises(ValueError, match="found 'aligned', expected before or after"):
        statistics(rows, "aligned")


FIRST = [
    LandmarkPair("a", (0, 0, 0), (1, 0, 0), "A"),
    LandmarkPair("b", (10, 0, 0), (11, -2, 2), "A"),
    LandmarkPair("assisted", (10, 0, 0), (11, -2, 2), "A", moving_provenance="assisted"),
    LandmarkPair("only A", (10, 0, 0), (11, -2, 2), "A"),
]
SECOND = [
    LandmarkPair("b", (10, 0, 4), (11, -2, 2), "B"),
    LandmarkPair("assisted", (10, 0, 0), (11, -2, 2), "B"),
    LandmarkPair("a", (0, 2, 0), (1, 0, 6), "B"),
    LandmarkPair("unplaced", (0, 2, 0), None, "B"),
]


def test_two_observers_beside_the_registration():
    found = compare(FIRST, SECOND, shifted)
    assert found.labels == ("a", "b")
    assert found.left_out == ("assisted", "only A", "unplaced")
    rows = {row.what: row.distances for row in found.rows}
    assert list(rows) == list(Comparison)
    assert rows[Comparison.OBSERVERS_FIXED]["ds"].mean == pytest.approx((2 + 4) / 2)
    assert rows[Comparison.OBSERVERS_FIXED]["dz"].max == 4
    assert rows[Comparison.OBSERVERS_MOVING]["ds"].mean == pytest.approx((6 + 0) / 2)
    # a: phi gives (1, -2, 2), found (1, 0, 0); b is exact.
    assert rows[Comparison.AFTER_A]["ds"].mean == pytest.approx(8**0.5 / 2)
    # a: (1, 0, 2) and (1, 0, 6); b: (11, -2, 6) and (11, -2, 2).
    assert rows[Comparison.AFTER_B]["ds"].mean == pytest.approx((4 + 4) / 2)
    # Means. a: (0, 1, 0) -> (1, -1, 2) and (1, 0, 3); b: (10, 0, 2) -> (11, -2, 4) and (11, -2, 2).
    assert rows[Comparison.AFTER_MEAN]["ds"].mean == pytest.approx((2**0.5 + 2) / 2)
    # Before, means. a: (0, 1, 0) and (1, 0, 3); b: (10, 0, 2) and (11, -2, 2).
    assert rows[Comparison.BEFORE]["dx"].mean == pytest.approx(1)
    assert rows[Comparison.BEFORE]["ds"].mean == pytest.approx((11**0.5 + 5**0.5) / 2)
    assert [row.what for row in compare(FIRST, SECOND, None).rows] == list(Comparison)[:3]


def test_observers_without_a_common_blind_pair_are_refused():
    with pytest.raises(LandmarkError, match=r"no label in common between the blind manual pairs of A and B.*only A"):
        compare(FIRST[2:], SECOND, shifted)
    with pytest.raises(LandmarkError, match="of A and the second list"):
        compare(FIRST, [], shifted)
    with pytest.raises(LandmarkError, match="B: found more than one landmark pair with the label a,"):
        compare(FIRST, [*SECOND, SECOND[2]], shifted)
