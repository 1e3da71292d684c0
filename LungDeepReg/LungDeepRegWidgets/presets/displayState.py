"""How the views were before a preset, to be put back exactly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
import vtk

COMPOSITE = (
    "BackgroundVolumeID",
    "ForegroundVolumeID",
    "LabelVolumeID",
    "ForegroundOpacity",
    "LabelOpacity",
    "Compositing",
    "ClipToBackgroundVolume",
    "LinkedControl",
    "HotLinkedControl",
)
SLICE = ("SliceVisible", "ViewGroup", "UseLabelOutline")
CAMERA = ("ParallelScale", "ViewAngle")
CAMERA_VECTORS = ("Position", "FocalPoint", "ViewUp")


class DisplayState:
    """Remembers layout, slice views, cameras, which transforms are drawn, and which markups in which views.

    Nodes that are gone when they should be restored are left out; a volume that is gone leaves its layer empty.

    Args:
        scene: The MRML scene.
    """

    def __init__(self, scene: slicer.vtkMRMLScene) -> None:
        self._scene = scene
        self._restorers: dict[str, Callable[[Any], None]] = {}

    def keep(self) -> None:
        """Remember all that is in the scene and not remembered yet; once more after views were added."""
        kinds = {
            "vtkMRMLLayoutNode": keptLayout,
            "vtkMRMLSliceCompositeNode": keptComposite,
            "vtkMRMLSliceNode": keptSlice,
            "vtkMRMLCameraNode": keptCamera,
            "vtkMRMLTransformDisplayNode": keptVisibility,
            "vtkMRMLMarkupsDisplayNode": keptPlaces,
        }
        for className, kept in kinds.items():
            for node in nodesOf(self._scene, className):
                self._restorers.setdefault(node.GetID(), kept(node))

    def restore(self) -> None:
        """Put everything back, the layout first: its views take their sizes from it."""
        for nodeId, restore in self._restorers.items():
            node = self._scene.GetNodeByID(nodeId)
            if node is not None:
                restore(node)
        self._restorers.clear()


def nodesOf(scene: slicer.vtkMRMLScene, className: str) -> list[Any]:
    """All nodes of a class, in the scene's order."""
    return [scene.GetNthNodeByClass(n, className) for n in range(scene.GetNumberOfNodesByClass(className))]


def keptLayout(node: slicer.vtkMRMLLayoutNode) -> Callable[[Any], None]:
    """What puts a layout back."""
    arrangement = node.GetViewArrangement()
    return lambda layout: layout.SetViewArrangement(arrangement)


def keptComposite(node: slicer.vtkMRMLSliceCompositeNode) -> Callable[[Any], None]:
    """What puts the layers of a slice view back."""
    values = {name: getattr(node, f"Get{name}")() for name in COMPOSITE}

    def restore(composite: slicer.vtkMRMLSliceCompositeNode) -> None:
        for name, value in values.items():
            gone = name.endswith("ID") and value and composite.GetScene().GetNodeByID(value) is None
            getattr(composite, f"Set{name}")(None if gone else value)

    return restore


def keptSlice(node: slicer.vtkMRMLSliceNode) -> Callable[[Any], None]:
    """What puts a slice back to its place, orientation and zoom."""
    values = {name: getattr(node, f"Get{name}")() for name in SLICE}
    sliceToRas = vtk.vtkMatrix4x4()
    sliceToRas.DeepCopy(node.GetSliceToRAS())
    fieldOfView, origin = tuple(node.GetFieldOfView()), tuple(node.GetXYZOrigin())

    def restore(sliceNode: slicer.vtkMRMLSliceNode) -> None:
        modifying = sliceNode.StartModify()
        for name, value in values.items():
            getattr(sliceNode, f"Set{name}")(value)
        sliceNode.GetSliceToRAS().DeepCopy(sliceToRas)
        sliceNode.SetXYZOrigin(*origin)
        sliceNode.SetFieldOfView(*fieldOfView)
        sliceNode.UpdateMatrices()
        sliceNode.EndModify(modifying)

    return restore


def keptCamera(node: slicer.vtkMRMLCameraNode) -> Callable[[Any], None]:
    """What puts a camera back."""
    camera = node.GetCamera()
    values = {name: getattr(camera, f"Get{name}")() for name in CAMERA}
    vectors = {name: tuple(getattr(node, f"Get{name}")()) for name in CAMERA_VECTORS}

    def restore(cameraNode: slicer.vtkMRMLCameraNode) -> None:
        for name, vector in vectors.items():
            getattr(cameraNode, f"Set{name}")(*vector)
        for name, value in values.items():
            getattr(cameraNode.GetCamera(), f"Set{name}")(value)
        cameraNode.ResetClippingRange()  # it fits the place that the camera comes from

    return restore


def keptVisibility(node: slicer.vtkMRMLDisplayNode) -> Callable[[Any], None]:
    """What shows or hides a node again."""
    visible = node.GetVisibility()
    return lambda display: display.SetVisibility(visible)


def keptPlaces(node: slicer.vtkMRMLDisplayNode) -> Callable[[Any], None]:
    """What shows a node again in the views that it was shown in."""
    visible = node.GetVisibility()
    views = [node.GetNthViewNodeID(number) for number in range(node.GetNumberOfViewNodeIDs())]

    def restore(display: slicer.vtkMRMLDisplayNode) -> None:
        display.SetVisibility(visible)
        showIn(display, views)

    return restore


def showIn(display: slicer.vtkMRMLDisplayNode, viewIds: list[str]) -> None:
    """Restrict a node to some views; none given: to no view in particular, which is all of them."""
    modifying = display.StartModify()
    display.RemoveAllViewNodeIDs()
    for viewId in viewIds:
        display.AddViewNodeID(viewId)
    display.EndModify(modifying)
