"""The panel of landmarks: pairs of points that people place in both images, and what they say of the registration."""

from collections.abc import Callable
from typing import Any

import slicer
import vtk

from .panel import Panel
from .presets.preset import PresetSwitch
from .quality.checks import LandmarkErrors, landmarkErrorsOf


class LandmarksPanel(Panel):
    """Lets observers place and review landmark pairs. What works on them is loaded with the first pair of images.

    Attributes:
        onChange: Called whenever the pairs, or what judges them, may have changed.

    Args:
        runner: Runs the worker's tasks.
        switch: Lends the views to one panel at a time.
        uiPath: The panel's .ui file.
    """

    def __init__(self, runner: Any, switch: PresetSwitch, uiPath: str) -> None:
        self.onChange: Callable[[], None] = lambda: None
        self._runner, self._switch = runner, switch
        self.widget = slicer.util.loadUI(uiPath)
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.parameters: Any = None
        self.desk: Any = None
        self._observer: int | None = None
        self._nodes: Any = None
        self._shown: tuple[Any, Any, str] = (None, None, "")
        self.ui.observerSelector.lineEdit().connect("editingFinished()", self.onObserver)
        self.ui.observerSelector.connect("activated(int)", self.onObserver)
        self.ui.landmarksContents.enabled = False

    def setParameters(self, parameters: Any) -> None:
        """Follow another parameter node's images; None while the scene closes."""
        if self.parameters is not None:
            self.parameters.RemoveObserver(self._observer)
        self.parameters = parameters
        if parameters is not None:
            self._observer = parameters.AddObserver(vtk.vtkCommand.ModifiedEvent, self._onParameters)
        self._follow()

    def setResult(self, nodes: Any) -> None:
        """Judge another result, or none."""
        self._nodes = nodes
        self._follow()

    def forget(self, node: Any) -> None:
        """Let go of a node that is about to be removed."""
        if self.desk is not None:
            self.desk.forget(node)

    def statistics(self) -> LandmarkErrors | None:
        """Errors of the current observer's pairs that count, or None where none does."""
        return landmarkErrorsOf(self.desk.figures.rows()) if self.desk is not None else None

    def cancel(self) -> None:
        """Stop placing and computing."""
        if self.desk is not None:
            self.desk.placing.cancel()

    leave = cancel

    def onObserver(self, *_event: Any) -> None:
        """Somebody else works now."""
        name = self.ui.observerSelector.currentText.strip()
        if self.parameters is not None and name:
            self.parameters.landmarkObserver = name
        elif self.parameters is not None:  # somebody places the points: the box doesn't pretend otherwise
            self.ui.observerSelector.setCurrentText(self.parameters.landmarkObserver)

    def _chosen(self) -> tuple[Any, Any, str]:
        """The images and the observer."""
        parameters = self.parameters
        if parameters is None:
            return None, None, ""
        return parameters.fixedVolume, parameters.movingVolume, parameters.landmarkObserver

    def _onParameters(self, *_event: Any) -> None:
        if self._chosen() != self._shown:
            self._follow()

    def _follow(self) -> None:
        """Bring the desk into step with the parameters and the result."""
        fixed, moving, observer = self._shown = self._chosen()
        there = fixed is not None and moving is not None and fixed is not moving
        self.ui.landmarksContents.enabled = there
        if self.desk is None:
            if not there:
                return
            from .landmarks.desk import Desk

            self.desk = Desk(self.ui, self._switch, self._runner, lambda: self.onChange())
        if there:
            self.desk.setObserver(observer)
            self.desk.setImages(fixed, moving, self._nodes)
        else:
            self.desk.close()
