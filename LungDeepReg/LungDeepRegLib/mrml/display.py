"""How published volumes look."""

from __future__ import annotations

from dataclasses import dataclass

import slicer
import vtk

from ..quality import NOT_MEASURED

DIVERGING_COLORS = "vtkMRMLColorTableNodeFileDivergingBlueRed.txt"
EVEN_COLORS = "vtkMRMLColorTableNodeIron"
LEAST_WINDOW = 1e-3


def show_diverging(node: slicer.vtkMRMLScalarVolumeNode, middle: float, half_width: float) -> None:
    """Blue below the middle value, red above it, over a symmetric window."""
    half_width = max(half_width, LEAST_WINDOW)
    display = node.GetDisplayNode()
    display.SetAndObserveColorNodeID(DIVERGING_COLORS)
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(middle - half_width, middle + half_width)


def show_between(node: slicer.vtkMRMLScalarVolumeNode, low: float, high: float) -> None:
    """Dark at the lowest value, bright at the highest."""
    display = node.GetDisplayNode()
    display.SetAndObserveColorNodeID(EVEN_COLORS)
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(low, max(high, low + LEAST_WINDOW))


def hide_unmeasured(display: slicer.vtkMRMLScalarVolumeDisplayNode) -> None:
    """Draw nothing where a map holds :data:`quality.NOT_MEASURED`."""
    display.SetThreshold(NOT_MEASURED + 1, vtk.VTK_FLOAT_MAX)
    display.ApplyThresholdOn()


def show_like(node: slicer.vtkMRMLScalarVolumeNode, other: slicer.vtkMRMLScalarVolumeNode) -> None:
    """The same window and colours as another volume has, so that the two can be compared by eye."""
    display, model = node.GetDisplayNode(), other.GetDisplayNode()
    if model is None:
        return
    display.SetAndObserveColorNodeID(model.GetColorNodeID())
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(model.GetWindowLevelMin(), model.GetWindowLevelMax())


@dataclass(frozen=True, eq=False)
class Look:
    """How a node was displayed when it was read, whatever becomes of it later.

    Attributes:
        content: A display node of no scene, or None for a node that wasn't displayed.
        colors: The ID of its colour node, or None.
    """

    content: slicer.vtkMRMLDisplayNode | None
    colors: str | None

    @classmethod
    def of(cls, node: slicer.vtkMRMLDisplayableNode) -> Look:
        """How a node looks now."""
        display = node.GetDisplayNode()
        if display is None:
            return cls(None, None)
        content = display.CreateNodeInstance()
        content.UnRegister(None)
        content.CopyContent(display)
        return cls(content, display.GetColorNodeID())

    def give(self, node: slicer.vtkMRMLDisplayableNode) -> None:
        """Let another node of the same kind, which has a display node, look like that."""
        display = node.GetDisplayNode()
        if self.content is None:
            return
        display.CopyContent(self.content)
        if self.colors is not None:
            display.SetAndObserveColorNodeID(self.colors)
