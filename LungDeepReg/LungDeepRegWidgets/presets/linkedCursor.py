"""Linked cursor: a click in one image shows the matching point in the other one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from .colors import GREY, display, evenTable
from .lungs import windows
from .marks import Mark
from .preset import Preset
from .stage import THREE_OVER_THREE, Stage

CLICK_PIXELS = 4
"""A button that is released further away than this was a drag: window/level, panning, and so on."""


def applicationInteractor(sliceNode: slicer.vtkMRMLSliceNode) -> vtk.vtkRenderWindowInteractor | None:
    """The interactor of a slice view of Slicer's main window, or None without one."""
    manager = slicer.app.layoutManager()
    widget = manager.sliceWidget(sliceNode.GetLayoutName()) if manager is not None else None
    return widget.sliceView().interactor() if widget is not None else None


class LinkedCursor(Preset):
    """The fixed image above, the moving image below, both marked at matching points.

    The other row follows a click: same orientation and zoom, its matching point at the same place on the screen.

    Args:
        stage: The views.
        nodes: The result.
        interactorOf: Gives a slice node's interactor, or None.
    """

    NEEDS: ClassVar = ("fixed", "moving", "transform")

    def __init__(
        self,
        stage: Stage,
        nodes: Any,
        interactorOf: Callable[[Any], Any] = applicationInteractor,
    ) -> None:
        super().__init__(stage, nodes)
        self._interactorOf = interactorOf
        self._observed: list[tuple[Any, int]] = []
        self._marks: list[Mark] = []
        self._pressed: tuple[int, int] | None = None

    def show(self) -> None:
        """Take the views, mark the middle of the lungs."""
        self.stage.open(THREE_OVER_THREE)
        colors = evenTable(self.stage.nodes, "gray", GREY)
        both = windows(self.nodes.fixed, self.nodes.moving)
        rows = self.stage.rows()
        for row, volume, window in zip(rows, (self.nodes.fixed, self.nodes.moving), both, strict=False):
            shown = self.stage.nodes.sharing(volume)
            display(self.stage.nodes, shown, colors, window)
            self.stage.show(row, shown, linked=False)
            self._marks.append(Mark(self.stage.nodes, row))
        point = self.stage.placeAtLungs(self.nodes.fixed)
        for row, nodes in enumerate(rows[:2]):
            for node in nodes:
                self._observe(node, row)
        self.goTo(point)

    def stop(self) -> None:
        """Listen to clicks no more."""
        for interactor, tag in self._observed:
            interactor.RemoveObserver(tag)
        self._observed = []

    @classmethod
    def purpose(cls) -> str:
        """What it is good for, as a tooltip."""
        return _("Click in one volume to see the matching point in the other one")

    def note(self) -> str:
        """What to do."""
        return _("Click in a view: fixed volume above, moving volume below.")

    def goTo(self, point: np.ndarray, row: int = 0) -> None:
        """Show a point, RAS mm, of the fixed (row 0) or moving image (row 1), and its counterpart in the other one."""
        there = self.counterpart(point, row)
        for mark, position in zip(self._marks, (point, there)[:: 1 - 2 * row], strict=False):
            mark.put(position)
        rows = self.stage.rows()
        for own, other in zip(rows[row], rows[1 - row] if len(rows) > 1 else (), strict=False):
            own.JumpSliceByOffsetting(*point)
            follow(other, own, np.asarray(there) - point)

    def counterpart(self, point: np.ndarray, row: int = 0) -> np.ndarray:
        """phi of a point of the fixed image (row 0), or its inverse of a point of the moving one (row 1), RAS mm."""
        transform = vtk.vtkGeneralTransform()
        if row == 0:
            self.nodes.transform.GetTransformFromWorld(transform)
        else:
            self.nodes.transform.GetTransformToWorld(transform)
        return np.array(transform.TransformPoint(*map(float, point)))

    def _observe(self, sliceNode: Any, row: int) -> None:
        interactor = self._interactorOf(sliceNode)
        if interactor is None:
            return

        def onPress(*_event: Any) -> None:
            self._pressed = tuple(interactor.GetEventPosition())

        def onRelease(*_event: Any) -> None:
            pressed, self._pressed = self._pressed, None
            position = tuple(interactor.GetEventPosition())
            if pressed is not None and np.abs(np.subtract(position, pressed)).max() < CLICK_PIXELS and not placing():
                self.goTo(np.array(sliceNode.GetXYToRAS().MultiplyPoint((*position, 0.0, 1.0))[:3]), row)

        def placing() -> bool:
            interaction = self.stage.scene.GetFirstNodeByClass("vtkMRMLInteractionNode")
            return interaction is not None and interaction.GetCurrentInteractionMode() == interaction.Place

        # Ahead of the view's own observers, which may keep an event for themselves.
        for event, callback in (("LeftButtonPressEvent", onPress), ("LeftButtonReleaseEvent", onRelease)):
            self._observed.append((interactor, interactor.AddObserver(event, callback, 1.0)))


def follow(sliceNode: Any, other: Any, shift: np.ndarray) -> None:
    """Show what another slice node shows, shifted by some mm: same orientation, zoom and place on the screen."""
    modifying = sliceNode.StartModify()
    sliceToRas = sliceNode.GetSliceToRAS()
    sliceToRas.DeepCopy(other.GetSliceToRAS())
    for axis in range(3):
        sliceToRas.SetElement(axis, 3, sliceToRas.GetElement(axis, 3) + shift[axis])
    width, height, _ = sliceNode.GetDimensions()
    perPixel = other.GetFieldOfView()[0] / max(1, other.GetDimensions()[0])
    sliceNode.SetXYZOrigin(*other.GetXYZOrigin())
    sliceNode.SetFieldOfView(perPixel * width, perPixel * height, other.GetFieldOfView()[2])
    sliceNode.UpdateMatrices()
    sliceNode.EndModify(modifying)
