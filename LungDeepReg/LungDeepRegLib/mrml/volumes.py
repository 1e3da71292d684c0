"""Volume nodes to and from volumes."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from ..volume import Volume


class NodeError(ValueError):
    """A node that can't be used: the message names it, what was found and what was expected."""


def volume_from_node(node: slicer.vtkMRMLScalarVolumeNode, copy: bool = True) -> Volume:
    """The voxels of a scalar volume node and where they are in the world.

    A linear parent transform is taken into ``ijk_to_ras``.

    Args:
        node: The volume.
        copy: Whether the voxels are a copy: then the node isn't changed by anything that is done with the volume, nor
            the volume by what is done with the node later. Without a copy the array is read-only and shows the node's
            own memory, which it keeps alive when the node goes.

    Raises:
        NodeError: No node, not a scalar volume (vector, colour, several components, a sequence), no voxels yet, or a
            non-linear parent transform.
        VolumeError: An axis of one voxel, absurd spacing.
    """
    if node is None:
        msg = "found no volume node, expected a scalar volume"
        raise NodeError(msg)
    if not node.IsA("vtkMRMLScalarVolumeNode"):
        hint = "; choose one of its time points" if node.IsA("vtkMRMLSequenceNode") else ""
        msg = f"{node.GetName()}: found a {node.GetNodeTagName()} node, expected a scalar volume{hint}"
        raise NodeError(msg)
    image = node.GetImageData()
    if image is None or image.GetPointData().GetScalars() is None:
        msg = f"{node.GetName()}: found a volume without voxels, expected an image"
        raise NodeError(msg)
    if image.GetNumberOfScalarComponents() != 1:
        msg = f"{node.GetName()}: found {image.GetNumberOfScalarComponents()} components a voxel, expected one"
        raise NodeError(msg)
    array = voxels(image)
    if copy:
        array = array.copy()
    else:
        array.flags.writeable = False
    return Volume(array, ijk_to_world(node), node.GetName())


def node_from_volume(
    volume: Volume, scene: slicer.vtkMRMLScene, class_name: str = "vtkMRMLScalarVolumeNode"
) -> slicer.vtkMRMLScalarVolumeNode:
    """A new volume node that shows a volume's voxels (bool as uint8) where they are in the world.

    It is named after the volume, with a number behind the name where that is taken.
    """
    image = image_data(volume.array)
    node = scene.AddNewNodeByClass(class_name, scene.GenerateUniqueName(volume.name))
    node.SetIJKToRASMatrix(vtk_matrix(volume.ijk_to_ras))
    node.SetAndObserveImageData(image)
    node.CreateDefaultDisplayNodes()
    return node


def voxels(image: vtk.vtkImageData) -> np.ndarray:
    """A view of the image's scalars, ``(K, J, I)``, or ``(K, J, I, C)`` for several components."""
    scalars = vtk_to_numpy(image.GetPointData().GetScalars())
    return scalars.reshape(*image.GetDimensions()[::-1], *scalars.shape[1:])


def image_data(array: np.ndarray) -> vtk.vtkImageData:
    """A VTK image, without geometry, of scalars ``(K, J, I)`` or vectors ``(K, J, I, C)``; the array is copied.

    VTK has no bool: it becomes uint8.
    """
    components = array.shape[3] if array.ndim == 4 else 1
    array = array.view(np.uint8) if array.dtype == bool else array
    image = vtk.vtkImageData()
    image.SetDimensions(*array.shape[2::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(array).reshape(-1, components), deep=True))
    return image


def ijk_to_world(node: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    """The 4x4 matrix from voxel index ``(i, j, k, 1)`` to world RAS mm, linear parent transforms included.

    Raises:
        NodeError: A non-linear parent transform.
    """
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return world_matrix(node) @ numpy_matrix(matrix)


def world_matrix(node: slicer.vtkMRMLTransformableNode) -> np.ndarray:
    """The 4x4 matrix from a node's own RAS mm to world RAS mm: its parent transforms.

    Raises:
        NodeError: One of them is non-linear.
    """
    parent = node.GetParentTransformNode()
    if parent is None:
        return np.eye(4)
    if not parent.IsTransformToWorldLinear():
        msg = (
            f"{node.GetName()}: found the non-linear transform {parent.GetName()} above it, expected linear ones;"
            " harden it on a copy of the node and use the copy"
        )
        raise NodeError(msg)
    matrix = vtk.vtkMatrix4x4()
    parent.GetMatrixTransformToWorld(matrix)
    return numpy_matrix(matrix)


def numpy_matrix(matrix: vtk.vtkMatrix4x4) -> np.ndarray:
    """A copy of a VTK matrix."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def vtk_matrix(matrix: np.ndarray) -> vtk.vtkMatrix4x4:
    """A VTK matrix of a 4x4 array."""
    result = vtk.vtkMatrix4x4()
    result.DeepCopy(np.asarray(matrix, dtype=np.float64).ravel().tolist())
    return result
