"""The register panel, driven by clicks: real .ui, real MRML, the real worker process."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import slicer
from LungDeepRegLib.mrml import node_from_volume

from Testing.slicer.fresh_imports import refusing
from Testing.slicer.gui import choose, click, process_events_until
from Testing.slicer.scene import from_world, linear_transform

MODULE = Path(__file__).parents[2] / "LungDeepReg" / "LungDeepReg.py"
OUTPUTS = ("warpedVolume", "differenceVolume", "transform", "jacobianVolume", "coverageVolume")


@pytest.fixture
def widget(slicer_application, kept_worker):
    widget = slicer_application.open_module(MODULE)
    with kept_worker.lent(widget.logic.runner):
        yield widget


@pytest.fixture
def panel(widget):
    return widget.register


@pytest.fixture
def volumes(widget, pair):
    """The pair in the scene, not selected."""
    scene = slicer.mrmlScene
    named = ((pair.fixed, "exhale"), (pair.moving, "inhale"))
    return [node_from_volume(volume.with_array(volume.array, name), scene) for volume, name in named]


@pytest.fixture
def chosen(panel, volumes):
    """The pair, selected by hand."""
    choose(panel.ui.fixedVolumeSelector, volumes[0])
    choose(panel.ui.movingVolumeSelector, volumes[1])
    return volumes


@pytest.fixture
def masked(panel, pair, chosen):
    """The same with masks: the lungs needn't be found."""
    for mask, box in ((pair.fixed_mask, "fixedMaskSelector"), (pair.moving_mask, "movingMaskSelector")):
        choose(getattr(panel.ui, box), node_from_volume(mask, slicer.mrmlScene, "vtkMRMLLabelMapVolumeNode"))
    return chosen


@pytest.fixture
def quick(panel, masked):
    """The same with settings that take the least time, where it doesn't matter how well the images fit."""
    choose(panel.ui.alignmentSelector, "Centers only")
    choose(panel.ui.refinementSelector, "Off (alignment and network only)")
    return masked


def wait(panel, seconds=120.0):
    process_events_until(lambda: not panel.logic.busy, seconds)


def node_ids(class_name="vtkMRMLNode"):
    return {node.GetID() for node in slicer.util.getNodesByClass(class_name)}


def worker_pid(logic):
    """The number of the process that computes now."""
    return logic.runner._worker._process.pid


def alive(pid):
    """Whether a process computes still: a killed one that nobody has asked for counts as gone."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def landmark_error(pair, transform):
    mapped = from_world(transform, pair.fixed_landmarks.points_ras)
    return np.linalg.norm(mapped - pair.moving_landmarks.points_ras, axis=1).mean()


class TestBeforeAnythingRuns:
    def test_opening_loads_neither_torch_nor_the_engine(self, slicer_application):
        with refusing("torch", "LungDeepRegLib"):
            slicer_application.open_module(MODULE)

    @pytest.mark.parametrize("slicer_version", [(5, 10), (5, 12)])
    def test_it_opens_in_the_oldest_and_the_newest_slicer(self, slicer_application, slicer_version):
        assert slicer.app.minorVersion == slicer_version[1]
        widget = slicer_application.open_module(MODULE)
        slicer_application.app.emit("startupCompleted()")
        assert slicer_application.app.sample_data.sources
        assert widget.register.ui.registerButton.text == "Register"

    def test_the_button_says_what_is_missing(self, panel, volumes):
        button = panel.ui.registerButton
        assert not button.enabled
        assert "fixed volume" in button.toolTip
        choose(panel.ui.fixedVolumeSelector, volumes[0])
        assert "moving volume" in button.toolTip
        choose(panel.ui.movingVolumeSelector, volumes[0])
        assert "exhale" in button.toolTip
        assert not button.enabled
        choose(panel.ui.movingVolumeSelector, volumes[1])
        assert button.enabled

    def test_at_least_one_output_is_wanted(self, panel, chosen):
        for name in OUTPUTS:
            click(getattr(panel.ui, f"{name}CheckBox"))
        assert not panel.ui.registerButton.enabled
        assert "output" in panel.ui.registerButton.toolTip

    def test_a_weights_file_has_to_exist(self, panel, chosen, tmp_path):
        choose(panel.ui.weightsSelector, "From a file")
        assert "weights file" in panel.ui.registerButton.toolTip
        file = tmp_path / "own.pt"
        file.write_bytes(b"")
        panel.ui.weightsFileSelector.currentPath = str(file)
        assert panel.ui.registerButton.enabled

    def test_swap_exchanges_the_volumes(self, panel, chosen):
        click(panel.ui.swapButton)
        assert panel.ui.fixedVolumeSelector.currentNode() is chosen[1]
        assert panel.ui.movingVolumeSelector.currentNode() is chosen[0]

    def test_every_choice_is_one_of_the_engine(self, panel):
        from LungDeepRegLib.alignment import ALIGNMENTS
        from LungDeepRegLib.intensity import MODALITIES
        from LungDeepRegLib.registration import DEVICES, REFINEMENTS, Options
        from LungDeepRegLib.similarity import parse_similarity
        from LungDeepRegWidgets import settings

        for choices, known in (
            (settings.Alignment, ALIGNMENTS),
            (settings.Modality, MODALITIES),
            (settings.Device, DEVICES),
            (settings.Refinement, REFINEMENTS),
        ):
            assert {choice.engineName for choice in choices} <= set(known)
        for choice in settings.SimilarityMeasure:
            parse_similarity(choice.engineName)
        assert Options(**settings.engineOptions(panel.parameters)) == Options()

    def test_a_volume_under_a_nonlinear_transform_is_refused_by_name(self, slicer_application, panel, chosen):
        tilt = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLGridTransformNode", "gantry tilt")
        grid = slicer.vtkOrientedGridTransform()
        tilt.SetAndObserveTransformToParent(grid)
        chosen[0].SetAndObserveTransformNodeID(tilt.GetID())
        click(panel.ui.registerButton)
        (message,) = slicer_application.take_messages()
        assert "exhale" in message.text
        assert "gantry tilt" in message.text
        assert panel.ui.registerButton.text == "Register"

    def test_segments_are_listed_and_kept_in_step(self, slicer_application, panel, chosen):
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "lungs")
        node.GetSegmentation().AddEmptySegment("r", "right lung")
        choose(panel.ui.fixedMaskSelector, node)
        box = panel.ui.fixedSegmentSelector
        choose(box, "right lung")
        assert panel.parameters.fixedSegment == "r"
        node.GetSegmentation().AddEmptySegment("l", "left lung")
        assert [box.itemText(index) for index in range(box.count)] == ["All segments", "right lung", "left lung"]
        assert box.currentText == "right lung"
        node.GetSegmentation().RemoveSegment("r")
        assert box.currentText == "(removed)"
        click(panel.ui.registerButton)
        (message,) = slicer_application.take_messages()
        assert "lungs" in message.text
        assert "'r'" in message.text
        choose(box, "left lung")
        assert panel.parameters.fixedSegment == "l"
        other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "others")
        choose(panel.ui.fixedMaskSelector, other)
        assert box.currentText == "All segments"
        assert panel.parameters.fixedSegment == ""

    def test_two_phases_of_a_sequence_become_the_pair(self, slicer_application, panel, pair):
        scene = slicer.mrmlScene
        sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "4D CT")
        sequence.SetIndexUnit("%")
        for percent, volume in ((0, pair.fixed), (50, pair.moving)):
            node = node_from_volume(volume, scene)
            sequence.SetDataNodeAtValue(node, str(percent))
            scene.RemoveNode(node)
        browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "browser")
        choose(panel.ui.browserSelector, browser)
        assert not panel.ui.usePhasesButton.enabled
        browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
        choose(panel.ui.fixedPhaseSelector, "50 %")
        choose(panel.ui.movingPhaseSelector, "0 %")
        click(panel.ui.usePhasesButton)
        assert panel.ui.fixedVolumeSelector.currentNode().GetName() == "4D CT 50 %"
        assert panel.ui.movingVolumeSelector.currentNode().GetName() == "4D CT 0 %"
        assert panel.ui.registerButton.enabled
        choose(panel.ui.movingPhaseSelector, "50 %")
        click(panel.ui.usePhasesButton)
        (message,) = slicer_application.take_messages()
        assert "50 %" in message.text
        assert len(slicer_application.take_errors()) == 1

    def test_the_sample_pair_is_selected(self, panel, volumes, monkeypatch):
        monkeypatch.setattr("LungDeepRegWidgets.registerPanel.loadSamplePair", lambda name, runner: tuple(volumes))
        click(panel.ui.sampleDataButton)
        assert panel.parameters.fixedVolume is volumes[0]
        assert panel.ui.registerButton.enabled

    def test_without_pytorch_the_user_is_told(self, slicer_application, panel, chosen, monkeypatch):
        from LungDeepRegWidgets.pytorch import TorchUnavailable

        def refuse():
            msg = "PyTorch is not installed."
            raise TorchUnavailable(msg)

        monkeypatch.setattr("LungDeepRegWidgets.registerPanel.ensureTorch", refuse)
        click(panel.ui.registerButton)
        (message,) = slicer_application.take_messages()
        assert message.text == "PyTorch is not installed."
        assert panel.ui.registerButton.text == "Register"


class TestRegistering:
    def test_one_click_registers_and_the_next_updates_the_same_nodes(self, panel, pair, chosen):
        choose(panel.ui.deviceSelector, "CPU")
        stages = []
        panel.ui.progressBar.connect("valueChanged(int)", stages.append)
        click(panel.ui.registerButton)
        assert panel.ui.registerButton.text == "Cancel"
        wait(panel)
        assert panel.ui.registerButton.text == "Register"
        assert stages == sorted(stages)
        assert len(set(stages)) > 4
        nodes = {name: getattr(panel.parameters, name) for name in OUTPUTS}
        assert all(nodes.values())
        assert landmark_error(pair, nodes["transform"]) < 4  # mm, with voxels of 10 mm; before: more than 10
        assert "Dice" in panel.ui.resultsLabel.text
        assert "not for clinical use" in panel.ui.resultsLabel.text
        first, pid, everything = panel.parameters.summary, worker_pid(panel.logic), node_ids()

        choose(panel.ui.refinementSelector, "Off (alignment and network only)")
        click(panel.ui.registerButton)
        wait(panel)
        assert node_ids() == everything
        assert {name: getattr(panel.parameters, name) for name in OUTPUTS} == nodes
        assert worker_pid(panel.logic) == pid
        assert json.loads(panel.parameters.summary)["options"]["refine"] == "off"
        assert panel.parameters.summary != first

    def test_only_what_is_wanted_is_made(self, panel, quick):
        for name in ("differenceVolume", "jacobianVolume", "coverageVolume", "transform"):
            click(getattr(panel.ui, f"{name}CheckBox"))
        before = node_ids("vtkMRMLVolumeNode")
        click(panel.ui.registerButton)
        wait(panel)
        assert len(node_ids("vtkMRMLVolumeNode") - before) == 1
        assert panel.parameters.transform is None

    def test_parent_transforms_are_honoured(self, panel, pair, chosen):
        shift = np.eye(4)
        shift[:3, 3] = (30, -20, 10)
        table = linear_transform(slicer.mrmlScene, shift)
        chosen[1].SetAndObserveTransformNodeID(table.GetID())
        click(panel.ui.registerButton)
        wait(panel)
        mapped = from_world(panel.parameters.transform, pair.fixed_landmarks.points_ras)
        assert np.linalg.norm(mapped - pair.moving_landmarks.points_ras - shift[:3, 3], axis=1).mean() < 4

    def test_a_segmentation_is_taken_as_mask(self, slicer_application, panel, pair, quick):
        choose(panel.ui.fixedMaskSelector, None)
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "lungs")
        labels = node_from_volume(pair.fixed_mask, slicer.mrmlScene, "vtkMRMLLabelMapVolumeNode")
        slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(labels, node)
        choose(panel.ui.fixedMaskSelector, node)
        click(panel.ui.registerButton)
        wait(panel)
        assert json.loads(panel.parameters.summary)["masks"]["fixed"] == "given"

    def test_found_lungs_that_are_edited_and_chosen_as_mask_are_not_overwritten(self, panel, quick):
        choose(panel.ui.fixedMaskSelector, None)
        click(panel.ui.registerButton)
        wait(panel)
        edited = panel.parameters.lungsVolume
        assert edited.GetName() == "Lungs exhale"
        voxels = slicer.util.arrayFromVolume(edited)
        voxels[voxels > 0] = 7
        slicer.util.arrayFromVolumeModified(edited)
        choose(panel.ui.fixedMaskSelector, edited)
        click(panel.ui.registerButton)
        wait(panel)
        assert set(np.unique(slicer.util.arrayFromVolume(edited))) == {0, 7}
        lungs = panel.parameters.lungsVolume
        assert lungs is not edited
        np.testing.assert_array_equal(slicer.util.arrayFromVolume(lungs) > 0, slicer.util.arrayFromVolume(edited) > 0)

    def test_another_pair_leaves_earlier_results_alone(self, panel, quick):
        click(panel.ui.registerButton)
        wait(panel)
        first = panel.parameters.warpedVolume
        click(panel.ui.swapButton)
        assert panel.parameters.warpedVolume is None
        assert panel.ui.resultsLabel.text == "No registration yet."
        click(panel.ui.registerButton)
        wait(panel)
        assert panel.parameters.warpedVolume is not first
        assert slicer.mrmlScene.IsNodePresent(first)


class TestStopping:
    @pytest.mark.parametrize("stage", ["send", "prepare", "align", "network", "refine", "warp", "measure"])
    def test_cancel_gives_the_button_back_and_ends_the_process(self, panel, masked, stage):
        before, pids = node_ids(), []
        show = panel.showProgress

        def cancel_then(name, fraction):
            show(name, fraction)
            if name == stage and panel.logic.busy:
                pids.append(worker_pid(panel.logic))
                panel.ui.registerButton.click()

        panel.showProgress = cancel_then
        click(panel.ui.registerButton)
        process_events_until(lambda: pids, 120)
        assert not panel.logic.busy
        assert panel.ui.registerButton.text == "Register"
        assert panel.ui.registerButton.enabled
        process_events_until(lambda: not alive(pids[0]), 10)
        assert node_ids() == before

    def test_after_a_cancel_the_next_registration_runs(self, panel, quick):
        click(panel.ui.registerButton)
        process_events_until(lambda: panel.logic.runner.ready, 120)
        click(panel.ui.registerButton)
        click(panel.ui.registerButton)
        wait(panel)
        assert panel.parameters.transform is not None

    def test_removing_a_volume_stops_it(self, panel, quick):
        click(panel.ui.registerButton)
        slicer.mrmlScene.RemoveNode(quick[1])
        assert not panel.logic.busy
        assert "inhale was removed" in panel.ui.statusLabel.text
        assert not panel.ui.registerButton.enabled
        assert panel.parameters.transform is None

    def test_closing_the_scene_stops_it(self, slicer_application, panel, quick):
        click(panel.ui.registerButton)
        slicer_application.close_scene()
        assert panel.ui.statusLabel.text == "Stopped: the scene was closed."
        assert not panel.logic.busy
        assert not panel.ui.registerButton.enabled
        assert panel.parameters.fixedVolume is None

    def test_a_crash_leaves_the_scene_as_it_was(self, slicer_application, panel, quick):
        before = node_ids()
        click(panel.ui.registerButton)
        process_events_until(lambda: panel.logic.runner.ready, 120)
        os.kill(worker_pid(panel.logic), 9)
        wait(panel)
        (message,) = slicer_application.take_messages()
        assert "memory" in message.text
        assert node_ids() == before
        click(panel.ui.registerButton)  # and a new worker takes over
        wait(panel)
        assert panel.parameters.transform is not None

    def test_images_that_cannot_be_registered_are_named(self, slicer_application, panel, chosen):
        slicer.util.updateVolumeFromArray(chosen[1], np.zeros((20, 20, 20), np.int16))
        before = node_ids()
        click(panel.ui.registerButton)
        wait(panel)
        (message,) = slicer_application.take_messages()
        assert "inhale" in message.text
        assert node_ids() == before

    def test_the_fixed_volume_may_not_move_meanwhile(self, slicer_application, panel, quick):
        before = node_ids()
        click(panel.ui.registerButton)
        table = linear_transform(slicer.mrmlScene, np.diag([1.0, 1.0, 2.0, 1.0]))
        quick[0].SetAndObserveTransformNodeID(table.GetID())
        wait(panel)
        (message,) = slicer_application.take_messages()
        assert "exhale" in message.text
        assert node_ids() - before == {table.GetID()}


class TestTheSceneChanges:
    """While a registration runs, or between two."""

    def test_another_pair_chosen_meanwhile_keeps_its_own_results(self, panel, pair, quick):
        third = node_from_volume(pair.moving.with_array(pair.moving.array, "third"), slicer.mrmlScene)
        click(panel.ui.registerButton)
        choose(panel.ui.movingVolumeSelector, third)
        wait(panel)
        assert panel.parameters.summary == ""
        assert panel.parameters.warpedVolume is None
        assert "inhale to exhale" in panel.ui.statusLabel.text
        assert panel.ui.resultsLabel.text == "No registration yet."

    def test_a_removed_output_is_made_anew_and_nothing_else_is_overwritten(self, panel, quick):
        click(panel.ui.registerButton)
        wait(panel)
        slicer.mrmlScene.RemoveNode(panel.parameters.jacobianVolume)
        assert panel.parameters.jacobianVolume is None
        before = {name: getattr(panel.parameters, name) for name in OUTPUTS}
        click(panel.ui.registerButton)
        slicer.mrmlScene.RemoveNode(before.pop("warpedVolume"))
        wait(panel)
        assert slicer.util.arrayFromVolume(quick[1]).dtype == np.int16
        assert panel.parameters.jacobianVolume not in (None, *before.values(), *quick)
        assert panel.parameters.warpedVolume is not None
        del before["jacobianVolume"]
        assert {name: getattr(panel.parameters, name) for name in before} == before

    def test_a_removed_mask_is_no_mask(self, panel, pair, chosen):
        masks = [node_from_volume(pair.fixed_mask, slicer.mrmlScene, "vtkMRMLLabelMapVolumeNode") for _ in range(2)]
        choose(panel.ui.fixedMaskSelector, masks[0])
        slicer.mrmlScene.RemoveNode(masks[0])
        assert panel.parameters.fixedMask is None
        assert panel.ui.fixedMaskSelector.currentNode() is None

    def test_a_transform_that_is_not_wanted_any_more_is_let_go(self, widget, panel, quick):
        click(panel.ui.registerButton)
        wait(panel)
        first = panel.parameters.transform
        click(panel.ui.transformCheckBox)
        click(panel.ui.registerButton)
        wait(panel)
        assert panel.parameters.transform is None
        assert slicer.mrmlScene.IsNodePresent(first)
        nodes = widget.logic.resultNodes(panel.parameters)
        assert nodes.transform is None
        assert nodes.warped is panel.parameters.warpedVolume
        assert nodes.difference_before is not None

    def test_any_failure_to_publish_is_told_and_the_panel_goes_on(self, slicer_application, panel, quick, monkeypatch):
        def fail(*_):
            msg = "no room for the difference"
            raise MemoryError(msg)

        click(panel.ui.registerButton)
        monkeypatch.setattr("LungDeepRegLib.mrml.publish", fail)
        wait(panel)
        (message,) = slicer_application.take_messages()
        assert "no room for the difference" in message.text
        assert panel.ui.registerButton.text == "Register"
        assert not panel.ui.progressBar.visible

    def test_adding_another_scene_keeps_what_is_chosen(self, slicer_application, panel, pair, quick, tmp_path):
        click(panel.ui.registerButton)
        wait(panel)
        kept = {name: getattr(panel.parameters, name) for name in ("fixedVolume", "movingVolume", *OUTPUTS)}
        summary = panel.parameters.summary
        other = slicer.vtkMRMLScene()
        node = other.AddNewNodeByClass("vtkMRMLTextNode", "note")
        node.SetText("something else")
        other.SetURL(str(tmp_path / "other.mrml"))
        other.Commit()
        slicer.util.loadScene(str(tmp_path / "other.mrml"), {"clear": False})
        assert {name: getattr(panel.parameters, name) for name in kept} == kept
        assert panel.parameters.summary == summary

    def test_the_sample_pair_is_not_made_while_something_runs(self, panel, quick):
        from LungDeepRegWidgets.sampleData import PHANTOM, SampleDataError, loadSamplePair

        click(panel.ui.registerButton)
        assert not panel.ui.sampleDataButton.enabled
        with pytest.raises(SampleDataError):
            loadSamplePair(PHANTOM, panel.logic.runner)
        wait(panel)
        assert panel.parameters.transform is not None

    def test_nothing_is_polled_once_a_worker_has_crashed(self, slicer_application, panel, quick):
        click(panel.ui.registerButton)
        process_events_until(lambda: panel.logic.runner.ready, 120)
        os.kill(worker_pid(panel.logic), 9)
        wait(panel)
        slicer_application.take_messages()
        process_events_until(lambda: not panel.logic.runner._timer.isActive(), 10)


class TestLivingOn:
    def test_a_saved_scene_brings_parameters_and_results_back(self, slicer_application, widget, panel, quick, tmp_path):
        choose(panel.ui.alignmentSelector, "Centers only")
        click(panel.ui.registerButton)
        wait(panel)
        figures = panel.ui.resultsLabel.text
        slicer_application.save_scene(tmp_path / "study.mrb")
        slicer_application.load_scene(tmp_path / "study.mrb")
        assert panel.ui.alignmentSelector.currentText == "Centers only"
        assert panel.ui.fixedVolumeSelector.currentNode().GetName() == "exhale"
        assert panel.parameters.transform.GetName() == "Transform inhale to exhale"
        assert panel.ui.resultsLabel.text == figures
        nodes = widget.logic.resultNodes(panel.parameters)
        assert nodes.warped is panel.parameters.warpedVolume
        assert nodes.difference_before is not None

    def test_reloading_the_module_ends_the_worker_and_the_new_panel_works(self, slicer_application, widget, quick):
        click(widget.register.ui.registerButton)
        process_events_until(lambda: widget.logic.runner.ready, 120)
        pid = worker_pid(widget.logic)
        again = slicer_application.reload(widget)
        assert not alive(pid)
        assert again.register.parameters.fixedVolume is quick[0]
        click(again.register.ui.registerButton)
        wait(again.register)
        assert again.register.parameters.transform is not None

    def test_the_worker_ends_with_slicer(self, slicer_application, panel, quick):
        click(panel.ui.registerButton)
        process_events_until(lambda: panel.logic.runner.ready, 120)
        pid = worker_pid(panel.logic)
        slicer_application.app.emit("aboutToQuit()")
        assert not alive(pid)

    def test_the_self_test_passes(self, widget):
        sys.modules["LungDeepReg"].LungDeepRegTest().runTest()
