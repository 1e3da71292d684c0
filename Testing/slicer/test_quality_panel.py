"""The quality panel, driven by clicks: real .ui, real MRML, real views; the worker's answers are known by value."""

import json
from pathlib import Path

import pytest
import slicer
from LungDeepRegLib.metrics import Distribution
from LungDeepRegLib.mrml import node_from_volume, publish, result_nodes

from Testing.slicer.assessment_cases import REGIONS, answer_of
from Testing.slicer.fresh_imports import refusing
from Testing.slicer.gui import choose, click, process_events_until
from Testing.slicer.mrml_cases import everything, outcome_of

MODULE = Path(__file__).parents[2] / "LungDeepReg" / "LungDeepReg.py"
LIGHT, TITLE, VALUE, GOOD, BAD = range(5)
SUMMARY = {
    "dice_before": 0.7,
    "dice_after": 0.95,
    "hausdorff95_mm": {"before": 20.0, "aligned": 6.0, "after": 4.0},
    "folded_percent_lung": 0.0,
    "jacobian_lung": {"min": 0.5, "max": 2.5, "percent_outside": 0.0, "log_sd": 0.2},
    "mean_jacobian_lung": 1.3,
    "lung_volume_ratio": 1.0,
    "similarity": {"measure": "lncc", "before": 0.4, "after": 0.8},
    "inverse_consistency_mm": None,
    "coverage_percent_lung": 99.5,
    "options": {"refine": "off", "weights": "none", "voxel_budget": 20_000},
}


class Worker:
    """Answers at once, or when told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict]] = []
        self.told: dict = {}
        self.canceled = 0

    def run(self, name, request, **told) -> None:
        self.asked.append((name, request))
        self.told = told

    def cancel(self) -> None:
        self.canceled += 1
        self.told = {}


@pytest.fixture
def widget(slicer_application, kept_worker):
    widget = slicer_application.open_module(MODULE)
    with kept_worker.lent(widget.logic.runner):
        yield widget
    widget.switch.leave()


@pytest.fixture
def panel(widget, pair, registration, monkeypatch):
    """With a result, unfolded; what it asks the worker for is kept."""
    scene = slicer.mrmlScene
    nodes = [node_from_volume(volume, scene) for volume in (pair.fixed, pair.moving)]
    choose(widget.register.ui.fixedVolumeSelector, nodes[0])
    choose(widget.register.ui.movingVolumeSelector, nodes[1])
    widget.register.showResult(publish(outcome_of(registration, pair), *nodes), SUMMARY | {"seconds": {}} | shown())
    panel = widget.quality
    panel.ui.qualityButton.collapsed = False
    panel._runner = Worker()
    monkeypatch.setattr("LungDeepRegWidgets.qualityPanel.ensureTorch", lambda: None)
    return panel


def shown() -> dict:
    """What the register panel shows of a summary."""
    return {"seconds_total": 1.0, "device": "cpu", "dice_aligned": 0.9, "warnings": []}


def nodes_of(panel):
    return result_nodes(panel._parameters.transform)


def assess(panel, **settings) -> None:
    click(panel.ui.wayBackButton if settings.get("backward") else panel.ui.assessButton)
    panel._runner.told["onDone"](answer_of(nodes_of(panel), **settings))


def cell(panel, title: str, column: int):
    """A cell of the table of checks, by the check's title."""
    table = panel.ui.checksTable
    row = next(row for row in range(table.rowCount) if table.item(row, TITLE).text() == title)
    return table.item(row, column)


def text(panel, title: str, column: int = LIGHT) -> str:
    return cell(panel, title, column).text().lstrip("● ")


def region_cells(panel) -> dict[str, list[str]]:
    table = panel.ui.regionsTable
    return {
        table.horizontalHeaderItem(column).text(): [table.item(row, column).text() for row in range(table.rowCount)]
        for column in range(table.columnCount)
    }


class TestLights:
    def test_opening_loads_no_engine_and_shows_no_table(self, slicer_application):
        with refusing("LungDeepRegLib"):
            panel = slicer_application.open_module(MODULE).quality
        assert panel.ui.overallLabel.text == "No registration yet."
        assert panel.ui.checksTable.isHidden()
        assert not panel.ui.assessButton.enabled
        assert "Register first" in panel.ui.assessButton.toolTip

    def test_each_light_with_its_value(self, panel):
        assert text(panel, "Dice of the lungs") == "good"
        assert text(panel, "Dice of the lungs", VALUE) == "0.95"
        assert text(panel, "95 % Hausdorff distance") == "borderline"
        assert text(panel, "95 % Hausdorff distance", VALUE) == "4 mm"
        assert text(panel, "Mean Jacobian against volume ratio") == "bad"
        assert text(panel, "Inverse consistency") == "none"
        assert text(panel, "Inverse consistency", VALUE) == ""
        assert "TG-132" in cell(panel, "Dice of the lungs", TITLE).toolTip()
        assert "before 0.7" in cell(panel, "Dice of the lungs", TITLE).toolTip()

    def test_colors_are_those_of_the_lights(self, panel):
        colors = {
            light: cell(panel, title, LIGHT).foreground().color()
            for light, title in (
                ("green", "Dice of the lungs"),
                ("red", "Mean Jacobian against volume ratio"),
                ("grey", "Inverse consistency"),
            )
        }
        assert colors["green"].green() > 1.5 * colors["green"].red()
        assert colors["red"].red() > 1.5 * colors["red"].green()
        assert colors["grey"].red() == colors["grey"].green() == colors["grey"].blue()

    def test_a_red_light_makes_the_whole_red_and_says_why(self, panel):
        assert "All in all: bad" in panel.ui.overallLabel.text
        assert "Mean Jacobian against volume ratio: 30" in panel.ui.overallLabel.text

    def test_without_landmarks_nothing_is_good_enough_for_green(self, panel):
        panel._parameters.summary = json.dumps(SUMMARY | shown() | {"lung_volume_ratio": 1.3})
        assert "not enough measured" in panel.ui.overallLabel.text
        assert "placed blind" in panel.ui.overallLabel.text

    def test_blind_landmarks_make_it_green_once_everything_else_is(self, panel):
        better = SUMMARY | shown() | {"lung_volume_ratio": 1.3}
        better["hausdorff95_mm"] = {"before": 20.0, "aligned": 6.0, "after": 2.0}
        panel._parameters.summary = json.dumps(better)
        errors = Distribution(mean=1.2, sd=0.4, median=1.1, p95=1.9, max=2.4)
        panel.landmarkStatistics = lambda: ({"ds": errors}, 11)
        panel.refresh()
        assert text(panel, "Landmark error, placed blind") == "good"
        assert text(panel, "Landmark error, placed blind", VALUE) == "1.2 mm"
        assert "11 pairs" in cell(panel, "Landmark error, placed blind", TITLE).toolTip()
        assert "All in all: good" in panel.ui.overallLabel.text
        panel.landmarkStatistics = lambda: None
        panel.refresh()
        assert "not enough measured" in panel.ui.overallLabel.text

    def test_another_pair_has_no_lights_yet(self, widget, panel):
        click(widget.register.ui.swapButton)
        assert panel.ui.overallLabel.text == "No registration yet."
        assert panel.ui.checksTable.isHidden()
        assert not panel.ui.assessButton.enabled


def test_only_pairs_that_were_placed_blind_count(widget):
    from LungDeepRegLib.landmark_review.pairs import LandmarkPair, Provenance, State
    from LungDeepRegLib.landmark_review.table import errors
    from LungDeepRegWidgets.quality.checks import landmarkErrorsOf

    def pair_of(label: str, moving: float, provenance: Provenance) -> LandmarkPair:
        place = {"fixed_ras": (0.0, 0.0, 0.0), "moving_ras": (moving, 0.0, 0.0), "state": State.ACCEPTED}
        manual = Provenance.MANUAL
        return LandmarkPair(label, **place, fixed_provenance=manual, moving_provenance=provenance)

    blind, assisted = pair_of("a", 3.0, Provenance.MANUAL), pair_of("b", 90.0, Provenance.ASSISTED)
    statistics, count = landmarkErrorsOf(errors([blind, assisted], lambda points: points))
    assert statistics["ds"].max == pytest.approx(3.0)
    assert count == 1
    assert landmarkErrorsOf(errors([assisted], lambda points: points)) is None


class TestThresholds:
    def test_one_that_is_typed_changes_the_light_and_is_saved_with_the_scene(self, slicer_application, panel, tmp_path):
        assert text(panel, "Dice of the lungs", GOOD) == "≥ 0.9"
        cell(panel, "Dice of the lungs", GOOD).setText("≥ 0.97")
        assert text(panel, "Dice of the lungs") == "borderline"
        cell(panel, "Dice of the lungs", BAD).setText("0,96")  # as it is written in many countries
        assert text(panel, "Dice of the lungs") == "bad"
        assert text(panel, "Dice of the lungs", BAD) == "< 0.96"
        slicer_application.save_scene(tmp_path / "study.mrb")
        slicer_application.load_scene(tmp_path / "study.mrb")
        assert text(panel, "Dice of the lungs", GOOD) == "≥ 0.97"
        assert text(panel, "Dice of the lungs") == "bad"
        click(panel.ui.defaultsButton)
        assert text(panel, "Dice of the lungs") == "good"
        assert not panel.ui.defaultsButton.enabled

    @pytest.mark.parametrize(("typed", "told"), [("good", "expected a number"), ("0.5", "0.5 (good) and 0.8 (bad)")])
    def test_one_that_makes_no_sense_is_refused(self, panel, typed, told):
        cell(panel, "Dice of the lungs", GOOD).setText(typed)
        assert told in panel.ui.statusLabel.text
        assert text(panel, "Dice of the lungs", GOOD) == "≥ 0.9"
        assert panel._parameters.qualityThresholds == ""

    def test_one_of_a_check_that_is_not_known_is_left_alone(self, panel):
        panel._parameters.qualityThresholds = json.dumps({"beauty": [1, 2], "dice": [0.99, 0.97]})
        assert text(panel, "Dice of the lungs") == "bad"


class TestAssessing:
    def test_it_is_asked_with_the_settings_of_the_result(self, panel):
        choose(panel.ui.inhaleSelector, "the moving volume")
        click(panel.ui.wayBackButton)
        ((name, request),) = panel._runner.asked
        assert name == "assess"
        assert request["backward"]
        assert request["inhale"] == "moving"
        assert request["options"] == {"refine": "off", "voxel_budget": 20_000}
        assert request["weights"] == "none"
        nodes = nodes_of(panel)
        assert request["fixed"].name == nodes.fixed.GetName()
        assert [mask.name for mask in request["fixed_mask"]] == [nodes.lungs.GetName()]
        assert request["moving_mask"] is None
        assert request["field"].lattice.shape[::-1] == tuple(
            nodes.transform.GetTransformFromParentAs("vtkOrientedGridTransform").GetDisplacementGrid().GetDimensions()
        )

    def test_its_maps_are_shown_and_left_by_clicks(self, views, panel):
        assert not panel.ui.trustButton.enabled
        assert "Assess" in panel.ui.trustButton.toolTip
        assess(panel)
        click(panel.ui.trustButton)
        composite = views["Red"].logic.GetSliceCompositeNode()
        assert composite.GetForegroundVolumeID() is not None
        panel.ui.opacitySlider.value = 80
        assert composite.GetForegroundOpacity() == pytest.approx(0.8)
        box = panel.ui.mapSelector
        assert [box.itemText(index) for index in range(box.count)] == [
            "Trust, all in all", "Residual", "Local correlation"]  # fmt: skip
        choose(box, "Residual")
        assert panel._maps._shown.which == "residual"
        assert "density" in panel.ui.noteLabel.text
        click(panel.ui.ventilationButton)
        assert not panel.ui.trustButton.checked
        assert box.currentText == "From the Jacobian"
        click(panel.ui.ventilationButton)
        assert composite.GetForegroundVolumeID() is None
        assert panel.ui.mapOptions.isHidden()

    @pytest.mark.usefixtures("views")
    def test_a_map_that_is_shown_follows_a_new_assessment(self, panel, widget):
        assess(panel)
        click(panel.ui.ventilationButton)
        assert "No sign" not in panel.ui.noteLabel.text
        assess(panel, inhale=None)
        assert panel.ui.ventilationButton.checked
        assert "No sign" in panel.ui.noteLabel.text
        click(widget.views.ui.overlayButton)
        assert not panel.ui.ventilationButton.checked
        assess(panel)
        assert widget.views.active is not None
        assert not panel.ui.ventilationButton.checked

    def test_regional_figures(self, panel):
        assess(panel)
        cells = region_cells(panel)
        assert cells["Region"] == ["Lungs", *REGIONS]
        assert cells["Residual (HU)"][0] == "42.0"
        assert cells["Trust"][1] == "0.75"
        assert cells["Volume change"][0] == "0.190"
        assert "There and back (mm)" not in cells
        assert "median 0.75, 5 % 0.55" in panel.ui.regionsTable.item(1, 2).toolTip()
        assert "shows less of the lungs" in panel.ui.overallLabel.text

    def test_the_way_back_gives_its_light_and_is_used_again(self, panel):
        assess(panel, backward=True)
        assert text(panel, "Inverse consistency") == "good"
        assert text(panel, "Inverse consistency", VALUE) == "1.5 mm"
        click(panel.ui.assessButton)
        request = panel._runner.asked[-1][1]
        assert not request["backward"]
        assert request["backward_field"] is not None

    @pytest.mark.usefixtures("views")
    def test_everything_is_there_again_in_a_loaded_scene(self, slicer_application, panel, tmp_path):
        assess(panel, backward=True)
        cells, overall = region_cells(panel), panel.ui.overallLabel.text
        slicer_application.save_scene(tmp_path / "study.mrb")
        slicer_application.load_scene(tmp_path / "study.mrb")
        assert region_cells(panel) == cells
        assert panel.ui.overallLabel.text == overall
        click(panel.ui.trustButton)
        assert panel.ui.trustButton.checked

    @pytest.mark.usefixtures("views")
    def test_registering_again_makes_the_assessment_one_of_the_past(self, widget, panel, pair, registration):
        assess(panel)
        click(panel.ui.trustButton)
        again = widget.logic.resultNodes(panel._parameters)
        outputs = __import__("LungDeepRegWidgets.registration", fromlist=["outputsOf"]).outputsOf(panel._parameters)
        nodes = publish(outcome_of(registration, pair), again.fixed, again.moving, outputs)
        widget.register.showResult(nodes, SUMMARY | {"seconds": {}} | shown())
        assert nodes.transform is again.transform
        assert not panel.ui.trustButton.enabled
        assert not panel.ui.trustButton.checked
        assert panel.ui.regionsTable.isHidden()
        assess(panel)
        assert nodes_of(panel).trust is again.trust


class TestStopping:
    @pytest.mark.parametrize("button", ["assessButton", "wayBackButton"])
    def test_cancel_gives_the_button_back_and_changes_nothing(self, panel, button):
        before, own = everything(slicer.mrmlScene), getattr(panel.ui, button)
        name = own.text
        click(own)
        assert own.text == "Cancel"
        other = panel.ui.wayBackButton if own is panel.ui.assessButton else panel.ui.assessButton
        assert not other.enabled
        click(own)
        assert panel._runner.canceled == 1
        assert own.text == name
        assert other.enabled
        assert panel.ui.progressBar.isHidden()
        assert everything(slicer.mrmlScene) == before

    def test_removing_an_image_stops_it(self, panel):
        click(panel.ui.assessButton)
        name = nodes_of(panel).moving.GetName()
        slicer.mrmlScene.RemoveNode(nodes_of(panel).moving)
        assert panel._runner.canceled == 1
        assert f"{name} was removed" in panel.ui.statusLabel.text
        assert not panel.ui.assessButton.enabled

    @pytest.mark.usefixtures("views")
    def test_closing_the_scene_stops_it(self, slicer_application, panel):
        assess(panel)
        click(panel.ui.trustButton)
        click(panel.ui.assessButton)
        slicer_application.close_scene()
        assert panel._runner.canceled == 1
        assert panel.ui.overallLabel.text == "No registration yet."
        assert not panel.ui.trustButton.enabled

    @pytest.mark.usefixtures("views")
    def test_a_map_that_is_removed_is_not_offered(self, panel):
        assess(panel)
        click(panel.ui.trustButton)
        slicer.mrmlScene.RemoveNode(nodes_of(panel).trust)
        assert not panel.ui.trustButton.checked
        assert not panel.ui.trustButton.enabled
        assert panel.ui.ventilationButton.enabled

    def test_a_failure_is_told_and_the_panel_goes_on(self, slicer_application, panel):
        click(panel.ui.assessButton)
        panel._runner.told["onFailed"]("The lungs of inhale weren't found.")
        (message,) = slicer_application.take_messages()
        assert message.text == "The lungs of inhale weren't found."
        assert panel.ui.assessButton.enabled
        assert panel.ui.assessButton.text == "Assess"

    def test_a_result_that_was_replaced_meanwhile_is_refused_by_name(self, slicer_application, panel):
        click(panel.ui.assessButton)
        answer, nodes = answer_of(nodes_of(panel)), nodes_of(panel)
        nodes.transform.SetAttribute("LungDeepReg.run", "another")
        panel._runner.told["onDone"](answer)
        (message,) = slicer_application.take_messages()
        assert nodes.transform.GetName() in message.text
        assert nodes_of(panel).trust is None

    def test_another_pair_chosen_meanwhile_keeps_its_own_state(self, widget, panel):
        first = nodes_of(panel)
        click(panel.ui.assessButton)
        click(widget.register.ui.swapButton)
        panel._runner.told["onDone"](answer_of(first))
        assert result_nodes(first.transform).trust is not None
        assert not panel.ui.trustButton.enabled
        assert panel.ui.regionsTable.isHidden()


@pytest.mark.usefixtures("views")
def test_the_worker_assesses_and_checks_the_way_back(widget, panel, pair):
    panel._runner = widget.logic.runner
    panel._parameters.movingMask = node_from_volume(pair.moving_mask, slicer.mrmlScene, "vtkMRMLLabelMapVolumeNode")
    choose(panel.ui.inhaleSelector, "the moving volume")
    values = []
    panel.ui.progressBar.connect("valueChanged(int)", values.append)
    click(panel.ui.wayBackButton)
    process_events_until(lambda: not panel.busy, 120)
    assert values == sorted(values)
    assert "Assessed" in panel.ui.statusLabel.text
    assert text(panel, "Inverse consistency", VALUE).endswith(" mm")
    cells = region_cells(panel)
    assert cells["Region"][0] == "Lungs"
    assert len(cells["Region"]) > 4
    assert float(cells["Volume (ml)"][0]) == pytest.approx(
        (pair.fixed_mask.array > 0).sum() * pair.fixed.lattice.voxel_volume_mm3 / 1000, rel=0.1
    )
    nodes = nodes_of(panel)
    for name in ("trust", "residual", "correlation", "consistency", "ventilation", "regions", "backward"):
        assert getattr(nodes, name) is not None, name
    for button in (panel.ui.trustButton, panel.ui.ventilationButton):
        click(button)
        assert button.checked
    first = everything(slicer.mrmlScene)
    click(panel.ui.ventilationButton)
    kept = everything(slicer.mrmlScene)
    click(panel.ui.assessButton)
    process_events_until(lambda: not panel.busy, 120)
    assert everything(slicer.mrmlScene) == kept != first
