"""Changes to a scene that are made as a whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import slicer
import vtk


class Changes:
    """What was done to a scene so far, and how it is undone."""

    def __init__(self, scene: slicer.vtkMRMLScene, undo: ExitStack) -> None:
        self.scene = scene
        self.undo = undo

    def new_node(self, class_name: str, name: str) -> slicer.vtkMRMLNode:
        """A new node; where the name is taken, with a number behind it."""
        node = self.scene.AddNewNodeByClass(class_name, self.scene.GenerateUniqueName(name))
        self.undo.callback(remove_node, node)
        return node

    def set_image(
        self, node: slicer.vtkMRMLVolumeNode, image: vtk.vtkImageData, ijk_to_world: vtk.vtkMatrix4x4
    ) -> None:
        """Give a volume node other voxels, at a place in the world."""
        before, matrix = node.GetImageData(), vtk.vtkMatrix4x4()
        node.GetIJKToRASMatrix(matrix)
        self.set_parent_transform(node, None)
        self.undo.callback(node.SetAndObserveImageData, before)
        self.undo.callback(node.SetIJKToRASMatrix, matrix)
        node.SetIJKToRASMatrix(ijk_to_world)
        node.SetAndObserveImageData(image)

    def set_from_parent(self, node: slicer.vtkMRMLTransformNode, transform: vtk.vtkAbstractTransform) -> None:
        """Give a transform node another map, from the world."""
        before = slicer.vtkMRMLTransformNode()
        before.CopyContent(node)
        self.set_parent_transform(node, None)
        self.undo.callback(node.CopyContent, before)
        node.SetAndObserveTransformFromParent(transform)

    def set_parent_transform(self, node: slicer.vtkMRMLTransformableNode, parent_id: str | None) -> None:
        """Put a node below another transform, or below none."""
        if node.GetTransformNodeID() != parent_id:
            self.undo.callback(node.SetAndObserveTransformNodeID, node.GetTransformNodeID())
            node.SetAndObserveTransformNodeID(parent_id)

    def set_reference(self, node: slicer.vtkMRMLNode, role: str, other: slicer.vtkMRMLNode | None) -> None:
        """Make a node refer to another one in a role, to none but it."""
        self.undo.callback(node.SetNodeReferenceID, role, node.GetNodeReferenceID(role))
        node.SetNodeReferenceID(role, other.GetID() if other else None)

    def mark(self, node: slicer.vtkMRMLNode, attribute: str, value: str | None) -> None:
        """Give a node an attribute, which is saved with the scene; None takes it away."""
        self.undo.callback(node.SetAttribute, attribute, node.GetAttribute(attribute))
        node.SetAttribute(attribute, value)

    def put_beside(self, node: slicer.vtkMRMLNode, neighbour: slicer.vtkMRMLNode) -> None:
        """Give a node the same parent in the subject hierarchy as another one has."""
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self.scene)
        beside, own = hierarchy.GetItemByDataNode(neighbour), hierarchy.GetItemByDataNode(node)
        parent = hierarchy.GetItemParent(beside) if beside else hierarchy.GetSceneItemID()
        if own:
            self.undo.callback(hierarchy.SetItemParent, own, hierarchy.GetItemParent(own))
            hierarchy.SetItemParent(own, parent)
        else:
            self.undo.callback(hierarchy.RemoveItem, hierarchy.CreateItem(parent, node), False, True)

    def show(self, node: slicer.vtkMRMLDisplayableNode) -> bool:
        """Give a node the display nodes of its kind. False if it has one already: that stays as it is."""
        if node.GetDisplayNode() is not None:
            return False
        node.CreateDefaultDisplayNodes()
        self.undo.callback(remove_displays, node)
        return True


@contextmanager
def all_or_nothing(scene: slicer.vtkMRMLScene) -> Iterator[Changes]:
    """Changes that the views show once, at the end; an exception takes all of them back before it goes on."""
    scene.StartState(slicer.vtkMRMLScene.BatchProcessState)
    try:
        with ExitStack() as undo:
            yield Changes(scene, undo)
            undo.pop_all()
    finally:
        scene.EndState(slicer.vtkMRMLScene.BatchProcessState)


def remove_node(node: slicer.vtkMRMLNode) -> None:
    """Take a node out of its scene with its display and storage nodes and its place in the subject hierarchy."""
    scene = node.GetScene()
    if scene is None:
        return
    storages = []
    if node.IsA("vtkMRMLDisplayableNode"):
        remove_displays(node)
    if node.IsA("vtkMRMLStorableNode"):
        storages = [node.GetNthStorageNode(index) for index in range(node.GetNumberOfStorageNodes())]
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    item = hierarchy.GetItemByDataNode(node)
    if item:
        hierarchy.RemoveItem(item, False, True)
    for gone in (*storages, node):
        if gone is not None:
            scene.RemoveNode(gone)


def remove_displays(node: slicer.vtkMRMLDisplayableNode) -> None:
    """Take away a node's display nodes."""
    scene = node.GetScene()
    for display in [node.GetNthDisplayNode(index) for index in range(node.GetNumberOfDisplayNodes())]:
        if display is not None:
            scene.RemoveNode(display)
