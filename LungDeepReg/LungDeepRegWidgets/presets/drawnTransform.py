"""A displacement field drawn by Slicer itself: arrows or a deformed grid, in slices and in 3D."""

from __future__ import annotations

from typing import Any

import numpy as np
from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.mrml.transforms import grid_from_field
from slicer.i18n import tr as _

from .colors import MAGNITUDE, niceLimit, transferFunction
from .displayState import showIn
from .temporaryNodes import TemporaryNodes

ARROWS_ACROSS, LINES_ACROSS = 26, 20
REACH = 2.0
PERCENTILE = 99.0
LANDMARK_ARROW_MM = 12.0
"""Where arrows are drawn at single points, they are as thick as if there were one every so many mm."""


def drawTransform(
    nodes: TemporaryNodes, field: DisplacementField, style: str, highest: float, extent: float, region: Any
) -> float:
    """Draw a field by a temporary transform, which has it as its *to parent*.

    Args:
        nodes: Takes the transform and what shows it.
        field: Drawn from each point to where it is displaced.
        style: ``glyphs`` for arrows, ``grid`` for a deformed grid.
        highest: Displacement in mm that gets the last color.
        extent: Size of the image in mm, by which arrows and lines are spaced.
        region: Node of the volume or slice that is drawn in 3D; without one nothing would be.

    Returns:
        The length of arrows in percent of the true one; 100 for the grid.
    """
    transform, drawn = coloredTransform(nodes, field, highest)
    percent = setArrows(drawn, extent, highest) if style == "glyphs" else setLines(drawn, extent)
    drawn.SetSliceIntersectionThickness(2)
    drawn.SetAndObserveRegionNode(region)
    drawn.SetVisibility(True)
    drawn.SetVisibility2D(True)
    drawn.SetVisibility3D(True)
    transform.SetAndObserveDisplayNodeID(drawn.GetID())
    return percent


def drawArrowsAt(nodes: TemporaryNodes, field: DisplacementField, points: Any, sliceNodes: list[Any]) -> None:
    """Draw arrows in true length from the points of a markups node to where a field takes them, in some slice views.

    Args:
        nodes: Takes the transform and what shows it.
        field: What is drawn.
        points: The markups.
        sliceNodes: The views.
    """
    sizes = np.linalg.norm(field.vectors, axis=3)
    highest = niceLimit(float(np.percentile(sizes, PERCENTILE)))
    transform, drawn = coloredTransform(nodes, field, highest)
    setArrows(drawn, ARROWS_ACROSS * LANDMARK_ARROW_MM, highest)
    drawn.SetGlyphScalePercent(100.0)
    drawn.SetGlyphDisplayRangeMinMm(0.0)
    drawn.SetAndObserveGlyphPointsNode(points)
    drawn.SetSliceIntersectionThickness(3)
    showIn(drawn, [node.GetID() for node in sliceNodes])
    drawn.SetVisibility(True)
    drawn.SetVisibility2D(True)
    transform.SetAndObserveDisplayNodeID(drawn.GetID())


def coloredTransform(nodes: TemporaryNodes, field: DisplacementField, highest: float) -> tuple[Any, Any]:
    """A temporary transform, and a display node for it that colors it from 0 to the highest displacement in mm."""
    transform = nodes.add("vtkMRMLTransformNode", _("displacement"))
    transform.SetAndObserveTransformToParent(grid_from_field(field))
    colors = nodes.add("vtkMRMLProceduralColorNode", "displacement")
    colors.SetAndObserveColorTransferFunction(transferFunction(MAGNITUDE, highest))
    drawn = nodes.add("vtkMRMLTransformDisplayNode", "displacement")
    drawn.SetAndObserveColorNodeID(colors.GetID())
    drawn.SetScalarVisibility(True)
    drawn.SetScalarRange(0.0, highest)
    return transform, drawn


def setArrows(drawn: Any, extent: float, highest: float) -> float:
    """Arrows for an image of some mm and displacements up to some mm; returns their length in percent of the true one.

    The longest reach over two of their distances, so that they are seen and don't cover each other.
    """
    spacing = extent / ARROWS_ACROSS
    percent = float(np.clip(100.0 * REACH * spacing / highest, 20.0, 300.0).round(-1))
    drawn.SetVisualizationMode(drawn.VIS_MODE_GLYPH)
    drawn.SetGlyphType(drawn.GLYPH_TYPE_ARROW)
    drawn.SetGlyphSpacingMm(spacing)
    drawn.SetGlyphScalePercent(percent)
    drawn.SetGlyphDisplayRangeMinMm(0.03 * highest)
    drawn.SetGlyphDisplayRangeMaxMm(1000.0)
    drawn.SetGlyphDiameterMm(spacing / 3)
    drawn.SetGlyphShaftDiameterPercent(35)
    drawn.SetGlyphTipLengthPercent(40)
    return percent


def setLines(drawn: Any, extent: float) -> float:
    """A deformed grid for an image of some mm, to scale: returns 100."""
    spacing = extent / LINES_ACROSS
    drawn.SetVisualizationMode(drawn.VIS_MODE_GRID)
    drawn.SetGridSpacingMm(spacing)
    drawn.SetGridResolutionMm(spacing / 4)
    drawn.SetGridScalePercent(100)
    drawn.SetGridLineDiameterMm(spacing / 15)
    drawn.SetGridShowNonWarped(False)
    return 100.0
