"""What presets share: the views, what is put on them, and the way back."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import numpy as np
import qt
import slicer

from .displayState import DisplayState, nodesOf
from .lungs import isOblique, middleOfLungs
from .temporaryNodes import TemporaryNodes

FOUR_UP = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
THREE_OVER_THREE = slicer.vtkMRMLLayoutNode.SlicerLayoutThreeOverThreeView
OUTSIDE_OPACITY = 0.7
"""How much of what the moving image doesn't cover is hidden."""
CAMERA_DIRECTION = np.array([0.45, 1.0, 0.35])
"""From the patient to the camera, RAS: in front of the patient, a little to the right and above."""


class Stage:
    """The views of a scene, lent to one preset after the other.

    Args:
        scene: The MRML scene.
        applicationLogic: Knows the slice logics, ``slicer.app.applicationLogic()`` in Slicer.
    """

    def __init__(self, scene: slicer.vtkMRMLScene, applicationLogic: slicer.vtkMRMLApplicationLogic) -> None:
        self.scene, self.applicationLogic = scene, applicationLogic
        self.nodes = TemporaryNodes(scene)
        self._state = DisplayState(scene)

    def open(self, arrangement: int) -> None:
        """Choose a layout; everything is remembered as it was before."""
        self._state.keep()
        layout = self.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
        if layout is not None:
            layout.SetViewArrangement(arrangement)
            # Qt lays out windows by posted events: images are to be fitted to the sizes that views get by them.
            qt.QApplication.sendPostedEvents()
        self._state.keep()  # of views that the layout brought
        for display in nodesOf(self.scene, "vtkMRMLTransformDisplayNode"):
            display.SetVisibility(False)

    def keep(self) -> None:
        """Remember nodes that came since, too."""
        self._state.keep()

    def close(self) -> None:
        """Put the views back and take away the temporary nodes."""
        self._state.restore()
        self.nodes.remove()

    def rows(self) -> list[list[slicer.vtkMRMLSliceNode]]:
        """The slice views of the layout, three in a row, as far as they exist."""
        layout = self.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
        if layout is None or not layout.GetCurrentLayoutDescription():
            nodes = nodesOf(self.scene, "vtkMRMLSliceNode")
        else:
            views = ElementTree.fromstring(layout.GetCurrentLayoutDescription()).iter("view")
            found = (self.scene.GetNodeByID(f"{view.get('class')}{view.get('singletontag')}") for view in views)
            nodes = [node for node in found if node is not None and node.IsA("vtkMRMLSliceNode")]
        return [nodes[start : start + 3] for start in range(0, len(nodes), 3)]

    def slices(self) -> list[slicer.vtkMRMLSliceNode]:
        """All slice views of the layout."""
        return [node for row in self.rows() for node in row]

    def last(self) -> slicer.vtkMRMLSliceNode | None:
        """The slice view that has room for a color bar; None if there is no view."""
        return next(reversed(self.slices()), None)

    def mostCoronal(self) -> slicer.vtkMRMLSliceNode | None:
        """The slice view that faces the front most; None if there is no view."""
        return max(self.slices(), key=lambda node: abs(node.GetSliceToRAS().GetElement(1, 2)), default=None)

    def composite(self, sliceNode: slicer.vtkMRMLSliceNode) -> Any:
        """The node that holds the layers of a slice view, or None where no view was made of it."""
        logic = self.applicationLogic.GetSliceLogic(sliceNode)
        if logic is not None:
            return logic.GetSliceCompositeNode()
        name = sliceNode.GetLayoutName()
        nodes = nodesOf(self.scene, "vtkMRMLSliceCompositeNode")
        return next((node for node in nodes if node.GetLayoutName() == name), None)

    def show(
        self,
        sliceNodes: list[slicer.vtkMRMLSliceNode],
        background: slicer.vtkMRMLVolumeNode,
        foreground: slicer.vtkMRMLVolumeNode | None = None,
        *,
        opacity: float = 0.5,
        linked: bool = True,
    ) -> None:
        """Put volumes on slice views; linked views of one orientation scroll, pan and zoom together, in both rows."""
        for sliceNode in sliceNodes:
            composite = self.composite(sliceNode)
            if composite is None:
                continue
            composite.SetLinkedControl(False)  # while this writes, nothing is to be copied to other views
            composite.SetHotLinkedControl(False)
            composite.SetCompositing(slicer.vtkMRMLSliceCompositeNode.Alpha)
            composite.SetClipToBackgroundVolume(True)
            composite.SetBackgroundVolumeID(background.GetID())
            composite.SetForegroundVolumeID(foreground.GetID() if foreground is not None else None)
            composite.SetLabelVolumeID(None)
            composite.SetForegroundOpacity(opacity)
            sliceNode.SetSliceVisible(False)
            sliceNode.SetViewGroup(0)
            composite.SetHotLinkedControl(linked)
            composite.SetLinkedControl(linked)

    def setOpacity(self, opacity: float) -> None:
        """Of the foreground, in all slice views."""
        for sliceNode in self.slices():
            composite = self.composite(sliceNode)
            if composite is not None:
                composite.SetForegroundOpacity(opacity)

    def dimOutside(self, coverage: slicer.vtkMRMLLabelMapVolumeNode | None) -> None:
        """Darken what the moving image doesn't cover, in all slice views; nothing without a coverage."""
        if coverage is None:
            return
        shade = self.nodes.sharing(coverage)
        colors = self.nodes.add("vtkMRMLColorTableNode", "outside")
        colors.SetTypeToUser()
        colors.SetNumberOfColors(2)
        colors.SetColor(0, "not covered", 0.0, 0.0, 0.0, 1.0)
        colors.SetColor(1, "covered", 0.0, 0.0, 0.0, 0.0)
        display = self.nodes.add("vtkMRMLLabelMapVolumeDisplayNode", "outside")
        display.SetAndObserveColorNodeID(colors.GetID())
        shade.SetAndObserveDisplayNodeID(display.GetID())
        for sliceNode in self.slices():
            composite = self.composite(sliceNode)
            if composite is not None:
                composite.SetLabelVolumeID(shade.GetID())
                sliceNode.SetUseLabelOutline(False)
        self.setOutsideDimmed(True)

    def setOutsideDimmed(self, dimmed: bool) -> None:
        """Darken what is not covered, or show it as it is."""
        for sliceNode in self.slices():
            composite = self.composite(sliceNode)
            if composite is not None:
                composite.SetLabelOpacity(OUTSIDE_OPACITY if dimmed else 0.0)

    def place(
        self, sliceNodes: list[slicer.vtkMRMLSliceNode], volume: slicer.vtkMRMLVolumeNode, point: np.ndarray
    ) -> None:
        """Fit slices to a volume, along its own axes if it is oblique, and move them through a point of the world."""
        for sliceNode in sliceNodes:
            if isOblique(volume):
                sliceNode.RotateToVolumePlane(volume)
            logic = self.applicationLogic.GetSliceLogic(sliceNode)
            if logic is not None:
                width, height, _ = sliceNode.GetDimensions()
                logic.FitSliceToVolume(volume, width, height)
            sliceNode.JumpSliceByOffsetting(*point)

    def placeAtLungs(self, volume: slicer.vtkMRMLVolumeNode) -> np.ndarray:
        """Fit all slices to a volume where it shows most of the lungs; returns that point, RAS mm."""
        point = middleOfLungs(volume)
        self.place(self.slices(), volume, point)
        return point

    def showSlicesIn3D(self, volume: slicer.vtkMRMLVolumeNode) -> None:
        """Draw the slices in the 3D view, seen from in front of the patient."""
        for sliceNode in self.slices():
            sliceNode.SetSliceVisible(True)
        bounds = [0.0] * 6
        volume.GetRASBounds(bounds)
        low, high = np.array(bounds[::2]), np.array(bounds[1::2])
        centre, size = (low + high) / 2, np.linalg.norm(high - low)
        for camera in nodesOf(self.scene, "vtkMRMLCameraNode"):
            distance = 0.47 * size / np.tan(np.radians(camera.GetViewAngle() / 2))
            direction = CAMERA_DIRECTION / np.linalg.norm(CAMERA_DIRECTION)
            camera.SetFocalPoint(*centre)
            camera.SetPosition(*(centre + distance * direction))
            camera.SetViewUp(0, 0, 1)
            camera.GetCamera().SetParallelScale(0.47 * size)
            camera.ResetClippingRange()
