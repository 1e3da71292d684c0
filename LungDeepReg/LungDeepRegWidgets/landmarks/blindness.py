"""Whether the views show anything of the registration: a landmark that is placed or moved then isn't blind."""

from __future__ import annotations

from typing import Any

import slicer
from LungDeepRegLib.mrml.outputs import RESULT_ATTRIBUTE

from ..presets.displayState import nodesOf

LAYERS = ("Background", "Foreground", "Label")


def registrationShown(scene: slicer.vtkMRMLScene, preset: Any) -> bool:
    """Whether a preset other than the blind review is shown, or the views show a result that the user put there.

    Args:
        scene: The MRML scene.
        preset: What is shown by one of the panels, or None.
    """
    if preset is not None and not getattr(preset, "blind", False):
        return True
    return any(map(isResult, shownVolumes(scene))) or any(
        display.GetVisibility() and display.GetVisibility2D() and isResult(display.GetDisplayableNode())
        for display in nodesOf(scene, "vtkMRMLTransformDisplayNode")
    )


def shownVolumes(scene: slicer.vtkMRMLScene) -> list[Any]:
    """The volumes in the slice views of the present layout."""
    mapped = {node.GetLayoutName() for node in nodesOf(scene, "vtkMRMLSliceNode") if node.IsMappedInLayout()}
    composites = [node for node in nodesOf(scene, "vtkMRMLSliceCompositeNode") if node.GetLayoutName() in mapped]
    ids = {getattr(composite, f"Get{layer}VolumeID")() for composite in composites for layer in LAYERS}
    return [node for node in (scene.GetNodeByID(nodeId) for nodeId in ids if nodeId) if node is not None]


def isResult(node: Any) -> bool:
    """Whether a node is a registration's result, or lies below one."""
    while node is not None:
        if node.GetAttribute(RESULT_ATTRIBUTE) is not None:
            return True
        node = node.GetParentTransformNode() if node.IsA("vtkMRMLTransformableNode") else None
    return False
