"""What happens between the panels, driven by clicks: real .ui files, real MRML, real views."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import slicer
from LungDeepRegLib.mrml import node_from_volume, publish, result_nodes

from Testing.slicer.assessment_cases import answer_of
from Testing.slicer.gui import check, choose, click, process_events_until
from Testing.slicer.landmark_cases import LandmarkCase, show
from Testing.slicer.mrml_cases import outcome_of
from Testing.slicer.series_cases import breathing
from Testing.slicer.standins.qt_module import qt
from Testing.slicer.test_quality_panel import SUMMARY, shown

MODULE = Path(__file__).parents[2] / "LungDeepReg" / "LungDeepReg.py"
NO_RESULT = "No registration yet."
BUSY = "is still running; wait for it or cancel it."


@pytest.fixture
def widget(views, slicer_application):
    """The module with all its sections open."""
    widget = slicer_application.open_module(MODULE)
    for panel in widget.panels:
        for section in panel.widget.findChildren(qt.QWidget):
            if "collapsed" in dir(section):
                section.collapsed = False
    yield widget
    widget.switch.leave()


@pytest.fixture
def visits(widget, pair):
    """The pair twice in the scene, as of two visits."""
    named = [(getattr(pair, part), f"{part} {visit}") for visit in ("May", "June") for part in ("fixed", "moving")]
    nodes = [node_from_volume(volume.with_array(volume.array, name), slicer.mrmlScene) for volume, name in named]
    return nodes[:2], nodes[2:]


@pytest.fixture
def register(widget, pair, registration):
    """Registers a pair in no time."""

    from LungDeepRegWidgets.registration import outputsOf

    def register(nodes, dice=0.95):
        select(widget, nodes)
        summary = SUMMARY | {"seconds": {}, "dice_after": dice} | shown()
        outcome = dataclasses.replace(outcome_of(registration, pair), summary=summary)
        published = publish(outcome, *nodes, outputsOf(widget.register.parameters))
        widget.register.showResult(published, summary)
        return published

    return register


@pytest.fixture
def told(widget, monkeypatch):
    """What the panels ask the worker for isn't done: the test answers."""
    told = {}
    monkeypatch.setattr(widget.logic.runner, "run", lambda name, request, **listeners: told.update(listeners))
    monkeypatch.setattr(widget.logic.runner, "cancel", told.clear)
    for name in ("registerPanel", "qualityPanel"):
        monkeypatch.setattr(f"LungDeepRegWidgets.{name}.ensureTorch", lambda: None)
    return told


def select(widget, nodes) -> None:
    choose(widget.register.ui.fixedVolumeSelector, nodes[0])
    choose(widget.register.ui.movingVolumeSelector, nodes[1])


class TestTwoPairs:
    def test_each_has_its_result_again_when_it_is_chosen_again(self, widget, visits, register):
        first, second = register(visits[0], 0.95), register(visits[1], 0.85)
        ui = widget.register.ui
        assert "0.850 after" in ui.resultsLabel.text
        select(widget, visits[0])
        assert "0.950 after" in ui.resultsLabel.text
        assert widget.logic.resultNodes(widget.register.parameters) == result_nodes(first.transform)
        assert widget.apply.ui.transformSelector.currentNode() is first.transform
        for button in (widget.views.ui.overlayButton, widget.quality.ui.assessButton, widget.report.ui.reportButton):
            assert button.enabled
        click(ui.swapButton)
        assert ui.resultsLabel.text == NO_RESULT
        assert not widget.views.ui.overlayButton.enabled
        click(ui.swapButton)
        assert "0.950 after" in ui.resultsLabel.text
        slicer.mrmlScene.RemoveNode(first.transform)
        select(widget, visits[1])
        assert widget.register.parameters.transform is second.transform
        select(widget, visits[0])
        assert ui.resultsLabel.text == NO_RESULT

    def test_one_that_was_left_while_it_was_registered(self, widget, visits, register):
        nodes = register(visits[0])
        select(widget, visits[1])
        assert widget.register.ui.statusLabel.text == ""
        widget.register.showResult(nodes, SUMMARY | {"seconds": {}} | shown())
        assert "another pair is chosen now" in widget.register.ui.statusLabel.text
        select(widget, visits[0])
        assert widget.register.parameters.transform is nodes.transform

    def test_an_assessment_that_ends_after_another_was_chosen_says_whose_it_is(self, widget, visits, register, told):
        first = register(visits[0])
        click(widget.quality.ui.assessButton)
        select(widget, visits[1])
        told["onDone"](answer_of(first))
        assert first.transform.GetName() in widget.quality.ui.statusLabel.text
        assert "another pair is chosen now" in widget.quality.ui.statusLabel.text
        select(widget, visits[0])
        assert widget.quality.ui.statusLabel.text == ""
        assert widget.quality.ui.trustButton.enabled


def test_nothing_is_said_of_maps_that_a_new_registration_has_made_old(widget, visits, register, told):
    nodes = register(visits[0])
    click(widget.quality.ui.assessButton)
    told["onDone"](answer_of(nodes))
    assert "Look at the maps" in widget.quality.ui.statusLabel.text
    click(widget.quality.ui.trustButton)
    register(visits[0])
    assert not widget.quality.ui.trustButton.enabled
    assert widget.quality.ui.statusLabel.text == ""
    assert widget.switch.active is None


def test_a_registration_that_ends_while_a_report_is_made_stops_it(widget, visits, register, tmp_path):
    register(visits[0])
    widget.report.ui.folderSelector.currentPath = str(tmp_path / "reports")
    click(widget.report.ui.reportButton)
    process_events_until(lambda: widget.report.ui.progressBar.value > 0)
    register(visits[0], 0.5)
    process_events_until(lambda: not widget.report.busy, 60)
    assert "the result has changed" in widget.report.ui.statusLabel.text
    assert not (tmp_path / "reports").exists()
    assert widget.switch.active is None


def test_a_registration_that_ends_while_a_pair_is_placed_loses_no_click(
    slicer_application, widget, views, visits, register, told
):
    nodes = register(visits[0])
    show(widget.parent)
    case = LandmarkCase(slicer_application, slicer.mrmlScene, views, nodes, widget)
    case.start()
    middle = case.fixed_centre()
    case.click_at("Red", middle)
    register(visits[0])
    case.click_at("Red+", middle)
    (pair,) = case.book.pairs
    assert pair.blind
    case.stop()
    assert not widget.landmarks.desk.placing.active
    widget.parent.hide()


def test_one_thing_at_a_time_and_whoever_asks_is_told_which(slicer_application, widget, visits, register, monkeypatch):
    for name in ("seriesPanel", "registerPanel", "qualityPanel", "applyPanel", "landmarks.assistant"):
        monkeypatch.setattr(f"LungDeepRegWidgets.{name}.ensureTorch", lambda: None)
    browser, _sequence = breathing(slicer.mrmlScene, (0, 2))
    register(visits[0])
    choose(widget.series.ui.browserSelector, browser)
    check(widget.apply.ui.nodesSelector, visits[0][1])
    click(widget.series.ui.registerSeriesButton)
    others = {"register": "registerButton", "quality": "assessButton", "apply": "applyButton"}
    refused(slicer_application, widget, others | {"landmarks": "candidateButton"}, f"Registering a series {BUSY}")
    for panel in (widget.register, widget.quality, widget.apply, widget.landmarks):
        panel.cancel()
    assert widget.logic.runner.busy  # what isn't one's own isn't ended
    click(widget.series.ui.registerSeriesButton)
    assert not widget.logic.runner.busy
    click(widget.quality.ui.assessButton)
    asked = {"register": "registerButton", "series": "registerSeriesButton"}
    refused(slicer_application, widget, asked, f"An assessment {BUSY}")
    click(widget.quality.ui.assessButton)
    assert not widget.logic.runner.busy


def refused(session, widget, buttons, message) -> None:
    """Each of these buttons shows why not, and changes nothing else; nothing of it stands there afterwards."""
    for name, button in buttons.items():
        ui = getattr(widget, name).ui
        before, text = ui.statusLabel.text, getattr(ui, button).text
        click(getattr(ui, button))
        assert [shown.text for shown in session.take_messages()] == [message], name
        assert (ui.statusLabel.text, getattr(ui, button).text) == (before, text), name


def test_a_saved_scene_brings_back_what_was_found_in_all_panels(
    slicer_application, widget, views, visits, register, told, tmp_path
):
    nodes = register(visits[0])
    register(visits[1], 0.85)
    select(widget, visits[0])
    show(widget.parent)
    case = LandmarkCase(slicer_application, slicer.mrmlScene, views, nodes, widget)
    for observer, offset in (("Ann", 0.0), ("Bob", 9.0)):
        case.observe(observer)
        case.start()
        for shift in (0.0, 40.0):
            point = case.fixed_centre() + np.array([offset, 0.0, shift])
            case.place(point, point)
        case.stop()
    choose(widget.quality.ui.inhaleSelector, "the moving volume")
    click(widget.quality.ui.wayBackButton)
    told["onDone"](answer_of(nodes, backward=True))
    widget.quality.onThreshold("dice", dataclasses.replace(default("dice"), good=0.99))
    click(widget.landmarks.ui.blindButton)
    before = texts(widget)
    assert before["errors"] is not None
    slicer_application.save_scene(tmp_path / "study.mrb")
    slicer_application.load_scene(tmp_path / "study.mrb")
    assert texts(widget) == before
    assert case.book.pairs[0].blind
    click(widget.quality.ui.trustButton)
    assert widget.quality.ui.trustButton.checked
    select(widget, [slicer.util.getNode(f"{part} June") for part in ("fixed", "moving")])
    assert "0.850 after" in widget.register.ui.resultsLabel.text
    assert not case.book.pairs
    widget.parent.hide()


def test_a_scene_that_was_saved_in_the_review_leaves_no_empty_views(slicer_application, widget, views, tmp_path):
    """Slicer saves the number of a layout, and not what it is."""
    from LungDeepRegWidgets.presets.layouts import THREE_ROWS, addThreeRows

    addThreeRows(views.layout)
    views.layout.SetViewArrangement(THREE_ROWS)
    slicer_application.save_scene(tmp_path / "study.mrb")
    slicer_application.load_scene(tmp_path / "study.mrb")
    assert views.layout.GetViewArrangement() == views.layout.SlicerLayoutThreeOverThreeView
    assert "Yellow+" in views.layout.GetCurrentLayoutDescription()


def default(name):
    from LungDeepRegLib.quality import DEFAULT_THRESHOLDS

    return DEFAULT_THRESHOLDS[name]


def texts(widget) -> dict[str, object]:
    """What the panels say of the chosen pair."""
    checks, pairs = widget.quality.ui.checksTable, widget.landmarks.ui.pairsTable
    cells = [
        [table.item(row, column).text() for row in range(table.rowCount) for column in range(table.columnCount)]
        for table in (checks, pairs, widget.quality.ui.regionsTable)
    ]
    return {
        "results": widget.register.ui.resultsLabel.text,
        "overall": widget.quality.ui.overallLabel.text,
        "inhaled": widget.quality.ui.inhaleSelector.currentText,
        "observer": widget.landmarks.ui.observerSelector.currentText,
        "errors": widget.landmarks.statistics(),
        "cells": cells,
    }
