"""Motion curves in the scene: real markups, transforms, tables and charts, against motion that is known."""

from contextlib import suppress

import numpy as np
import pytest
import slicer
from LungDeepRegLib.landmarks import LandmarkError
from LungDeepRegLib.mrml import NodeError, Series, curves_of, publish_curves

from Testing.slicer.mrml_cases import TABLE, everything, fail_after
from Testing.slicer.scene import linear_transform
from Testing.slicer.series_cases import IMAGES, PHANTOM, breathing, landmarks_node, sequence_of, world
from Testing.slicer.test_mrml_series import publish, reloaded

VALUES = ("0", "20", "50")


@pytest.fixture
def series(scene):
    found = Series(*breathing(scene, (0, 2, 5)), "0")
    publish(found, "20", "50", spacing=8.0)
    return found


@pytest.fixture
def markups(scene):
    return landmarks_node(scene)


def true_positions(phases=(0, 2, 5)):
    return np.stack([world(PHANTOM.landmarks(phase).points_ras) for phase in phases])


def lines_of(chart):
    return [chart.GetNthPlotSeriesNode(index) for index in range(chart.GetNumberOfPlotSeriesNodes())]


def column(table, name):
    return slicer.util.arrayFromTableColumn(table, name)


class TestCurves:
    def test_landmarks_go_where_the_tissue_goes(self, series, markups):
        curves = curves_of(series, markups)
        assert curves.phases == ("0 %", "20 %", "50 %")
        assert curves.reference == 0
        assert curves.labels == PHANTOM.landmarks(0).labels
        errors = np.linalg.norm(curves.positions - true_positions(), axis=-1)
        assert errors.max() < 0.25  # of linear interpolation between nodes 8 mm apart
        assert curves.distance[2].max() > 15
        truth = np.linalg.norm(true_positions()[2] - true_positions()[0], axis=-1)
        np.testing.assert_allclose(curves.amplitude, truth, atol=0.3)

    def test_a_list_below_a_transform(self, scene, series):
        node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "own frame")
        for point in PHANTOM.landmarks(0).points_ras.tolist():
            node.AddControlPoint(point)
        node.SetAndObserveTransformNodeID(linear_transform(scene, TABLE).GetID())
        errors = np.linalg.norm(curves_of(series, node).positions - true_positions(), axis=-1)
        assert errors.max() < 0.25

    def test_a_reference_in_the_middle(self, scene):
        series = Series(*breathing(scene, (0, 2, 5)), "20")
        publish(series, "0", "50", spacing=8.0)
        curves = curves_of(series, landmarks_node(scene, phase=2))
        assert curves.reference == 1
        assert np.linalg.norm(curves.positions - true_positions(), axis=-1).max() < 0.25

    def test_phases_that_are_not_registered_are_left_out(self, scene, markups):
        series = Series(*breathing(scene, (0, 2, 5)), "0")
        publish(series, "50", warped=False)
        assert curves_of(series, markups).phases == ("0 %", "50 %")

    def test_phases_whose_image_has_changed_are_left_out(self, scene, series, markups):
        slicer.util.updateVolumeFromArray(series.sequence.GetDataNodeAtValue("20"), IMAGES[2].array + 1)
        assert curves_of(series, markups).phases == ("0 %", "50 %")
        moved = np.array(TABLE)
        moved[1, 3] += 1
        series.browser.GetProxyNode(series.sequence).SetAndObserveTransformNodeID(
            linear_transform(scene, moved).GetID()
        )
        with pytest.raises(NodeError, match="4D CT: found no registered phase"):
            curves_of(series, markups)

    def test_loaded_transforms_give_the_same(self, application, series, markups, tmp_path):
        before = curves_of(series, markups).positions
        again = reloaded(application, tmp_path / "breath.mrb")
        after = curves_of(again, application.scene.GetFirstNodeByName("branchings")).positions
        np.testing.assert_allclose(after, before, atol=1e-3)

    def test_a_transform_that_somebody_put_in_place_of_ours(self, scene, series, markups):
        shift = np.eye(4)
        shift[:3, 3] = 3, -4, 12
        own = linear_transform(scene, np.linalg.inv(shift))
        series.results("transform").RemoveDataNodeAtValue("50")
        series.results("transform").SetDataNodeAtValue(own, "50")
        np.testing.assert_allclose(curves_of(series, markups).distance[2], 13)

    def test_nothing_registered_yet(self, scene, markups):
        series = Series(*breathing(scene, (0, 2)), "0")
        with pytest.raises(NodeError, match="4D CT: found no registered phase"):
            curves_of(series, markups)

    def test_landmarks_that_cannot_be_used_are_named(self, scene, series, markups):
        with pytest.raises(NodeError, match="found no list of landmarks"):
            curves_of(series, None)
        with pytest.raises(NodeError, match="empty: found no placed point"):
            curves_of(series, scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "empty"))
        markups.AddControlPoint((0.0, 0.0, 900.0), "far away")
        with pytest.raises(NodeError, match="branchings: found far away outside 4D CT 0 %"):
            curves_of(series, markups)
        markups.RemoveNthControlPoint(markups.GetNumberOfControlPoints() - 1)
        markups.SetNthControlPointLabel(1, markups.GetNthControlPointLabel(0))
        with pytest.raises(LandmarkError, match="found the labels vessel branching 1 more than once"):
            curves_of(series, markups)

    def test_points_that_are_not_placed_do_not_count(self, series, markups):
        markups.UnsetNthControlPointPosition(0)
        assert curves_of(series, markups).labels == PHANTOM.landmarks(0).labels[1:]


class TestPublishing:
    def test_tables_and_chart_hold_every_figure(self, series, markups):
        for n, label in enumerate(("bronchus", "bronchus R")):  # the right one
            markups.SetNthControlPointLabel(n, label)
        curves = curves_of(series, markups)
        nodes = publish_curves(curves, series, markups)
        assert [nodes.table.GetTable().GetValue(row, 0).ToString() for row in range(3)] == ["0 %", "20 %", "50 %"]
        np.testing.assert_array_equal(column(nodes.table, "phase [%]"), [0, 20, 50])
        for n, label in enumerate(curves.labels):
            np.testing.assert_allclose(column(nodes.table, label), curves.distance[:, n])
            for axis, name in enumerate("RAS"):
                np.testing.assert_allclose(column(nodes.table, f"{label} d{name}"), curves.displacement[:, n, axis])
        np.testing.assert_allclose(column(nodes.amplitudes, "Amplitude [mm]"), curves.amplitude)
        np.testing.assert_allclose(column(nodes.amplitudes, "S"), true_positions()[0][:, 2])
        lines = lines_of(nodes.chart)
        assert [line.GetYColumnName() for line in lines] == list(curves.labels)
        assert {line.GetTableNode() for line in lines} == {nodes.table}
        assert {line.GetXColumnName() for line in lines} == {"phase [%]"}
        assert len({line.GetColor() for line in lines}) == len(lines)
        assert nodes.chart.GetYAxisTitle() == "Displacement from 0 % [mm]"

    def test_the_same_list_is_updated_in_place(self, scene, series, markups):
        first = publish_curves(curves_of(series, markups), series, markups)
        count, colors = scene.GetNumberOfNodes(), [line.GetColor() for line in lines_of(first.chart)]
        markups.RemoveNthControlPoint(0)
        again = publish_curves(curves_of(series, markups), series, markups)
        assert again == first
        assert scene.GetNumberOfNodes() == count - 1  # one line less
        assert [line.GetName() for line in lines_of(again.chart)] == list(curves_of(series, markups).labels)
        assert [line.GetColor() for line in lines_of(again.chart)] == colors[1:]
        assert "vessel branching 1" not in [
            again.table.GetColumnName(index) for index in range(again.table.GetNumberOfColumns())
        ]

    def test_another_list_has_nodes_of_its_own(self, scene, series, markups):
        first = publish_curves(curves_of(series, markups), series, markups)
        other = landmarks_node(scene, count=2)
        second = publish_curves(curves_of(series, other), series, other)
        assert second.table is not first.table
        assert second.chart is not first.chart
        assert len(lines_of(first.chart)) == 8

    def test_numbers_are_numbers_after_saving_and_loading(self, application, series, markups, tmp_path):
        nodes = publish_curves(curves_of(series, markups), series, markups)
        expected, name = column(nodes.table, "vessel branching 1"), nodes.table.GetName()
        again = reloaded(application, tmp_path / "breath.mrb")
        table = application.scene.GetFirstNodeByName(name)
        np.testing.assert_allclose(column(table, "vessel branching 1"), expected, atol=1e-4)
        markups = application.scene.GetFirstNodeByName("branchings")
        assert publish_curves(curves_of(again, markups), again, markups).table is table

    def test_phases_in_words_are_counted(self, scene, markups):
        from LungDeepRegLib.mrml import PhaseResult, publish_phase

        from Testing.slicer.series_cases import IMAGES
        from Testing.slicer.test_mrml_series import SETTINGS, result

        sequence = sequence_of(scene, {"exhale": IMAGES[0], "inhale": IMAGES[5]}, unit="")
        browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "breath")
        browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
        browser.GetProxyNode(sequence).SetAndObserveTransformNodeID(linear_transform(scene, TABLE).GetID())
        series = Series(browser, sequence, "exhale")
        field = result(Series(*breathing(scene, (0, 5)), "0"), "50", spacing=8.0).field
        publish_phase(series, "inhale", PhaseResult(field, None, series.made_of("inhale", SETTINGS), {}))
        nodes = publish_curves(curves_of(series, markups), series, markups)
        np.testing.assert_array_equal(column(nodes.table, "Number"), [1, 2])
        assert nodes.chart.GetXAxisTitle() == "Number"

    @pytest.mark.parametrize("first", [True, False], ids=["new", "update"])
    def test_a_failure_half_way_leaves_the_scene_as_it_was(self, scene, series, markups, monkeypatch, first):
        if not first:
            publish_curves(curves_of(series, markups), series, markups)
            markups.RemoveNthControlPoint(0)
        curves, before, steps = curves_of(series, markups), everything(scene), 0
        while True:
            with monkeypatch.context() as patch:
                left = fail_after(steps, patch)
                with suppress(MemoryError):
                    publish_curves(curves, series, markups)
                if left[0] >= 0:
                    break
            steps += 1
            assert everything(scene) == before
            chart = scene.GetFirstNodeByClass("vtkMRMLPlotChartNode")
            assert (chart is None) if first else (len(lines_of(chart)) == 8)
        assert steps >= 8
