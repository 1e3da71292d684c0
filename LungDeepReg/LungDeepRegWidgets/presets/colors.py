"""Colors of the presets, as nodes, and legends that say what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
import vtk

from .temporaryNodes import TemporaryNodes

STEPS = 256
FIXED_TINT = ((0.0, 0.0, 0.0), (0.38, 0.78, 1.0))
MOVING_TINT = ((0.0, 0.0, 0.0), (1.0, 0.60, 0.38))
"""Complementary tints: where both images agree they give gray, elsewhere one shows through."""
GREY = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
DIFFERENCE = ((0.70, 0.90, 0.99), (0.16, 0.71, 0.96), (0.05, 0.28, 0.63), (0.055, 0.063, 0.07),
              (0.75, 0.21, 0.05), (1.0, 0.65, 0.15), (1.0, 0.95, 0.88))  # fmt: skip
"""Dark where both agree, blue where the moving image is darker, orange where it is brighter: as in the report."""
JACOBIAN = ((0.88, 0.75, 0.91), (0.67, 0.28, 0.74), (0.29, 0.08, 0.55), (0.055, 0.063, 0.07),
            (0.0, 0.41, 0.36), (0.15, 0.65, 0.60), (0.88, 0.95, 0.95))  # fmt: skip
"""Dark where volume is kept, purple where it shrinks from fixed to moving, green where it grows: as in the report."""
MAGNITUDE = ((0.20, 0.35, 0.95), (0.05, 0.75, 0.90), (0.25, 0.88, 0.30), (1.0, 0.78, 0.10), (0.95, 0.15, 0.10))
"""Neither dark nor pale, so that arrows show on lung and on soft tissue."""

LABELS = 5
BAR_SIZE = (0.09, 0.42)
"""Width with its numbers, and height, as parts of the view; the numbers are made as large as fits."""
NICE = (1.0, 1.2, 1.6, 2.0, 2.4, 2.8, 3.2, 4.0, 5.0, 6.0, 8.0, 10.0)
"""A quarter of each, at any power of ten, is a number that can be read."""

Color = tuple[float, float, float]


@dataclass(frozen=True)
class Scale:
    """What colors mean.

    Attributes:
        colors: Color node.
        window: Lowest and highest value.
        labelFormat: Of the numbers beside the bar; by default with as many decimals as its quarters need.
        logarithmic: Equal steps of color are equal ratios.
    """

    colors: Any
    window: tuple[float, float]
    labelFormat: str = ""
    logarithmic: bool = False


def decimals(window: tuple[float, float]) -> int:
    """How many decimals the quarters of a window need."""
    step = (window[1] - window[0]) / (LABELS - 1)
    return next((d for d in range(6) if abs(step * 10**d - round(step * 10**d)) < 1e-6), 6)


def niceLimit(value: float) -> float:
    """The next greater number at which a scale may end so that its quarters can be read; at least a thousandth."""
    power = 10.0 ** np.floor(np.log10(max(value, 1e-3)))
    return float(next(step for step in NICE if step * power >= value * (1 - 1e-6)) * power)


def ramp(colors: Sequence[Color], positions: np.ndarray) -> np.ndarray:
    """Colors that go over into one another, ``(N, 3)``, at positions ``(N,)`` from 0 to 1."""
    known = np.linspace(0, 1, len(colors))
    return np.stack([np.interp(positions, known, channel) for channel in np.array(colors).T], axis=1)


def colorTable(nodes: TemporaryNodes, name: str, colors: np.ndarray) -> slicer.vtkMRMLColorTableNode:
    """A color node of colors ``(N, 3)``."""
    node = nodes.add("vtkMRMLColorTableNode", name)
    node.SetTypeToUser()
    node.SetNumberOfColors(len(colors))
    for index, color in enumerate(colors.tolist()):
        node.SetColor(index, *color, 1.0)
    node.SetNamesFromColors()
    return node


def evenTable(nodes: TemporaryNodes, name: str, colors: Sequence[Color]) -> slicer.vtkMRMLColorTableNode:
    """A color node whose colors are evenly spread over a window."""
    return colorTable(nodes, name, ramp(colors, np.linspace(0, 1, STEPS)))


def display(
    nodes: TemporaryNodes, volume: slicer.vtkMRMLScalarVolumeNode, colors: Any, window: tuple[float, float]
) -> slicer.vtkMRMLScalarVolumeDisplayNode:
    """Show a temporary volume by a color node (or its ID) over a window from a lowest to a highest value."""
    node = displayNode(nodes, colors, window)
    volume.SetAndObserveDisplayNodeID(node.GetID())
    return node


def displayNode(nodes: TemporaryNodes, colors: Any, window: tuple[float, float]) -> Any:
    """A display node of scalars; no volume shows it yet."""
    node = nodes.add("vtkMRMLScalarVolumeDisplayNode", colors.GetName())
    node.AutoWindowLevelOff()
    node.SetWindowLevelMinMax(*window)
    node.SetAndObserveColorNodeID(colors.GetID())
    return node


def legend(
    nodes: TemporaryNodes,
    volume: slicer.vtkMRMLScalarVolumeNode,
    title: str,
    scale: Scale,
    sliceNode: slicer.vtkMRMLSliceNode | None,
) -> None:
    """A color bar beside a temporary volume, in one slice view (all of them would hide much of the image).

    The bar gets a display node of its own as its source, which draws nothing: so it can explain colors that aren't
    the volume's (arrows over a gray image), and can be logarithmic, which windows of volumes can't.
    """
    source = displayNode(nodes, scale.colors, scale.window)
    volume.AddAndObserveDisplayNodeID(source.GetID())
    if scale.logarithmic:
        scale.colors.GetLookupTable().SetScaleToLog10()
    bar = nodes.add("vtkMRMLColorLegendDisplayNode", f"{title} legend")
    bar.SetAndObservePrimaryDisplayNode(source)
    bar.SetAndObserveColorNodeID(scale.colors.GetID())
    bar.SetTitleText(title)
    bar.SetLabelFormat(scale.labelFormat or f"%.{decimals(scale.window)}f")
    bar.SetNumberOfLabels(LABELS)
    bar.SetPosition(0.98, 0.5)
    bar.SetSize(*BAR_SIZE)
    for text in (bar.GetTitleTextProperty(), bar.GetLabelTextProperty()):
        text.SetFontFamilyToArial()
        text.SetColor(1.0, 1.0, 1.0)
        text.SetShadow(True)
    if sliceNode is not None:
        bar.AddViewNodeID(sliceNode.GetID())
    bar.SetVisibility(True)
    bar.SetVisibility3D(False)
    volume.AddAndObserveDisplayNodeID(bar.GetID())


def refreshLegends(scene: slicer.vtkMRMLScene) -> None:
    """Let the legends see that their volumes are on the views by now; they ask only when they change themselves."""
    for number in range(scene.GetNumberOfNodesByClass("vtkMRMLColorLegendDisplayNode")):
        scene.GetNthNodeByClass(number, "vtkMRMLColorLegendDisplayNode").Modified()


def transferFunction(colors: Sequence[Color], highest: float) -> vtk.vtkColorTransferFunction:
    """Colors over values from 0 to a highest one."""
    function = vtk.vtkColorTransferFunction()
    for value, color in zip(np.linspace(0, highest, len(colors)), colors, strict=True):
        function.AddRGBPoint(value, *color)
    return function
