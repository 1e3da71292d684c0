"""Placing landmark pairs by clicks in the views: blind, without a trace where it is given up."""

import sys

import numpy as np
import pytest
from LungDeepRegLib.landmark_review.pairs import Provenance

from Testing.slicer.gui import click
from Testing.slicer.scene import linear_transform
from Testing.slicer.standins.qt_module import qt

FIXED_VIEWS, MOVING_VIEWS = ("Red", "Green", "Yellow"), ("Red+", "Green+", "Yellow+")


@pytest.fixture
def case(landmark_case):
    return landmark_case


@pytest.fixture
def places(pair):
    """The same places in both images."""
    return list(zip(pair.fixed_landmarks.points_ras, pair.moving_landmarks.points_ras, strict=True))


class Worker:
    """Answers what it is told to, when it is told to."""

    def __init__(self, patch, case):
        self.requests, self.waiting, self.canceled = [], None, 0
        patch.setattr(case.desk.placing.assistant, "_runner", self)
        patch.setattr(sys.modules["LungDeepRegWidgets.landmarks.assistant"], "ensureTorch", lambda: None)

    def run(self, name, request, *, onDone, onFailed):
        self.requests.append((name, request))
        self.waiting = onDone, onFailed

    def cancel(self):
        self.waiting, self.canceled = None, self.canceled + 1

    def answer(self, points):
        (on_done, _), self.waiting = self.waiting, None
        on_done({"points": np.asarray(points).tolist(), "scores": [0.9], "distinctiveness": [0.5] * len(points)})
        qt.QApplication.processEvents()

    def fail(self, message):
        (_, on_failed), self.waiting = self.waiting, None
        on_failed(message)


def lists_in(scene):
    return [node.GetName() for node in scene_nodes(scene) if node.GetName().startswith("Landmarks")]


def scene_nodes(scene):
    return [scene.GetNthNode(number) for number in range(scene.GetNumberOfNodes())]


def placing(case):
    interaction = case.scene.GetFirstNodeByClass("vtkMRMLInteractionNode")
    return interaction.GetCurrentInteractionMode() == interaction.Place


def test_two_clicks_make_a_pair_at_their_places(case, places):
    case.start()
    assert "click the landmark in the fixed volume" in case.status()
    for views, (fixed, moving) in zip(zip(FIXED_VIEWS, MOVING_VIEWS, strict=True), places, strict=False):
        label = case.place(fixed, moving, views)
        pair = case.book.pair(label)
        np.testing.assert_allclose(pair.fixed_ras, case.clicked[label]["fixed"], atol=1e-3)
        np.testing.assert_allclose(pair.moving_ras, case.clicked[label]["moving"], atol=1e-3)
        np.testing.assert_allclose(pair.fixed_ras, fixed, atol=1.5)
        assert pair.blind
        assert pair.observer == "Observer 1"
        assert case.desk.table.label == label
    assert case.labels() == ["1", "2", "3"]
    assert placing(case)  # the next one, until Esc
    case.stop()
    assert not placing(case)
    assert "3 pairs, 3 of them not reviewed" in case.status()


def test_one_pair_only_where_it_is_not_to_go_on(case, places):
    click(case.ui.placeButton)
    case.stop()
    case.ui.goOnCheckBox.checked = False
    case.start()
    case.place(*places[0])
    assert not placing(case)
    assert len(case.book.pairs) == 1


def test_a_click_shows_the_place_in_the_other_views_of_the_image(case, places):
    case.start()
    start = {view: case.views[view].node.GetSliceOffset() for view in MOVING_VIEWS}
    hit = case.click_at("Red", places[0][0])
    for view in FIXED_VIEWS:
        assert abs(case.height(view, hit)) < 1e-3
    near = [abs(case.height(view, hit)) for view in MOVING_VIEWS]
    assert max(near) < 1e-3  # the same place of the scanner's space: the registration takes it 30 mm away
    assert {view: case.views[view].node.GetSliceOffset() for view in MOVING_VIEWS} != start
    there = case.click_at("Green+", places[0][1])
    for view in MOVING_VIEWS:
        assert abs(case.height(view, there)) < 1e-3


def test_nothing_of_the_registration_is_seen_meanwhile(case, places):
    click(case.widget.views.ui.overlayButton)
    case.start()
    case.click_at("Red", places[0][0])
    assert case.desk.views.blind
    shown = {case.shown(view).GetName() for view in case.views.shown()}
    assert shown == {case.nodes.fixed.GetName(), case.nodes.moving.GetName()}
    click(case.widget.views.ui.overlayButton)  # the result is looked at: placing ends
    assert not placing(case)
    assert case.book.pairs == []


def test_a_click_in_the_other_image_does_not_count(case, places):
    case.start()
    case.click_at("Red+", places[0][1])
    assert case.desk.placing.gesture.part == "fixed"
    case.click_at("Red", places[0][0])
    case.click_at("Yellow", places[0][0])
    assert case.desk.placing.gesture.part == "moving"
    case.click_at("Yellow+", places[0][1])
    assert len(case.book.pairs) == 1


@pytest.mark.parametrize(
    ("how", "clicks"),
    [
        ("Esc", 0),
        ("Esc", 1),
        ("right click", 1),
        ("row", 1),
        ("button", 0),
        ("something else", 1),
        ("another tool", 1),
        ("another module", 1),
    ],
)
def test_giving_up_leaves_no_trace(case, places, how, clicks):
    selection = case.session.app.applicationLogic().GetSelectionNode()
    before = selection.GetActivePlaceNodeID()
    case.start()
    if how == "row":  # the first pair is there already
        case.place(*places[1])
    kept = len(case.book.pairs)
    if clicks:
        case.click_at("Red", places[0][0])
    case.views["Green+"].point(places[0][1], "EnterEvent", "MouseMoveEvent")
    case.views["Green"].point(places[0][0], "EnterEvent", "MouseMoveEvent")
    give_up(case, how, "Green+" if clicks else "Green", places[0])
    qt.QApplication.processEvents()
    assert not case.desk.placing.active
    assert len(case.book.pairs) == kept
    if not kept:
        assert lists_in(case.scene) == []
    else:
        assert [node.GetNumberOfControlPoints() for node in case.book.lists.both] == [kept, kept]
    interaction = case.session.app.applicationLogic().GetInteractionNode()
    if how == "another tool":
        assert interaction.GetCurrentInteractionMode() == interaction.AdjustWindowLevel
        interaction.SwitchToViewTransformMode()
    if how != "something else":
        assert not placing(case)
        assert selection.GetActivePlaceNodeID() == before


def give_up(case, how, view, place):
    if how == "Esc":
        case.press(qt.Qt.Key_Escape)
    elif how == "right click":
        case.views[view].point(place[0], "RightButtonPressEvent", "RightButtonReleaseEvent")
    elif how == "row":
        case.select("1")
    elif how == "button":
        click(case.ui.placeButton)
    elif how == "another tool":
        interaction = case.session.app.applicationLogic().GetInteractionNode()
        interaction.SetCurrentInteractionMode(interaction.AdjustWindowLevel)
    elif how == "another module":
        case.widget.exit()
    else:
        selection = case.session.app.applicationLogic().GetSelectionNode()
        ruler = case.scene.AddNewNodeByClass("vtkMRMLMarkupsLineNode")
        selection.SetReferenceActivePlaceNodeClassName("vtkMRMLMarkupsLineNode")
        selection.SetActivePlaceNodeID(ruler.GetID())
        qt.QApplication.processEvents()
        assert placing(case)
        case.session.app.applicationLogic().GetInteractionNode().SwitchToViewTransformMode()


def test_a_point_outside_its_image_is_refused(case, places):
    case.start()
    case.click_at("Red", places[0][0] + [400, 0, 0])
    assert "outside the fixed volume" in case.status()
    case.click_at("Red", places[0][0])
    case.click_at("Red+", places[0][1] + [0, 0, -500])
    assert "outside the moving volume" in case.status()
    case.click_at("Red+", places[0][1])
    assert len(case.book.pairs) == 1


def test_a_locked_list_is_refused_by_name(case, places):
    case.start()
    case.place(*places[0])
    case.stop()
    case.book.lists.moving.SetLocked(True)
    qt.QApplication.processEvents()
    case.start()
    assert not case.desk.placing.active
    assert f"{case.book.lists.moving.GetName()}: found a locked list" in case.status()
    case.select("1")
    case.press(qt.Qt.Key_Delete)
    assert "found a locked list" in case.status()
    assert len(case.book.pairs) == 1


def test_an_image_below_a_transform_that_bends_is_refused_by_name(case, registration):
    from LungDeepRegLib.mrml import node_from_field

    bent = node_from_field(registration.field, case.scene, "bent")
    case.nodes.moving.SetAndObserveTransformNodeID(bent.GetID())
    case.start()
    assert "bent" in case.status()
    assert lists_in(case.scene) == []


def test_the_scene_may_be_closed_while_a_pair_is_placed(case, places):
    case.start()
    case.click_at("Red", places[0][0])
    case.session.close_scene()
    assert not case.desk.placing.active
    assert case.desk.book.lists is None


def test_a_list_or_an_image_may_be_removed_while_a_pair_is_placed(case, places):
    case.start()
    case.place(*places[0])
    case.click_at("Red", places[1][0])
    case.scene.RemoveNode(case.book.lists.moving)
    qt.QApplication.processEvents()
    assert not case.desk.placing.active
    assert case.labels() == []
    case.start()
    case.scene.RemoveNode(case.nodes.moving)
    qt.QApplication.processEvents()
    assert not case.desk.placing.active
    assert not case.ui.landmarksContents.enabled


@pytest.mark.parametrize("part", ["fixed", "moving"])
def test_where_one_of_an_observers_lists_is_removed_new_ones_are_made(case, places, part):
    case.start()
    case.place(*places[0])
    case.stop()
    gone = case.book.lists
    left = gone.moving if part == "fixed" else gone.fixed
    case.scene.RemoveNode(getattr(gone, part))
    qt.QApplication.processEvents()
    assert case.labels() == []
    case.start()
    case.place(*places[1])
    case.stop()
    assert case.labels() == ["1"]
    assert left.GetNumberOfControlPoints() == 1
    assert left not in case.book.lists.both
    assert case.desk.observers.names() == ["Observer 1"]
    assert not left.GetDisplayNode().GetVisibility()  # not among the points that are placed now


def test_lists_below_another_transform_keep_places_of_the_world(case, places):
    case.start()
    case.place(*places[0])
    table = linear_transform(case.scene, np.array([[0, -1, 0, 5], [1, 0, 0, -9], [0, 0, 1, 30], [0, 0, 0, 1.0]]))
    case.stop()
    before = case.book.pairs[0]
    for node in case.book.lists.both:
        node.SetAndObserveTransformNodeID(table.GetID())
        node.ApplyTransform(table.GetTransformFromParent())
    qt.QApplication.processEvents()
    np.testing.assert_allclose(case.book.pairs[0].fixed_ras, before.fixed_ras, atol=1e-6)
    case.start()
    label = case.place(*places[1])
    np.testing.assert_allclose(case.book.pair(label).moving_ras, case.clicked[label]["moving"], atol=1e-3)


def test_candidates_one_after_the_other(case, places, monkeypatch):
    worker = Worker(monkeypatch, case)
    click(case.ui.candidateButton)
    assert "Looking for vessel branchings" in case.status()
    name, request = worker.requests[0]
    assert name == "candidates"
    assert request["lungs"][0].lattice.shape == request["volume"].lattice.shape  # found by the registration
    np.testing.assert_allclose(request["volume"].lattice.centre_ras, case.fixed_centre(), atol=1e-6)
    worker.answer([place[0] for place in places[:3]])
    for number, (fixed, moving) in enumerate(places[:3], start=1):
        assert max(case.distance(view, fixed) for view in FIXED_VIEWS) < 3.0  # a voxel or so: a pixel's rounding
        case.place(fixed, moving)
        assert len(case.book.pairs) == number
    assert "near every candidate" in case.status()
    assert not placing(case)
    assert len(worker.requests) == 1
    assert all(pair.blind for pair in case.book.pairs)  # the reviewer placed both points himself


def test_what_the_worker_says_is_wrong_is_shown(case, monkeypatch):
    worker = Worker(monkeypatch, case)
    click(case.ui.candidateButton)
    worker.fail("found no lungs")
    assert "found no lungs" in case.status()
    assert not case.desk.placing.active
    click(case.ui.candidateButton)
    case.press(qt.Qt.Key_Escape)
    assert worker.canceled == 1
    assert not case.desk.placing.active


def test_an_assisted_point_is_marked_and_does_not_count(case, places, monkeypatch):
    worker = Worker(monkeypatch, case)
    case.ui.assistedCheckBox.checked = True
    case.ui.goOnCheckBox.checked = False
    case.start()
    hit = case.click_at("Red", places[0][0])
    name, request = worker.requests[0]
    assert name == "propose"
    np.testing.assert_allclose(request["points"], [hit], atol=1e-3)
    np.testing.assert_allclose(request["field"](hit[None]), case.desk.figures.phi()[0](hit[None]), atol=1e-3)
    worker.answer([places[0][1]])
    assert "likeness of 0.90" in case.status()
    pair = case.book.pairs[0]
    assert (pair.fixed_provenance, pair.moving_provenance) == (Provenance.MANUAL, Provenance.ASSISTED)
    np.testing.assert_allclose(pair.moving_ras, places[0][1])
    assert "1 assisted" in case.ui.leftOutLabel.text
    assert case.ui.statisticsTable.rowCount == 0
    assert all(abs(case.height(view, places[0][1])) < 1e-3 for view in MOVING_VIEWS)
