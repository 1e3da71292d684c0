"""Motion curves of landmarks over the phases of a registered series: a table, and a chart of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from ..landmarks import Landmarks
from ..motion_curves import MotionCurves, Phi, motion_curves
from .apply_points import transformed
from .changes import Changes, all_or_nothing, remove_node
from .landmark_pairs import defined_points
from .outputs import RESULT_ATTRIBUTE, ROLE_PREFIX
from .phi import phi_of
from .sequences import master_sequence
from .series import Series, registered_phases, up_to_date
from .volumes import NodeError

LANDMARKS_ROLE = f"{ROLE_PREFIX}landmarks"
"""The table of curves refers to the list of landmarks by it,"""
TRANSFORMS_ROLE = f"{ROLE_PREFIX}transforms"
"""to the sequence of transforms,"""
AMPLITUDES_ROLE = f"{ROLE_PREFIX}amplitudes"
"""to the table of amplitudes,"""
CHART_ROLE = f"{ROLE_PREFIX}chart"
"""and to the chart."""
AXES = ("R", "A", "S")


@dataclass(frozen=True)
class CurveNodes:
    """Motion curves in the scene.

    Attributes:
        table: A row for each phase; for each landmark its displacement from the reference phase, its length and along
            R, A and S (dR, dA, dS), in mm.
        amplitudes: A row for each landmark: where it is in the reference phase, and its amplitude.
        chart: Displacement over phases, a line for each landmark.
    """

    table: slicer.vtkMRMLTableNode
    amplitudes: slicer.vtkMRMLTableNode
    chart: slicer.vtkMRMLPlotChartNode


def curves_of(series: Series, markups: slicer.vtkMRMLMarkupsNode | None) -> MotionCurves:
    """The motion curves of a list of landmarks that were placed in the reference phase, over the registered phases.

    A phase whose image, or the reference's, isn't what was registered any more is left out.

    Raises:
        NodeError: No list or an empty one, a landmark outside the reference image, or no registered phase yet.
        LandmarkError: A label that stands twice.
    """
    landmarks = landmarks_in(markups)
    inside = series.image(series.reference).lattice.contains(landmarks.points_ras)
    if not inside.all():
        outside = ", ".join(label for label, found in zip(landmarks.labels, inside, strict=True) if not found)
        msg = f"{landmarks.name}: found {outside} outside {series.image(series.reference).name}, expected points in it"
        raise NodeError(msg)
    transforms, known = series.results("transform"), registered_phases(series, warped=False)
    maps: list[tuple[str, Phi | None]] = []
    for value in series.values:
        if value == series.reference:
            maps.append((series.title(value), None))
        elif transforms is not None and value in known and up_to_date(series, value, known[value][0]):
            maps.append((series.title(value), node_map(transforms.GetDataNodeAtValue(value))))
    if len(maps) < 2:
        msg = f"{series.sequence.GetName()}: found no registered phase, expected one or more; register the series first"
        raise NodeError(msg)
    return motion_curves(landmarks, maps)


def landmarks_in(markups: slicer.vtkMRMLMarkupsNode | None) -> Landmarks:
    """The placed points of a markups list, in the world."""
    if markups is None:
        msg = "found no list of landmarks, expected a point list placed in the reference phase"
        raise NodeError(msg)
    labels = defined_points(markups)
    if not labels:
        msg = f"{markups.GetName()}: found no placed point, expected landmarks of the reference phase"
        raise NodeError(msg)
    points = np.array([markups.GetNthControlPointPositionWorld(index) for index in labels])
    return Landmarks(points, tuple(labels.values()), markups.GetName())


def node_map(node: slicer.vtkMRMLTransformNode) -> Phi:
    """phi of a phase's transform, linear between the field's nodes however the transform was loaded."""
    stored = node.GetTransformFromParentAs("vtkOrientedGridTransform", False)
    if stored is None:  # somebody put another transform there
        return phi_of(node)
    transform = slicer.vtkOrientedGridTransform()
    transform.SetDisplacementGridData(stored.GetDisplacementGrid())  # shared
    transform.SetGridDirectionMatrix(stored.GetGridDirectionMatrix())
    transform.SetInterpolationModeToLinear()
    return lambda points: transformed(transform, points)


def publish_curves(curves: MotionCurves, series: Series, markups: slicer.vtkMRMLMarkupsNode) -> CurveNodes:
    """Show motion curves as two tables and a chart beside the 4D image; those of the same list are replaced in place.

    Where anything fails, the scene is as it was.
    """
    transforms = series.results("transform")
    title = f"{markups.GetName()} in {series.sequence.GetName()}"
    contents = curve_table(curves, series), amplitude_table(curves)
    earlier = earlier_table(markups, transforms)
    with all_or_nothing(series.browser.GetScene()) as changes:
        table = filled(changes, earlier, f"Motion of {title}", contents[0])
        amplitudes = filled(
            changes, earlier and earlier.GetNodeReference(AMPLITUDES_ROLE), f"Amplitudes of {title}", contents[1]
        )
        chart = earlier and earlier.GetNodeReference(CHART_ROLE)
        chart = chart or changes.new_node("vtkMRMLPlotChartNode", f"Motion of {title}")
        for role, node in (
            (LANDMARKS_ROLE, markups),
            (TRANSFORMS_ROLE, transforms),
            (AMPLITUDES_ROLE, amplitudes),
            (CHART_ROLE, chart),
        ):
            changes.set_reference(table, role, node)
        changes.mark(table, RESULT_ATTRIBUTE, "motion curves")
        for node in (table, amplitudes, chart):
            changes.put_beside(node, series.sequence)
        outdated = draw(changes, chart, table, curves, series)
    for node in outdated:
        remove_node(node)
    return CurveNodes(table, amplitudes, chart)


def earlier_table(
    markups: slicer.vtkMRMLMarkupsNode, transforms: slicer.vtkMRMLSequenceNode | None
) -> slicer.vtkMRMLTableNode | None:
    """The table of the same list over the same transforms, if there is one."""
    scene = markups.GetScene()
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLTableNode")):
        node = scene.GetNthNodeByClass(index, "vtkMRMLTableNode")
        same = node.GetNodeReference(LANDMARKS_ROLE) is markups and node.GetNodeReference(TRANSFORMS_ROLE) is transforms
        if same and node.GetAttribute(RESULT_ATTRIBUTE) == "motion curves":
            return node
    return None


def curve_table(curves: MotionCurves, series: Series) -> vtk.vtkTable:
    """A row for each phase."""
    master = master_sequence(series.browser)
    values = [value for value in series.values if series.title(value) in curves.phases]
    numeric = master.GetIndexType() == master.NumericIndex
    along = np.array([float(value) for value in values]) if numeric else np.arange(1.0, len(values) + 1)
    table = vtk.vtkTable()
    add_texts(table, "Phase", curves.phases)
    add_numbers(table, x_title(series), along)
    for n, label in enumerate(curves.labels):
        add_numbers(table, label, curves.distance[:, n])
        for axis, name in enumerate(AXES):
            add_numbers(table, f"{label} d{name}", curves.displacement[:, n, axis])
    return table


def amplitude_table(curves: MotionCurves) -> vtk.vtkTable:
    """A row for each landmark."""
    table = vtk.vtkTable()
    add_texts(table, "Landmark", curves.labels)
    for axis, name in enumerate(AXES):
        add_numbers(table, name, curves.positions[curves.reference, :, axis])
    add_numbers(table, "Amplitude [mm]", curves.amplitude)
    return table


def x_title(series: Series) -> str:
    """What the chart goes along: the sequence's index with its unit, or the phases' numbers."""
    master = master_sequence(series.browser)
    if master.GetIndexType() != master.NumericIndex:
        return "Number"
    unit = f" [{master.GetIndexUnit()}]" if master.GetIndexUnit() else ""
    return f"{master.GetIndexName() or 'index'}{unit}"


def add_texts(table: vtk.vtkTable, name: str, texts: tuple[str, ...]) -> None:
    """A column of texts."""
    column = vtk.vtkStringArray()
    column.SetName(name)
    for text in texts:
        column.InsertNextValue(text)
    table.AddColumn(column)


def add_numbers(table: vtk.vtkTable, name: str, numbers: np.ndarray) -> None:
    """A column of numbers."""
    column = numpy_to_vtk(np.ascontiguousarray(numbers, dtype=np.float64), deep=True)
    column.SetName(name)
    table.AddColumn(column)


def filled(
    changes: Changes, node: slicer.vtkMRMLTableNode | None, name: str, content: vtk.vtkTable
) -> slicer.vtkMRMLTableNode:
    """A table in a node: the given one, or a new one."""
    node = node or changes.new_node("vtkMRMLTableNode", name)
    changes.undo.callback(node.SetAndObserveTable, node.GetTable())
    node.SetAndObserveTable(content)
    node.SetUseColumnTitleAsColumnHeader(True)
    return node


def draw(
    changes: Changes,
    chart: slicer.vtkMRMLPlotChartNode,
    table: slicer.vtkMRMLTableNode,
    curves: MotionCurves,
    series: Series,
) -> list[slicer.vtkMRMLPlotSeriesNode]:
    """Let a chart show a line for each landmark; gives the lines of landmarks that are gone, for removal."""
    before = [chart.GetNthPlotSeriesNode(index) for index in range(chart.GetNumberOfPlotSeriesNodes())]
    known = {line.GetYColumnName(): line for line in before if line is not None}
    changes.undo.callback(show_lines, chart, list(known.values()))
    lines = [known.pop(label, None) or line_of(changes, table, label, x_title(series)) for label in curves.labels]
    show_lines(chart, lines)
    chart.SetTitle(chart.GetName())
    chart.SetXAxisTitle(x_title(series))
    chart.SetYAxisTitle(f"Displacement from {curves.phases[curves.reference]} [mm]")
    return list(known.values())


def line_of(
    changes: Changes, table: slicer.vtkMRMLTableNode, label: str, x_column: str
) -> slicer.vtkMRMLPlotSeriesNode:
    """A landmark's line, in a colour of its own."""
    line = changes.new_node("vtkMRMLPlotSeriesNode", label)
    line.SetName(label)  # which the legend shows, so without a number that would make it unique
    line.SetAndObserveTableNodeID(table.GetID())
    line.SetXColumnName(x_column)
    line.SetYColumnName(label)
    line.SetLabelColumnName("Phase")
    line.SetPlotType(line.PlotTypeScatter)
    line.SetUniqueColor()
    return line


def show_lines(chart: slicer.vtkMRMLPlotChartNode, lines: list[slicer.vtkMRMLPlotSeriesNode]) -> None:
    """Let a chart show these lines and no others."""
    chart.RemoveAllPlotSeriesNodeIDs()
    for line in lines:
        chart.AddAndObservePlotSeriesNodeID(line.GetID())
