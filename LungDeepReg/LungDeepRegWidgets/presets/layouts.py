"""Layouts of slice views that Slicer itself doesn't have."""

from __future__ import annotations

import slicer

THREE_ROWS = 5070
"""Three times three views: custom layouts have numbers above 500."""
COLUMNS = (("Red", "Axial", "#F34A33"), ("Green", "Coronal", "#6EB04B"), ("Yellow", "Sagittal", "#EDD54C"))
ROWS = ("", "Deformed", "+")
"""What follows the column's name in a view's name; the first and the last row are Slicer's own three over three."""


def addThreeRows(layout: slicer.vtkMRMLLayoutNode | None) -> None:
    """Make :data:`THREE_ROWS` known to the layout node; a scene that was closed has forgotten it."""
    if layout is not None and not layout.IsLayoutDescription(THREE_ROWS):
        layout.AddLayoutDescription(THREE_ROWS, description())


def leaveThreeRows(layout: slicer.vtkMRMLLayoutNode | None) -> None:
    """Choose Slicer's own layout of two rows instead of :data:`THREE_ROWS`.

    A scene that was saved while these were shown has their number only: loaded elsewhere, there are no views at all.
    """
    if layout is not None and layout.GetViewArrangement() == THREE_ROWS:
        layout.SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutThreeOverThreeView)


def description() -> str:
    """Three rows of an axial, a coronal and a sagittal view."""
    rows = "".join(
        f'<item><layout type="horizontal">{"".join(view(row, *column) for column in COLUMNS)}</layout></item>'
        for row in ROWS
    )
    return f'<layout type="vertical">{rows}</layout>'


def view(row: str, name: str, orientation: str, color: str) -> str:
    """One view of the description."""
    return (
        f'<item><view class="vtkMRMLSliceNode" singletontag="{name}{row}">'
        f'<property name="orientation" action="default">{orientation}</property>'
        f'<property name="viewlabel" action="default">{name[0]}{row[:1]}</property>'
        f'<property name="viewcolor" action="default">{color}</property>'
        f'<property name="viewgroup" action="default">{ROWS.index(row)}</property></view></item>'
    )
