"""What a report without names must not tell: in its texts, and in the pictures of the views."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import slicer

from ..presets.displayState import nodesOf

DICOM_ATTRIBUTES = ("DICOM.PatientName", "DICOM.PatientID", "DICOM.StudyID", "DICOM.AccessionNumber")
SHORTEST = 3
"""Shorter texts tell nobody."""


def privateTexts(nodes: Any, lists: Sequence[Any] = ()) -> list[str]:
    """The names of the result's nodes and of landmark lists, and of the patient and study that they belong to.

    Args:
        nodes: The result, ``mrml.ResultNodes``.
        lists: Observers' landmarks, ``mrml.landmark_pairs.PairLists``.
    """
    known = [*vars(nodes).values(), *(node for pair in lists for node in pair.both)]
    found = [node.GetName() for node in known if node is not None]
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    for node in (nodes.fixed, nodes.moving):
        item = hierarchy.GetItemByDataNode(node) if hierarchy is not None and node is not None else 0
        while item and item != hierarchy.GetSceneItemID():
            found.append(hierarchy.GetItemName(item))
            found += [hierarchy.GetItemAttribute(item, name) for name in DICOM_ATTRIBUTES]
            item = hierarchy.GetItemParent(item)
    return [text for text in dict.fromkeys(found) if len(text.strip()) >= SHORTEST]


@contextmanager
def namesHidden(scene: slicer.vtkMRMLScene, texts: Sequence[str]) -> Iterator[None]:
    """Don't draw, for a while, names of markups lists, and labels and titles in which one of the texts stands."""
    changed = []
    for display in nodesOf(scene, "vtkMRMLMarkupsDisplayNode"):
        changed.append((display.SetPropertiesLabelVisibility, display.GetPropertiesLabelVisibility()))
        if told(labelsOf(display.GetDisplayableNode()), texts):
            changed.append((display.SetPointLabelsVisibility, display.GetPointLabelsVisibility()))
    for legend in nodesOf(scene, "vtkMRMLColorLegendDisplayNode"):
        if told([legend.GetTitleText() or ""], texts):
            changed.append((legend.SetVisibility, legend.GetVisibility()))
    for change, _before in changed:
        change(False)
    try:
        yield
    finally:
        for change, before in changed:
            change(before)


def labelsOf(markups: Any) -> list[str]:
    """The labels of a list of points; none without a list."""
    count = 0 if markups is None else markups.GetNumberOfControlPoints()
    return [markups.GetNthControlPointLabel(index) for index in range(count)]


def told(words: Sequence[str], texts: Sequence[str]) -> bool:
    """Whether one of the texts stands in one of the words."""
    return any(text in word for text in texts for word in words)
