"""What a report without names must not tell, in its texts and in the pictures of the views."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import slicer
import vtk

from ..presets.displayState import nodesOf

DICOM_ATTRIBUTES = (
    "DICOM.PatientName",
    "DICOM.PatientID",
    "DICOM.PatientBirthDate",
    "DICOM.StudyID",
    "DICOM.AccessionNumber",
)
NAMED_CLASSES = ("vtkMRMLDisplayableNode", "vtkMRMLSequenceNode", "vtkMRMLSequenceBrowserNode")


def privateTexts(scene: slicer.vtkMRMLScene) -> list[str]:
    """The names of everything that users see in the scene, of its files and segments, of patients and studies."""
    nodes = {node.GetID(): node for className in NAMED_CLASSES for node in nodesOf(scene, className)}
    shown = [node for node in nodes.values() if not node.GetHideFromEditors()]
    found = [node.GetName() or "" for node in shown]
    files = [node.GetStorageNode() for node in shown if node.IsA("vtkMRMLStorableNode")]
    found += [Path(file.GetFileName() or "").name for file in files if file is not None]
    found += [name for node in nodesOf(scene, "vtkMRMLSegmentationNode") for name in segmentNames(node)]
    found += hierarchyTexts(slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene))
    return [text for text in dict.fromkeys(found) if text.strip()]


def segmentNames(node: slicer.vtkMRMLSegmentationNode) -> list[str]:
    """The names of a segmentation's segments."""
    segments = node.GetSegmentation()
    return [segments.GetNthSegment(number).GetName() or "" for number in range(segments.GetNumberOfSegments())]


def hierarchyTexts(hierarchy: slicer.vtkMRMLSubjectHierarchyNode | None) -> list[str]:
    """The names of patients, studies and folders in the data tree, and what DICOM said of them."""
    if hierarchy is None:
        return []
    items = vtk.vtkIdList()
    hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), items, True)
    found = []
    for item in (items.GetId(number) for number in range(items.GetNumberOfIds())):
        if hierarchy.GetItemDataNode(item) is None:
            found.append(hierarchy.GetItemName(item))
        found += [hierarchy.GetItemAttribute(item, name) for name in DICOM_ATTRIBUTES]
    return found


@contextmanager
def onlyDisplays(scene: slicer.vtkMRMLScene, kept: tuple[Any, ...] = (), *, named: bool = False) -> Iterator[None]:
    """Show, for a while, only what a way of looking shows: other markups and legends would be taken for part of it.

    Args:
        scene: The MRML scene.
        kept: Markups that are shown nevertheless.
        named: Whether their labels, which can hold any name, are drawn.
    """
    changed = []
    for display in nodesOf(scene, "vtkMRMLMarkupsDisplayNode"):
        node = display.GetDisplayableNode()
        if node is not None and node.GetSaveWithScene() and not any(node is other for other in kept):
            changed.append((display.SetVisibility, display.GetVisibility()))
        if not named:
            changed.append((display.SetPropertiesLabelVisibility, display.GetPropertiesLabelVisibility()))
            changed.append((display.SetPointLabelsVisibility, display.GetPointLabelsVisibility()))
    for legend in nodesOf(scene, "vtkMRMLColorLegendDisplayNode"):
        if legend.GetSaveWithScene():
            changed.append((legend.SetVisibility, legend.GetVisibility()))
    for change, _before in changed:
        change(False)
    try:
        yield
    finally:
        for change, before in changed:
            change(before)


@contextmanager
def oriented(scene: slicer.vtkMRMLScene) -> Iterator[None]:
    """Show, for a while, axes with letters and, in slices, a ruler: a picture alone tells neither side nor size."""
    views = nodesOf(scene, "vtkMRMLAbstractViewNode")
    kinds = ("OrientationMarkerType", "RulerType", "RulerColor")
    before = [(view, {kind: getattr(view, f"Get{kind}")() for kind in kinds}) for view in views]
    for view in views:
        view.SetOrientationMarkerType(view.OrientationMarkerTypeAxes)
        if view.IsA("vtkMRMLSliceNode"):
            view.SetRulerType(view.RulerTypeThin)
            view.SetRulerColor(view.RulerColorYellow)  # white isn't seen on white
    try:
        yield
    finally:
        for view, values in before:
            for kind, value in values.items():
                getattr(view, f"Set{kind}")(value)
