import numpy as np
import pytest
from LungDeepRegLib.landmarks import LandmarkError, Landmarks, matched

POINTS = np.array([[1.0, 2.0, 3.0], [-4.0, 5.0, -6.0], [7.0, 8.0, 9.5]])


def test_points_are_a_read_only_copy():
    source = POINTS.copy()
    landmarks = Landmarks(source, ["a", "b", "c"], "fixed.csv")
    source[0] = 99
    assert landmarks.points_ras[0, 0] == 1
    assert landmarks.points_ras.dtype == np.float64
    assert landmarks.labels == ("a", "b", "c")
    assert len(landmarks) == 3
    with pytest.raises(ValueError, match="read-only"):
        landmarks.points_ras[0, 0] = 5


@pytest.mark.parametrize("points", [np.zeros((0, 3)), np.zeros((3, 2)), np.zeros(3)])
def test_shape_is_checked(points):
    with pytest.raises(LandmarkError, match=r"fixed\.csv: found points of shape"):
        Landmarks(points, ("a",) * len(points), "fixed.csv")


def test_count_of_labels_is_checked():
    with pytest.raises(LandmarkError, match="found 2 labels for 3 points"):
        Landmarks(POINTS, ("a", "b"))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_bad_coordinates_are_named(value):
    points = POINTS.copy()
    points[1, 2] = value
    with pytest.raises(LandmarkError, match="NaN or infinite coordinates at carina, expected"):
        Landmarks(points, ("a", "carina", "c"))


def test_same_labels_pair_in_the_order_of_fixed():
    fixed = Landmarks(POINTS, ("a", "b", "c"))
    moving = Landmarks(POINTS[[2, 0, 1]] + 100, ("c", "a", "b"))
    x, y, labels = matched(fixed, moving)
    assert labels == ("a", "b", "c")
    np.testing.assert_array_equal(x, POINTS)
    np.testing.assert_array_equal(y, POINTS + 100)


@pytest.mark.parametrize("labels", [("F-1", "F-2", "F-3"), ("a", "a", "b")])
def test_other_or_repeated_labels_pair_by_order(labels):
    fixed = Landmarks(POINTS, labels)
    moving = Landmarks(POINTS[::-1], ("b", "a", "a"))
    x, y, paired = matched(fixed, moving)
    np.testing.assert_array_equal(x, POINTS)
    np.testing.assert_array_equal(y, POINTS[::-1])
    assert paired == labels


def test_other_counts_and_labels_are_refused_by_name():
    fixed = Landmarks(POINTS, ("a", "b", "c"), "fixed.csv")
    moving = Landmarks(POINTS[:2], ("a", "z"), "moving.csv")
    with pytest.raises(LandmarkError) as caught:
        matched(fixed, moving)
    message = str(caught.value)
    assert "3 points in fixed.csv and 2 in moving.csv" in message
    assert "only in fixed.csv: b, c" in message
    assert "only in moving.csv: z" in message


def test_labels_that_agree_only_in_part_are_not_paired_by_order():
    points = np.arange(9.0).reshape(3, 3)
    fixed = Landmarks(points, ("carina", "a", "b"), "fixed.csv")
    moving = Landmarks(points, ("b", "c", "carina"), "moving.csv")
    with pytest.raises(LandmarkError, match=r"only in fixed\.csv: a; only in moving\.csv: c"):
        matched(fixed, moving)
