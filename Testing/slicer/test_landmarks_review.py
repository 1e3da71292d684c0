"""The review of landmark pairs: eleven pairs of two observers, judged by keys, against values computed by hand."""

import json
from dataclasses import replace

import numpy as np
import pytest
from LungDeepRegLib.landmark_review.pairs import LandmarkPair, Provenance, State
from LungDeepRegLib.quality.thresholds import LANDMARKS

from Testing.slicer.gui import click
from Testing.slicer.scene import from_world, linear_transform
from Testing.slicer.standins.qt_module import qt

BEFORE, AFTER = (4, 6, 8, 2), (5, 7, 9, 3)
"""Columns of dx, dy, dz, ds."""
ROWS = ("", "Deformed", "+")


@pytest.fixture
def case(landmark_case):
    return landmark_case


@pytest.fixture
def places(pair):
    """Eleven places of the fixed image, with the same ones in the moving image."""
    return list(zip(pair.fixed_landmarks.points_ras, pair.moving_landmarks.points_ras, strict=True))[:11]


def place_all(case, places, shift=(0.0, 0.0, 0.0)):
    """Place pairs one after the other, the moving points some mm away from their true places."""
    case.start()
    for fixed, moving in places:
        case.place(fixed, moving + np.asarray(shift))
    case.stop()


def put_all(case, places):
    """The same pairs, where it doesn't matter how they came there."""
    case.desk.openLists()
    pairs = zip(range(1, len(places) + 1), places, strict=True)
    case.book.write([LandmarkPair(str(number), *place, "Observer 1") for number, place in pairs])
    qt.QApplication.processEvents()


def end_blindness(case):
    """Leave the blind review: the errors after registration are then shown."""
    click(case.ui.blindButton)
    assert not case.ui.blindButton.checked


def by_hand(fixed, moving):
    """|dx|, |dy|, |dz| and the distance, in mm."""
    difference = np.abs(np.asarray(fixed) - np.asarray(moving))
    return [*difference, np.sqrt((difference**2).sum())]


def shown(texts):
    return [float(text) for text in texts]


def statistics(case):
    """The table of statistics: title and axis to mean, SD, median, 95 %, max."""
    table, found, title = case.ui.statisticsTable, {}, ""
    for row in range(table.rowCount):
        if table.item(row, 0) is not None and row % 4 == 0:
            title = table.item(row, 0).text()
        found[title, table.item(row, 1).text()] = shown(table.item(row, column).text() for column in range(2, 7))
    return found


def five(values):
    return [np.mean(values), np.std(values), np.median(values), np.percentile(values, 95), np.max(values)]


def test_eleven_pairs_of_two_observers(case, places):
    place_all(case, places)
    clicked_a = dict(case.clicked)
    case.select("4")
    case.press(qt.Qt.Key_Delete)
    assert "Pair 4 is deleted" in case.status()
    labels = [str(number) for number in range(1, 12) if number != 4]
    assert case.labels() == labels
    assert [node.GetNumberOfControlPoints() for node in case.book.lists.both] == [10, 10]
    end_blindness(case)
    for label in labels:
        fixed, moving = (clicked_a[label][part] for part in ("fixed", "moving"))
        mapped = from_world(case.nodes.transform, fixed[None])[0]
        row = case.row(label)
        np.testing.assert_allclose(shown(row[column] for column in BEFORE), by_hand(fixed, moving), atol=0.051)
        np.testing.assert_allclose(shown(row[column] for column in AFTER), by_hand(mapped, moving), atol=0.051)
        assert row[10:] == ["manual, blind", "Observer 1"]

    case.observe("Reader B")
    assert case.labels() == []
    case.clicked.clear()
    place_all(case, places, shift=(1.5, -2.0, 3.0))
    assert not case.shows("Red", case.desk.observers.find("Observer 1").fixed)
    end_blindness(case)
    check_comparison(case, labels, clicked_a, dict(case.clicked))


def check_comparison(case, labels, a, b):
    """Table 2 of the paper: the observers beside the registration, over the pairs that both have."""
    case.ui.statisticsButton.collapsed = False
    case.ui.otherSelector.setCurrentIndex(case.ui.otherSelector.findText("Observer 1"))
    table = statistics(case)
    count = "10 pairs"
    of = {
        (who, part): np.array([clicked[label][part] for label in labels])
        for who, clicked in (("a", a), ("b", b))
        for part in ("fixed", "moving")
    }
    phi = {who: from_world(case.nodes.transform, of[who, "fixed"]) for who in "ab"}
    mean = {part: (of["a", part] + of["b", part]) / 2 for part in ("fixed", "moving")}
    expected = {
        "Observers, fixed volume": (of["a", "fixed"], of["b", "fixed"]),
        "Observers, moving volume": (of["a", "moving"], of["b", "moving"]),
        "After, first observer": (phi["b"], of["b", "moving"]),  # who works now
        "After, second observer": (phi["a"], of["a", "moving"]),
        "After, mean of observers": (from_world(case.nodes.transform, mean["fixed"]), mean["moving"]),
    }
    for title, points in expected.items():
        difference = np.abs(points[0] - points[1])
        for axis, name in enumerate(("dx", "dy", "dz")):
            np.testing.assert_allclose(table[f"{title}\n{count}", name], five(difference[:, axis]), atol=0.0051)
        np.testing.assert_allclose(
            table[f"{title}\n{count}", "ds"], five(np.linalg.norm(difference, axis=1)), atol=0.0051
        )
    own = np.array([by_hand(b[label]["fixed"], b[label]["moving"]) for label in b])  # eleven: its own statistics
    np.testing.assert_allclose(table["Before registration\n11 pairs", "ds"], five(own[:, 3]), atol=0.0051)


def test_a_row_brings_all_views_to_its_pair(case, places):
    place_all(case, places[:3])
    for compared in (False, True):
        click(case.ui.comparedButton if compared else case.ui.blindButton)
        for label in ("3", "1"):
            case.select(label)
            fixed, moving = (case.clicked[label][part] for part in ("fixed", "moving"))
            for row in ROWS if compared else ("", "+"):
                for view in (f"{name}{row}" for name in ("Red", "Green", "Yellow")):
                    assert case.distance(view, moving if row == "+" else fixed) < case.pixel_mm(view), view
                    assert abs(case.height(view, moving if row == "+" else fixed)) < 1e-3
            names = {row: case.shown(f"Red{row}").GetName() for row in (ROWS if compared else ("", "+"))}
            assert names[""] == case.nodes.fixed.GetName()
            assert names["+"] == case.nodes.moving.GetName()
            assert not compared or names["Deformed"] == case.nodes.warped.GetName()
        for name in ("Red", "Green", "Yellow"):
            assert case.pixel_mm(name) == pytest.approx(case.pixel_mm(f"{name}+"))
    assert case.yellow("Red", case.clicked["1"]["fixed"])
    assert case.yellow("Green+", case.clicked["1"]["moving"])


def test_the_views_are_given_back(case, places):
    before = case.view_state()
    place_all(case, places[:2])
    click(case.ui.comparedButton)
    case.select("2")
    click(case.ui.comparedButton)
    assert not case.ui.comparedButton.checked
    assert case.view_state() == before
    for node in case.book.lists.both:
        assert node.GetDisplayNode().GetVisibility()
        assert node.GetDisplayNode().GetNumberOfViewNodeIDs() == 0


def test_a_reviewer_goes_through_the_pairs_by_keys(case, places):
    place_all(case, places[:4])
    case.select("1")
    for key in (qt.Qt.Key_A, qt.Qt.Key_D, qt.Qt.Key_N, qt.Qt.Key_A, qt.Qt.Key_A):
        case.press(key)
    states = [case.book.pair(label).state for label in "1234"]
    assert states == [State.ACCEPTED, State.DOUBTFUL, State.ACCEPTED, State.ACCEPTED]
    assert "All pairs are reviewed" in case.status()
    for _ in range(2):
        case.press(qt.Qt.Key_U)
    assert [case.book.pair(label).state for label in "34"] != [State.ACCEPTED, State.ACCEPTED]
    case.ui.doubtfulCheckBox.checked = True
    assert "1 doubtful" in case.ui.leftOutLabel.text
    assert ("Before registration\n3 pairs", "ds") in statistics(case)


def test_rows_are_sorted_by_any_column(case, places):
    put_all(case, places)
    header = case.ui.pairsTable.horizontalHeader()
    assert case.labels() == [str(number) for number in range(1, 12)]  # 10 behind 9
    for column in (5, 7, 9):
        header.sectionClicked.emit(column)
        values = [float(case.cell(row, column)) for row in range(11)]
        assert values == sorted(values)
        header.sectionClicked.emit(column)
        assert [float(case.cell(row, column)) for row in range(11)] == sorted(values, reverse=True)
    header.sectionClicked.emit(0)
    case.select("7")
    case.press(qt.Qt.Key_A)
    header.sectionClicked.emit(1)
    assert case.labels()[-1] == "7"


def test_a_landmark_that_is_dragged_blindly_stays_blind_but_is_looked_at_again(case, places):
    place_all(case, places[:2])
    case.select("1")
    case.press(qt.Qt.Key_A)
    start = np.array(case.book.pair("1").moving_ras)
    target = case.drag("Red+", start, np.add(start, [9.0, 6.0, 0.0]))
    pair = case.book.pair("1")
    np.testing.assert_allclose(pair.moving_ras, target, atol=1.8)  # a pixel
    assert np.linalg.norm(np.subtract(pair.moving_ras, start)) > 8.0
    assert (pair.blind, pair.state) == (True, State.UNREVIEWED)
    click(case.ui.undoButton)
    pair = case.book.pair("1")
    np.testing.assert_allclose(pair.moving_ras, start, atol=1e-6)
    assert pair.state is State.ACCEPTED


def test_the_errors_are_hidden_until_the_blind_review_is_left(case, places):
    place_all(case, places[:3])
    table = statistics(case)
    assert ("Before registration\n3 pairs", "ds") in table
    assert not any(title.startswith("After") for title, _axis in table)
    assert "hidden until the blind review is left" in case.status()
    case.ui.pairsTable.horizontalHeader().sectionClicked.emit(AFTER[3])
    for label in "123":
        assert [case.row(label)[column] for column in AFTER] == [""] * 4
    assert case.labels() == ["1", "2", "3"]  # nor does their order tell
    end_blindness(case)
    assert all(case.row("1")[column] for column in AFTER)
    assert ("After registration\n3 pairs", "ds") in statistics(case)
    assert "hidden" not in case.status()


def test_a_row_opens_the_review_with_the_result_where_errors_are_seen(case, places):
    place_all(case, places[:2])
    case.select("1")
    assert case.ui.blindButton.checked
    end_blindness(case)
    case.select("2")
    assert case.ui.comparedButton.checked
    assert case.distance("RedDeformed", case.clicked["2"]["fixed"]) < case.pixel_mm("RedDeformed")


@pytest.mark.parametrize("how", ["review", "overlay", "table", "by hand"])
def test_what_is_moved_in_sight_of_the_result_no_longer_counts(case, places, how):
    place_all(case, places[:2])
    if how == "by hand":
        case.views["Green+"].composite.SetForegroundVolumeID(case.nodes.warped.GetID())
    else:
        end_blindness(case)
    if how == "review":
        click(case.ui.comparedButton)
    elif how == "overlay":
        click(case.widget.views.ui.overlayButton)
    view = "Red+" if how in ("review", "by hand") else "Red"
    start = np.array(case.book.pair("2").moving_ras)
    case.drag(view, start, np.add(start, [8.0, 0.0, 0.0]))
    assert case.book.pair("2").moving_provenance is Provenance.ASSISTED
    assert case.book.pair("1").blind
    assert "Pair 2 was moved while the registration's result was seen" in case.status()
    assert case.row("2")[10] == "manual, blind, assisted"
    assert "1 assisted" in case.ui.leftOutLabel.text
    assert ("Before registration\n1 pairs", "ds") in statistics(case)


def test_a_landmark_that_is_clicked_in_a_view_is_selected(case, places):
    place_all(case, places[:2])
    for label, view, part in (("1", "Red", "fixed"), ("2", "Green+", "moving"), ("1", "Yellow+", "moving")):
        place = np.array(getattr(case.book.pair(label), f"{part}_ras"))
        case.drag(view, place, place)
        assert case.desk.table.label == label
        assert (case.ui.lockButton.text == "Unlock (L)") == case.book.pair(label).locked
        if label == "2":
            case.desk.actions.go("1")
            case.press(qt.Qt.Key_L)  # a locked one can be clicked, too
    assert [case.book.pair(label).blind for label in "12"] == [True, True]


def test_what_slicers_own_key_puts_into_the_slice_is_noted(case, places):
    place_all(case, places[:2])
    case.select("1")
    case.press(qt.Qt.Key_A)
    place = np.array(case.book.pair("1").fixed_ras)
    node = case.views["Red"].node
    case.aim("Red", place)
    node.SetSliceOffset(node.GetSliceOffset() + 0.5)
    case.views["Red"].render()
    case.views["Red"].point(place, "EnterEvent", "MouseMoveEvent")
    case.views["Red"].interactor.SetKeyEventInformation(0, 0, "s", 1, "s")
    case.views["Red"].interactor.InvokeEvent("KeyPressEvent")
    qt.QApplication.processEvents()
    assert abs(case.height("Red", case.book.pair("1").fixed_ras)) < 1e-6
    assert case.book.pair("1").state is State.UNREVIEWED


def test_locked_pairs_stay_where_they_are(case, places):
    place_all(case, places[:2])
    case.select("1")
    case.press(qt.Qt.Key_L)
    assert "locked" in case.row("1")[1]
    place = np.array(case.book.pair("1").fixed_ras)
    case.drag("Red", place, np.add(place, [10.0, 0.0, 0.0]))
    np.testing.assert_array_equal(case.book.pair("1").fixed_ras, place)
    case.press(qt.Qt.Key_Delete)
    assert "found the pair 1 locked" in case.status()
    case.press(qt.Qt.Key_L)
    case.press(qt.Qt.Key_Delete)
    assert case.labels() == ["2"]


def test_the_landmark_under_the_mouse_is_deleted(case, places):
    place_all(case, places[:2])
    case.select("2")
    place = np.array(case.book.pair("1").fixed_ras)
    case.aim("Red", place)
    case.views["Red"].render()
    case.views["Red"].point(place, "EnterEvent", "MouseMoveEvent")
    case.press(qt.Qt.Key_Delete)
    assert case.labels() == ["2"]


def test_labels_are_changed_in_the_table(landmark_panel, places):
    case = landmark_panel
    put_all(case, places[:2])
    rename(case, "2", "carina")
    assert case.labels() == ["1", "carina"]
    assert [node.GetNthControlPointLabel(1) for node in case.book.lists.both] == ["carina", "carina"]
    rename(case, "1", "carina")
    assert "found the label carina already" in case.status()
    assert case.labels() == ["1", "carina"]
    case.press(qt.Qt.Key_U)
    assert case.labels() == ["1", "2"]


def rename(case, label, text):
    case.ui.pairsTable.item(case.labels().index(label), 0).setText(text)
    qt.QApplication.processEvents()


def test_two_points_of_one_name_are_named_and_nothing_is_lost(landmark_panel, places):
    case = landmark_panel
    put_all(case, places[:3])
    case.book.lists.moving.SetNthControlPointLabel(1, "1")
    qt.QApplication.processEvents()
    assert f"{case.book.lists.moving.GetName()}: found the label 1 more than once" in case.status()
    assert case.labels() == []
    case.book.lists.moving.SetNthControlPointLabel(1, "2")
    qt.QApplication.processEvents()
    assert case.labels() == ["1", "2", "3"]


def test_points_without_a_partner_are_named(landmark_panel, places):
    case = landmark_panel
    put_all(case, places[:3])
    case.book.lists.fixed.RemoveNthControlPoint(0)
    case.book.lists.moving.RemoveNthControlPoint(1)
    qt.QApplication.processEvents()
    assert case.labels() == ["2", "3"]
    assert case.row("2")[2:11] == [""] * 8 + ["no moving point"]
    assert "Moving points without a fixed one: 1" in case.status()
    assert "1 without a moving point" in case.ui.leftOutLabel.text


def test_a_transform_without_an_inverse_leaves_the_errors_before(landmark_panel, places):
    case = landmark_panel
    flat = linear_transform(case.scene, np.diag([1.0, 1.0, 0.0, 1.0]), "flat")
    put_all(case, places[:2])
    case.widget.onResult(type(case.nodes)(fixed=case.nodes.fixed, moving=case.nodes.moving, transform=flat))
    assert "flat: found a transform with the determinant 0" in case.status()
    assert all(case.row("1")[column] for column in BEFORE)
    assert [case.row("1")[column] for column in AFTER] == [""] * 4


def test_the_pairs_come_back_with_the_scene(case, places, tmp_path):
    from LungDeepRegLib.mrml.landmark_pairs import add_pair_lists, set_pairs

    pairs = [LandmarkPair(str(n), *place, "Observer 1") for n, place in enumerate(places, start=1)]
    pairs[1] = replace(pairs[1], state=State.DOUBTFUL, moving_provenance=Provenance.ASSISTED, locked=True)
    set_pairs(add_pair_lists("Observer 1", case.nodes.fixed, case.nodes.moving), pairs)
    case.session.save_scene(tmp_path / "review.mrb")
    case.session.load_scene(tmp_path / "review.mrb")
    assert case.labels() == [pair.label for pair in pairs]
    for was, now in zip(pairs, case.book.pairs, strict=True):
        np.testing.assert_allclose(now.fixed_ras, was.fixed_ras, atol=1e-6)
        np.testing.assert_allclose(now.moving_ras, was.moving_ras, atol=1e-6)
        assert replace(now, fixed_ras=was.fixed_ras, moving_ras=was.moving_ras) == was
    assert "doubtful, locked" in case.row("2")[1]


def test_the_quality_light_follows_the_pairs(case, places):
    figures = {"seconds_total": 1.0, "device": "cpu", "folded_percent": 0.0, "folded_percent_lung": None}
    case.widget.register.parameters.summary = json.dumps(figures)

    def light():
        return next(check for check in case.widget.quality.checks() if check.name == LANDMARKS)

    assert light().value is None
    place_all(case, places)
    shown_error = case.panel.statistics()[0]["ds"].mean
    assert light().value == pytest.approx(shown_error)
    assert f"{shown_error:.3g} mm" in case.widget.quality.ui.checksTable.item(0, 2).text()
