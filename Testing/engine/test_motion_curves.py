"""Landmarks over the phases of a 4D image, against positions that are known."""

import csv

import numpy as np
import pytest
from LungDeepRegLib.image_io.files import FileError
from LungDeepRegLib.landmarks import LandmarkError, Landmarks
from LungDeepRegLib.motion_curves import motion_curves, write_motion_curves

LANDMARKS = Landmarks(np.array([[10.0, 20.0, 30.0], [-40.0, 5.0, -60.0]]), ("tip", "base"), "vessels")


def shift(*mm):
    return lambda points: points + np.array(mm, dtype=float)


def breath():
    """The second phase is the reference; the base moves twice as far as the tip."""

    def inhale(points):
        return points + np.array([[0.0, 3.0, -4.0], [0.0, 6.0, -8.0]])

    return motion_curves(LANDMARKS, [("50 %", inhale), ("0 %", None), ("20 %", shift(0, 0, 12))])


def test_positions_displacements_and_amplitudes_by_hand():
    curves = breath()
    assert (curves.labels, curves.phases, curves.reference) == (("tip", "base"), ("50 %", "0 %", "20 %"), 1)
    np.testing.assert_array_equal(curves.positions[1], LANDMARKS.points_ras)
    np.testing.assert_array_equal(curves.positions[0], [[10, 23, 26], [-40, 11, -68]])
    np.testing.assert_array_equal(curves.displacement[:, 0], [[0, 3, -4], [0, 0, 0], [0, 0, 12]])
    np.testing.assert_allclose(curves.distance, [[5, 10], [0, 0], [12, 12]])
    # The greatest way of the tip is from 50 % to 20 %, neither of which is the reference.
    np.testing.assert_allclose(curves.amplitude, [np.hypot(3, 16), np.hypot(6, 20)])


def test_amplitude_does_not_depend_on_the_reference():
    at_inhale = Landmarks(breath().positions[0], LANDMARKS.labels)
    back = motion_curves(at_inhale, [("50 %", None), ("0 %", lambda points: points * 0 + LANDMARKS.points_ras)])
    np.testing.assert_allclose(back.amplitude, [5, 10])
    np.testing.assert_allclose(back.displacement[1], [[0, -3, 4], [0, -6, 8]])


def test_csv_holds_every_figure(tmp_path):
    write_motion_curves(tmp_path / "curves.csv", breath())
    comment, *lines = (tmp_path / "curves.csv").read_text(encoding="utf-8").splitlines()
    assert "RAS" in comment
    assert "reference phase: 0 %" in comment
    rows = list(csv.DictReader(lines))
    assert [(row["landmark"], row["phase"]) for row in rows[:4]] == [
        ("tip", "50 %"),
        ("tip", "0 %"),
        ("tip", "20 %"),
        ("base", "50 %"),
    ]
    found = {name: float(value) for name, value in rows[3].items() if name not in ("landmark", "phase")}
    expected = {"r": -40, "a": 11, "s": -68, "dr": 0, "da": 6, "ds": -8, "displacement_mm": 10}
    assert found == pytest.approx({**expected, "amplitude_mm": np.hypot(6, 20)}, abs=1e-4)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(FileError, match="nowhere"):
        write_motion_curves(tmp_path / "nowhere" / "curves.csv", breath())


@pytest.mark.parametrize(
    ("phases", "message"),
    [
        ([("0", shift(0, 0, 1))], "found 0 reference phases among 0, expected one"),
        ([("0", None), ("1", None)], "found 2 reference phases among 0, 1, expected one"),
        ([("0", None), ("1", shift(1, 0, 0)), ("1", shift(2, 0, 0))], "found the phases 1 more than once"),
        ([("0", None), ("1", lambda points: points * np.nan)], "1: found points of shape .* not finite"),
        ([("0", None), ("1", lambda points: points[:1])], r"1: found points of shape \(1, 3\)"),
    ],
)
def test_phases_that_make_no_curve_are_refused(phases, message):
    with pytest.raises(LandmarkError, match=message):
        motion_curves(LANDMARKS, phases)


def test_labels_that_stand_twice_are_refused():
    twice = Landmarks(np.zeros((2, 3)), ("carina", "carina"), "vessels")
    with pytest.raises(LandmarkError, match="vessels: found the labels carina more than once"):
        motion_curves(twice, [("0", None)])
