"""The panel of display presets, clicked."""

import dataclasses
import importlib
from pathlib import Path

import pytest
from LungDeepRegLib.mrml import publish

from Testing.slicer.fresh_imports import refusing
from Testing.slicer.gui import choose, click, process_events_until
from Testing.slicer.mrml_cases import outcome_of

UI = Path(__file__).parents[2] / "LungDeepReg" / "Resources" / "UI" / "Views.ui"
NAMES = ("overlay", "flicker", "checkerboard", "difference", "displacement", "jacobian", "linkedCursor")
OPTIONS = ("side", "opacity", "squares", "style", "offset")


@pytest.fixture
def panel(preset_case):
    module = importlib.import_module("LungDeepRegWidgets.viewsPanel")
    panel = module.ViewsPanel(preset_case.switch, str(UI))
    panel.widget.show()
    panel.setResult(preset_case.nodes)
    return panel


def test_without_a_result_the_engine_is_not_loaded(slicer_application):
    with refusing("LungDeepRegLib"):
        application = slicer_application
        switch = importlib.import_module("LungDeepRegWidgets.presets.preset").PresetSwitch(
            application.scene, application.app.applicationLogic()
        )
        panel = importlib.import_module("LungDeepRegWidgets.viewsPanel").ViewsPanel(switch, str(UI))
        panel.setResult(None)
        for name in NAMES:
            assert "Register first" in button(panel, name).toolTip


def button(panel, name):
    return getattr(panel.ui, f"{name}Button")


def visible_options(panel):
    return [option for option in OPTIONS if not getattr(panel.ui, f"{option}Options").isHidden()]


@pytest.mark.parametrize("name", NAMES)
def test_a_click_shows_and_another_one_leaves(preset_case, panel, name):
    before = preset_case.state()
    click(button(panel, name))
    assert type(panel.active).__name__.lower() == name.lower()
    assert [other for other in NAMES if button(panel, other).checked] == [name]
    assert panel.ui.noteLabel.text == panel.active.note()
    click(button(panel, name))
    assert panel.active is None
    assert not button(panel, name).checked
    assert visible_options(panel) == []
    assert preset_case.state() == before


def test_one_after_the_other(preset_case, panel):
    before = preset_case.state()
    for name in NAMES:
        click(button(panel, name))
        assert [other for other in NAMES if button(panel, other).checked] == [name]
    preset_case.switch.leave()
    assert preset_case.state() == before


def test_without_a_result_nothing_can_be_shown(panel):
    panel.setResult(None)
    assert not any(button(panel, name).enabled for name in NAMES)
    assert "Register first" in panel.ui.overlayButton.toolTip


def test_a_missing_output_is_named(preset_case, panel):
    panel.setResult(dataclasses.replace(preset_case.nodes, jacobian=None))
    assert not panel.ui.jacobianButton.enabled
    assert "Jacobian map" in panel.ui.jacobianButton.toolTip
    assert panel.ui.overlayButton.enabled
    assert "gray" in panel.ui.overlayButton.toolTip


def test_each_preset_has_its_own_options(panel):
    shown = {}
    for name in NAMES:
        click(button(panel, name))
        shown[name] = visible_options(panel)
    assert shown["overlay"] == ["side", "opacity"]
    assert shown["checkerboard"] == ["squares"]
    assert shown["displacement"] == ["style", "offset"]
    assert shown["difference"] == shown["linkedCursor"] == []


def test_options_of_the_overlay(preset_case, panel):
    panel.ui.opacitySlider.value = 30
    click(panel.ui.overlayButton)
    assert preset_case.composite().GetForegroundOpacity() == pytest.approx(0.3)
    panel.ui.opacitySlider.value = 80
    assert preset_case.composite().GetForegroundOpacity() == pytest.approx(0.8)
    assert preset_case.volume("Foreground").GetName() == preset_case.nodes.warped.GetName()
    click(panel.ui.beforeButton)
    assert preset_case.volume("Foreground").GetName() == preset_case.nodes.moving.GetName()
    click(panel.ui.afterButton)
    assert preset_case.volume("Foreground").GetName() == preset_case.nodes.warped.GetName()


def test_flicker_shows_both_in_turn_until_it_is_left(preset_case, panel):
    click(panel.ui.flickerButton)
    flicker = panel.active
    assert preset_case.composite().GetForegroundOpacity() == 0
    process_events_until(lambda: preset_case.composite().GetForegroundOpacity() == 1)
    process_events_until(lambda: preset_case.composite().GetForegroundOpacity() == 0)
    timer = flicker._timer
    assert timer.active
    preset_case.switch.leave()
    assert not timer.active


def test_options_of_the_displacement(preset_case, panel):
    click(panel.ui.displacementButton)
    assert panel.active.style == "glyphs"
    without = panel.active.withoutOffset
    assert panel.ui.offsetCheckBox.checked == without
    click(panel.ui.offsetCheckBox)
    assert panel.active.withoutOffset is not without
    choose(panel.ui.styleSelector, "Colors")
    assert panel.active.style == "magnitude"
    assert visible_options(panel) == ["opacity", "style", "offset"]
    assert panel.active.withoutOffset is not without
    choose(panel.ui.styleSelector, "Deformed grid")
    assert panel.active.style == "grid"


def test_squares(panel):
    click(panel.ui.checkerboardButton)
    panel.ui.squaresSpinBox.value = 5
    assert panel.active.squares == 5


def test_what_is_shown_follows_a_new_result(preset_case, panel, registration, pair):
    click(panel.ui.overlayButton)
    shown = preset_case.volume("Foreground").GetImageData()
    panel.setResult(preset_case.nodes)  # the same one: nothing happens
    assert preset_case.volume("Foreground").GetImageData() is shown
    again = publish(outcome_of(registration, pair), preset_case.nodes.fixed, preset_case.nodes.moving)
    panel.setResult(again)
    assert type(panel.active).__name__ == "Overlay"
    assert preset_case.volume("Foreground").GetImageData() is again.warped.GetImageData()
    panel.setResult(dataclasses.replace(again, warped=None))
    assert panel.active is None
    assert not panel.ui.overlayButton.checked


def test_a_node_that_goes_ends_the_preset_and_its_button(preset_case, panel):
    click(panel.ui.overlayButton)
    preset_case.scene.RemoveNode(preset_case.nodes.warped)
    assert panel.active is None
    assert not panel.ui.overlayButton.checked
    panel.onPreset("overlay", True)  # a click that was on its way
    assert panel.active is None
    assert not panel.ui.overlayButton.enabled


def test_a_volume_that_cannot_be_shown_is_told(preset_case, panel):
    before = preset_case.view_state()
    preset_case.nodes.fixed.SetAndObserveTransformNodeID(preset_case.nodes.transform.GetID())
    try:
        click(panel.ui.overlayButton)
    finally:
        told = [message.text for message in preset_case.session.take_messages()]
        preset_case.session.take_errors()
    assert any("found the non-linear transform" in text for text in told)
    assert panel.active is None
    assert not panel.ui.overlayButton.checked
    assert preset_case.view_state() == before


def test_another_panels_preset_takes_the_views(preset_case, panel):
    click(panel.ui.overlayButton)
    preset_case.show("Difference")  # by the same switch, not by this panel
    assert panel.active is None
    assert not any(button(panel, name).checked for name in NAMES)
    click(panel.ui.overlayButton)
    assert preset_case.switch.active is panel.active
    assert panel.ui.overlayButton.checked
