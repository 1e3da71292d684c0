"""Nodes that a preset needs while it is shown: hidden from the data tree, not saved, removed afterwards."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from LungDeepRegLib.mrml.volumes import vtk_matrix


class TemporaryNodes:
    """Adds hidden nodes to a scene and takes them away again.

    Args:
        scene: The MRML scene.
    """

    def __init__(self, scene: slicer.vtkMRMLScene) -> None:
        self.scene = scene
        self._ids: list[str] = []

    def add(self, className: str, name: str, shownBy: Any = None) -> Any:
        """A new node of a class, shown by a display node.

        Markups that come into the scene without a display node are given one that is saved with the scene.
        """
        node = self.scene.CreateNodeByClass(className)
        node.UnRegister(None)
        node.SetName(name)
        # Before it is in the scene: Slicer files each node that is not hidden in the subject hierarchy at once.
        node.HideFromEditorsOn()
        node.SaveWithSceneOff()
        if shownBy is not None:
            node.SetAndObserveDisplayNodeID(shownBy.GetID())
        self.scene.AddNode(node)
        self._ids.append(node.GetID())
        return node

    def volume(self, name: str, image: vtk.vtkImageData, ijkToRas: np.ndarray) -> slicer.vtkMRMLScalarVolumeNode:
        """A volume of an image in world coordinates, without a display yet."""
        node = self.add("vtkMRMLScalarVolumeNode", name)
        node.SetIJKToRASMatrix(vtk_matrix(ijkToRas))
        node.SetAndObserveImageData(image)
        return node

    def sharing(self, volume: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLScalarVolumeNode:
        """A volume of the same voxels (not a copy) at the same place, without a display yet."""
        node = self.add(volume.GetClassName(), volume.GetName())
        matrix = vtk.vtkMatrix4x4()
        volume.GetIJKToRASMatrix(matrix)
        node.SetIJKToRASMatrix(matrix)
        node.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
        node.SetAndObserveImageData(volume.GetImageData())
        return node

    def remove(self) -> None:
        """Take away what is still there, the latest first."""
        for nodeId in reversed(self._ids):
            node = self.scene.GetNodeByID(nodeId)
            if node is not None:
                self.scene.RemoveNode(node)
        self._ids.clear()
