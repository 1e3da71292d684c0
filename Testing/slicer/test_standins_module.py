"""A small module of Slicer's kind, driven by clicks on the stand-ins and the real scene."""

from pathlib import Path

import numpy as np
import pytest
import slicer

from Testing.slicer.gui import check, choose, click, process_events_until, screenshot

FILE = Path(__file__).parent / "standins" / "sample" / "Sample.py"


@pytest.fixture
def session(slicer_application):
    return slicer_application


@pytest.fixture
def widget(session):
    return session.open_module(FILE)


def volume(name, value=1.0):
    return slicer.util.addVolumeFromArray(np.full((3, 4, 5), value), name=name)


def test_a_click_works_on_the_chosen_node(widget):
    image = volume("image")
    assert not widget.ui.applyButton.enabled
    assert widget.ui.applyButton.toolTip == "Choose an image"
    choose(widget.ui.imageSelector, image)
    widget.ui.factorSlider.value = -3.0
    click(widget.ui.applyButton)
    assert np.all(slicer.util.arrayFromVolume(image) == -3)


def test_a_disabled_button_cannot_be_clicked(widget):
    with pytest.raises(AssertionError, match="applyButton is disabled: Choose an image"):
        click(widget.ui.applyButton)


def test_widgets_and_parameters_follow_each_other(widget):
    parameters = widget.logic.getParameterNode()
    click(widget.ui.roundedBox)
    choose(widget.ui.roundingBox, "Nearest")
    assert (parameters.rounded, parameters.rounding.name) == (True, "NEAREST")
    parameters.factor = 4.5
    assert widget.ui.factorSlider.value == 4.5
    assert (widget.ui.factorSlider.minimum, widget.ui.factorSlider.maximum) == (-10, 10)


def test_a_removed_node_leaves_the_panel(widget, scene):
    image = volume("image")
    choose(widget.ui.imageSelector, image)
    scene.RemoveNode(image)
    assert widget.ui.imageSelector.currentNode() is None
    assert widget.logic.getParameterNode().image is None
    assert not widget.ui.applyButton.enabled


def test_create_new_is_in_the_list(widget):
    choose(widget.ui.imageSelector, "Create new Volume")
    assert widget.ui.imageSelector.currentNode().GetName() == "Made"
    with pytest.raises(AssertionError, match=r"offers \['None'\]"):
        choose(widget.ui.maskSelector, "Create new Segmentation")


def test_closing_the_scene_resets_the_panel(session, widget):
    choose(widget.ui.imageSelector, volume("image"))
    widget.ui.factorSlider.value = 7.0
    session.close_scene()
    assert widget.ui.imageSelector.currentNode() is None
    assert widget.ui.factorSlider.value == 2.0
    choose(widget.ui.imageSelector, volume("another", 5.0))
    click(widget.ui.applyButton)
    assert slicer.util.arrayFromVolume(widget.ui.imageSelector.currentNode())[0, 0, 0] == 10


def test_a_saved_scene_brings_nodes_and_parameters_back(session, widget, tmp_path):
    choose(widget.ui.imageSelector, volume("image", 3.0))
    mask = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "mask")
    choose(widget.ui.maskSelector, mask)
    choose(widget.ui.roundingBox, "Nearest")
    widget.ui.factorSlider.value = -1.5
    session.save_scene(tmp_path / "saved.mrb")
    session.close_scene()
    session.load_scene(tmp_path / "saved.mrb")
    assert widget.ui.imageSelector.currentNode().GetName() == "image"
    assert widget.ui.maskSelector.currentNode().GetName() == "mask"
    assert (widget.ui.factorSlider.value, widget.ui.roundingBox.currentText) == (-1.5, "Nearest")
    click(widget.ui.applyButton)
    assert np.all(slicer.util.arrayFromVolume(slicer.util.getNode("image")) == -4.5)


def test_reloading_gives_a_new_panel_that_works(session, widget):
    image = volume("image")
    choose(widget.ui.imageSelector, image)
    again = session.reload(widget)
    assert again is not widget
    assert slicer.modules.SampleWidget is again
    assert again.ui.imageSelector.currentNode() is image
    click(again.ui.applyButton)
    assert np.all(slicer.util.arrayFromVolume(image) == 2)


def test_timers_run(widget):
    image = volume("image")
    choose(widget.ui.imageSelector, image)
    click(widget.ui.laterButton)
    process_events_until(lambda: slicer.util.arrayFromVolume(image)[0, 0, 0] == 2, 5)
    with pytest.raises(AssertionError, match="in vain"):
        process_events_until(lambda: False, 0.01)


def test_checked_nodes(widget, scene):
    first, second = volume("first"), volume("second")
    model = scene.AddNewNodeByClass("vtkMRMLModelNode", "model")
    check(widget.ui.others, second)
    check(widget.ui.others, model)
    assert [n.GetName() for n in widget.ui.others.checkedNodes()] == ["second", "model"]
    scene.RemoveNode(second)
    assert widget.ui.others.checkedNodes() == (model,)
    assert widget.ui.others.uncheckedNodes() == (first,)


def test_an_exception_in_a_slot_is_seen(session, widget):
    choose(widget.ui.imageSelector, volume("image"))
    widget.ui.factorSlider.value = 0.0
    click(widget.ui.applyButton)
    (message,) = session.take_messages()
    (error,) = session.take_errors()
    assert message.text == "Scaling failed.\n\na factor of zero"
    assert message.critical
    assert "ValueError: a factor of zero" in error


def test_an_exception_in_an_observer_is_seen(session, scene):
    tag = scene.AddObserver(scene.NodeAddedEvent, lambda *_: 1 / 0)
    scene.AddNewNodeByClass("vtkMRMLTextNode")
    scene.RemoveObserver(tag)
    (error,) = session.take_errors()
    assert "ZeroDivisionError" in error


def test_a_picture_of_the_panel(widget, tmp_path):
    screenshot(widget, tmp_path / "panel.png", (300, 400))
    assert (tmp_path / "panel.png").stat().st_size > 2000


def test_the_self_test_runs(widget):
    slicer.selfTests["Sample"](msec=10)
    assert slicer.util.getNode("tested")


@pytest.mark.parametrize("slicer_version", [(5, 10), (5, 12)])
def test_sample_data_by_version(session, slicer_version):
    session.open_module(FILE)
    assert session.app.sample_data.categories == ({"Sample": "Sample"} if slicer_version == (5, 12) else {})
    assert [source["sampleName"] for source in session.app.sample_data.sources] == ["One"]
    assert session.app.minorVersion == slicer_version[1]
