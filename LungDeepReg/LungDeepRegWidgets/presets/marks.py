"""Crosses that mark a point in some of the views."""

from __future__ import annotations

from typing import Any

import numpy as np
from slicer.i18n import tr as _

from .displayState import showIn
from .temporaryNodes import TemporaryNodes

YELLOW = (1.0, 0.85, 0.1)
MAGENTA = (1.0, 0.25, 0.9)
SCALE = 5.0


class Mark:
    """A cross at one point of some views, hidden until it is put somewhere.

    Args:
        nodes: Takes the markup.
        sliceNodes: The views.
        color: Its color.
        projected: Whether it is seen, paler, in slices that it doesn't lie in.
    """

    def __init__(
        self,
        nodes: TemporaryNodes,
        sliceNodes: list[Any],
        color: tuple[float, float, float] = YELLOW,
        projected: bool = False,
    ) -> None:
        self._display = nodes.add("vtkMRMLMarkupsDisplayNode", "matching point")
        self._display.SetGlyphType(self._display.CrossDot2D)  # what is marked is to be seen
        self._display.SetGlyphScale(SCALE)
        self._display.SetSelectedColor(*color)
        self._display.SetPointLabelsVisibility(False)
        self._display.SetPropertiesLabelVisibility(False)
        self._display.SetSliceProjection(projected)
        self._display.SetSliceProjectionUseFiducialColor(True)
        self._display.SetVisibility(False)
        showIn(self._display, [node.GetID() for node in sliceNodes])
        self.node = nodes.add("vtkMRMLMarkupsFiducialNode", _("matching point"), self._display)
        self.node.AddControlPointWorld(0.0, 0.0, 0.0)
        self.node.SetLocked(True)

    def put(self, point: np.ndarray | None) -> None:
        """Mark a point, RAS mm of the world; None to hide the cross."""
        if point is not None:
            self.node.SetNthControlPointPositionWorld(0, *map(float, point))
        self._display.SetVisibility(point is not None)
