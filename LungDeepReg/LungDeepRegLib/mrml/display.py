"""How published volumes look."""

from __future__ import annotations

import slicer

DIVERGING_COLORS = "vtkMRMLColorTableNodeFileDivergingBlueRed.txt"
LEAST_WINDOW = 1e-3


def show_diverging(node: slicer.vtkMRMLScalarVolumeNode, middle: float, half_width: float) -> None:
    """Blue below the middle value, red above it, over a symmetric window."""
    half_width = max(half_width, LEAST_WINDOW)
    display = node.GetDisplayNode()
    display.SetAndObserveColorNodeID(DIVERGING_COLORS)
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(middle - half_width, middle + half_width)


def show_like(node: slicer.vtkMRMLScalarVolumeNode, other: slicer.vtkMRMLScalarVolumeNode) -> None:
    """The same window and colours as another volume has, so that the two can be compared by eye."""
    display, model = node.GetDisplayNode(), other.GetDisplayNode()
    if model is None:
        return
    display.SetAndObserveColorNodeID(model.GetColorNodeID())
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(model.GetWindowLevelMin(), model.GetWindowLevelMax())
