"""The panel "Apply to others", driven by clicks: real .ui, real MRML; the worker's task runs in this process."""

import logging
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import slicer
from LungDeepRegLib.mrml import mask_from_node, node_from_field, node_from_volume, publish, volume_from_node
from LungDeepRegLib.worker.messages import STAGES
from LungDeepRegLib.worker.tasks import Tasks

from Testing.slicer.gui import check, choose, click, process_events_until
from Testing.slicer.mrml_cases import everything, outcome_of
from Testing.slicer.scene import linear_transform

UI = Path(__file__).parents[2] / "LungDeepReg" / "Resources" / "UI" / "Apply.ui"
PACKAGE = UI.parents[2]

pytestmark = pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")


class Runner:
    """Runs a task when told to, in this process."""

    def __init__(self):
        self.waiting = None
        self.cancelled = 0

    @property
    def busy(self):
        return self.waiting is not None

    def run(self, name, request, *, onProgress, onDone, onFailed):
        if self.busy:
            msg = "register is still running; wait for it or cancel it"
            raise RuntimeError(msg)
        self.waiting = (name, request, onProgress, onDone, onFailed)

    def cancel(self):
        self.waiting = None
        self.cancelled += 1

    def finish(self):
        (name, request, on_progress, on_done, _), self.waiting = self.waiting, None
        on_done(Tasks({}).table()[name](request, on_progress))

    def fail(self, message):
        (*_, on_failed), self.waiting = self.waiting, None
        on_failed(message)


@pytest.fixture
def panel(slicer_application, monkeypatch):
    monkeypatch.syspath_prepend(str(PACKAGE))
    from LungDeepRegWidgets import applyPanel

    monkeypatch.setattr(applyPanel, "ensureTorch", lambda: None)
    return applyPanel.ApplyPanel(Runner(), str(UI))


@pytest.fixture
def runner(panel):
    return panel._runner


@pytest.fixture
def result(panel, nodes, registration, pair):
    """A published result, shown by the panel."""
    published = publish(outcome_of(registration, pair), *nodes)
    panel.setResult(published)
    return published


@pytest.fixture
def markups(scene, registration, pair):
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "branchings")
    for point in registration.field(pair.fixed_landmarks.points_ras[:5]):
        node.AddControlPoint(*point)
    return node


def text(panel):
    return panel.ui.statusLabel.text


def test_the_button_says_what_is_missing(panel, nodes, registration):
    button = panel.ui.applyButton
    assert not button.enabled
    assert "Choose a transform" in button.toolTip
    choose(panel.ui.transformSelector, node_from_field(registration.field, slicer.mrmlScene))
    assert "Choose the fixed volume" in button.toolTip
    choose(panel.ui.referenceSelector, nodes[0])
    assert "Check at least one volume" in button.toolTip
    assert not button.enabled
    check(panel.ui.nodesSelector, nodes[1])
    assert button.enabled
    assert button.text == "Apply"
    check(panel.ui.nodesSelector, nodes[1], False)
    assert not button.enabled


def test_checked_is_what_the_box_says_is_checked(panel, result, nodes, monkeypatch):
    # The real box compares numbers of entries here, and not all of its entries are nodes.
    monkeypatch.setattr(type(panel.ui.nodesSelector), "noneChecked", lambda box: False, raising=False)
    for checked in (True, False):
        check(panel.ui.nodesSelector, nodes[1], checked)
    assert not panel.ui.applyButton.enabled


def test_a_result_is_offered_with_its_fixed_volume(panel, result, nodes):
    assert panel.ui.transformSelector.currentNode() is result.transform
    assert panel.ui.referenceSelector.currentNode() is nodes[0]
    panel.setResult(None)
    assert panel.ui.transformSelector.currentNode() is result.transform


def test_choosing_a_transform_chooses_its_fixed_volume(panel, result, nodes, scene):
    choose(panel.ui.transformSelector, linear_transform(scene, np.eye(4)))
    assert panel.ui.referenceSelector.currentNode() is nodes[0]  # it names none of its own
    choose(panel.ui.referenceSelector, nodes[1])
    choose(panel.ui.transformSelector, result.transform)
    assert panel.ui.referenceSelector.currentNode() is nodes[0]


def test_kinds_that_cannot_be_applied_to_are_not_offered(panel, scene, nodes):
    for class_name in ("Vector", "ROI", "Plane"):
        kind = f"vtkMRML{class_name}VolumeNode" if class_name == "Vector" else f"vtkMRMLMarkups{class_name}Node"
        scene.AddNewNodeByClass(kind, "odd one")
    offered = {node.GetName() for node in panel.ui.nodesSelector.uncheckedNodes()}
    assert offered == {node.GetName() for node in nodes}


def test_volume_goes_through_the_worker(panel, runner, result, nodes):
    check(panel.ui.nodesSelector, nodes[1])
    click(panel.ui.applyButton)
    assert runner.busy
    assert panel.ui.applyButton.text == "Cancel"
    assert not panel.ui.progressBar.isHidden()
    runner.finish()
    made = slicer.util.getNode("phantom inhale in phantom exhale")
    np.testing.assert_allclose(volume_from_node(made).array, volume_from_node(result.warped).array, atol=1)
    assert text(panel) == "Made: phantom inhale in phantom exhale."
    assert panel.ui.progressBar.isHidden()
    assert panel.ui.applyButton.text == "Apply"
    assert panel.ui.applyButton.enabled


def test_progress_rises(panel, runner, result, nodes):
    check(panel.ui.nodesSelector, nodes[1])
    click(panel.ui.applyButton)
    seen = []
    for stage, fraction in product(STAGES["warp"], (0.0, 0.5, 1.0)):
        runner.waiting[2](stage, fraction)
        seen.append(panel.ui.progressBar.value)
    assert seen == sorted(seen)
    assert seen[-1] == 100
    runner.finish()


def test_points_need_no_worker(panel, runner, result, markups, pair):
    check(panel.ui.nodesSelector, markups)
    click(panel.ui.applyButton)
    assert not runner.busy
    made = slicer.util.getNode("branchings in phantom exhale")
    places = [made.GetNthControlPointPositionWorld(n) for n in range(5)]
    np.testing.assert_allclose(places, pair.fixed_landmarks.points_ras[:5], atol=0.05)
    assert text(panel) == "Made: branchings in phantom exhale."


def test_warnings_are_shown(panel, result, markups):
    markups.AddControlPoint(2000, 0, 0)
    check(panel.ui.nodesSelector, markups)
    click(panel.ui.applyButton)
    assert "Warning: branchings: 1 of 6 points lie outside the fixed image: their place is a guess." in text(panel)


def test_cancel_makes_nothing(panel, runner, result, nodes):
    before = everything(slicer.mrmlScene)
    check(panel.ui.nodesSelector, nodes[1])
    click(panel.ui.applyButton)
    click(panel.ui.applyButton)
    assert runner.cancelled == 1
    assert everything(slicer.mrmlScene) == before
    assert text(panel) == "Canceled."
    assert panel.ui.applyButton.text == "Apply"
    panel.cancel()  # nothing is running: not the runner's business
    assert runner.cancelled == 1


def test_failure_of_the_worker_is_told(panel, runner, result, nodes, slicer_application):
    before = everything(slicer.mrmlScene)
    check(panel.ui.nodesSelector, nodes[1])
    click(panel.ui.applyButton)
    runner.fail("The worker ran out of memory")
    assert [message.text for message in slicer_application.take_messages()] == ["The worker ran out of memory"]
    assert text(panel) == "The worker ran out of memory"
    assert everything(slicer.mrmlScene) == before
    click(panel.ui.applyButton)
    runner.finish()
    assert text(panel).startswith("Made:")


def test_running_registration_is_left_alone(panel, runner, result, nodes, slicer_application):
    runner.waiting = ("register", {}, None, None, None)
    check(panel.ui.nodesSelector, nodes[1])
    click(panel.ui.applyButton)
    (message,) = slicer_application.take_messages()
    assert "still running" in message.text
    assert runner.busy
    assert not panel.busy
    panel.cancel()
    assert runner.cancelled == 0


def test_node_that_cannot_be_used_is_named(panel, runner, result, scene, slicer_application):
    empty = scene.AddNewNodeByClass("vtkMRMLModelNode", "empty one")
    check(panel.ui.nodesSelector, empty)
    click(panel.ui.applyButton)
    (message,) = slicer_application.take_messages()
    assert "empty one: found a model without points" in message.text
    assert not runner.busy


def test_fixed_volume_removed_meanwhile_is_told(panel, runner, result, nodes, slicer_application):
    check(panel.ui.nodesSelector, nodes[1])
    click(panel.ui.applyButton)
    slicer.mrmlScene.RemoveNode(nodes[0])
    before = everything(slicer.mrmlScene)
    runner.finish()
    (message,) = slicer_application.take_messages()
    assert "phantom exhale: found that it was removed" in message.text
    assert everything(slicer.mrmlScene) == before
    assert not panel.busy


def test_whatever_fails_at_the_end_frees_the_panel(
    panel, runner, result, nodes, slicer_application, monkeypatch, caplog
):
    def no_memory(*_):
        raise MemoryError

    before = everything(slicer.mrmlScene)
    check(panel.ui.nodesSelector, nodes[1])
    click(panel.ui.applyButton)
    with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
        patch.setattr("LungDeepRegLib.mrml.carry_over", no_memory)
        runner.finish()
    (message,) = slicer_application.take_messages()
    assert "MemoryError" in message.text == text(panel)
    assert "no_memory" in caplog.text  # the traceback
    assert everything(slicer.mrmlScene) == before
    assert panel.ui.applyButton.text == "Apply"
    assert panel.ui.progressBar.isHidden()
    click(panel.ui.applyButton)
    runner.finish()
    assert text(panel).startswith("Made:")


def test_closing_the_scene_empties_the_panel(panel, result, nodes, slicer_application):
    check(panel.ui.nodesSelector, nodes[1])
    slicer_application.close_scene()
    assert panel.ui.transformSelector.currentNode() is None
    assert not panel.ui.applyButton.enabled


def test_several_kinds_at_once(panel, runner, result, nodes, markups, pair, scene):
    labels = node_from_volume(pair.moving_mask, scene, "vtkMRMLLabelMapVolumeNode")
    for node in (nodes[1], labels, markups):
        check(panel.ui.nodesSelector, node)
    click(panel.ui.applyButton)
    runner.finish()
    for node in (nodes[1], labels, markups):
        assert scene.GetFirstNodeByName(f"{node.GetName()} in phantom exhale").GetClassName() == node.GetClassName()


def test_the_real_worker_answers(panel, runner, result, nodes, registration, pair, scene, kept_worker):
    from LungDeepRegWidgets.taskRunner import TaskRunner

    panel._runner = TaskRunner()
    labels = node_from_volume(pair.moving_mask, scene, "vtkMRMLLabelMapVolumeNode")
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "lungs")
    slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(labels, segmentation)
    for node in (nodes[1], segmentation):
        check(panel.ui.nodesSelector, node)
    try:
        with kept_worker.lent(panel._runner):
            click(panel.ui.applyButton)
            process_events_until(lambda: not panel.busy, 120)
    finally:
        panel._runner.close()
    assert text(panel) == "Made: phantom inhale in phantom exhale, lungs in phantom exhale."
    made = volume_from_node(scene.GetFirstNodeByName("phantom inhale in phantom exhale"))
    np.testing.assert_array_equal(made.array, volume_from_node(result.warped).array)
    lungs = mask_from_node(scene.GetFirstNodeByName("lungs in phantom exhale"), pair.fixed)
    expected, _ = registration.field.warp(pair.moving_mask, pair.fixed.lattice, fill=0, mode="nearest")
    # The worker computes with fewer threads, hence rounds differently where two voxels are equally near.
    assert (lungs != (expected.array > 0)).sum() <= 3
