"""A registration's results as nodes of the scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import slicer

from ..intensity import comparable_readings
from ..metrics import jacobian_determinant
from ..volume import Volume
from .display import show_diverging, show_like
from .transforms import node_from_field
from .volumes import NodeError, node_from_volume, volume_from_node

if TYPE_CHECKING:
    from ..registration import Registration


@dataclass(frozen=True)
class PublishedNodes:
    """What a registration added to the scene.

    Attributes:
        transform: phi as from parent, with the fixed and the moving node in Slicer's registration roles.
        warped: The moving image on the fixed image's voxels.
        difference: Warped minus fixed; zero where the moving image doesn't cover the fixed one.
        jacobian: Determinant of d phi / d x on the transform's lattice: above 1 the lung is larger in the moving image.
        coverage: Label map, 1 where the moving image covers the fixed one.
    """

    transform: slicer.vtkMRMLTransformNode
    warped: slicer.vtkMRMLScalarVolumeNode
    difference: slicer.vtkMRMLScalarVolumeNode
    jacobian: slicer.vtkMRMLScalarVolumeNode
    coverage: slicer.vtkMRMLLabelMapVolumeNode


def publish(
    registration: Registration,
    fixed_node: slicer.vtkMRMLScalarVolumeNode,
    moving_node: slicer.vtkMRMLScalarVolumeNode,
) -> PublishedNodes:
    """Add a registration's results to the scene, beside the fixed node in the subject hierarchy.

    All are in world coordinates, since phi is: they lie under no transform, also where the inputs do. To deform
    something of the moving image live, put the transform above its whole chain of parent transforms. The inputs are
    not changed.

    Args:
        registration: Of the volumes of the two nodes.
        fixed_node: The fixed image.
        moving_node: The moving image.

    Raises:
        NodeError: The fixed node is no longer where it was registered, or as :func:`volume_from_node`.
    """
    fixed = volume_from_node(fixed_node)
    if fixed.lattice != registration.warped.lattice:
        msg = f"{fixed.name}: found other voxels than those that were registered, expected the same geometry"
        raise NodeError(msg)
    name = f"{moving_node.GetName()} to {fixed_node.GetName()}"
    scene = fixed_node.GetScene()
    warped = registration.warped
    difference = warped.with_array(difference_array(registration, fixed), f"{name} difference")
    jacobian = Volume(
        jacobian_determinant(registration.field), registration.field.lattice.ijk_to_ras, f"{name} Jacobian"
    )
    coverage = warped.with_array(registration.covered, f"{name} coverage")

    nodes = PublishedNodes(
        transform=node_from_field(registration.field, scene, f"{name} transform"),
        warped=node_from_volume(warped.with_array(warped.array, f"{name} warped"), scene),
        difference=node_from_volume(difference, scene),
        jacobian=node_from_volume(jacobian, scene),
        coverage=node_from_volume(coverage, scene, "vtkMRMLLabelMapVolumeNode"),
    )
    nodes.transform.AddNodeReferenceID(nodes.transform.GetFixedNodeReferenceRole(), fixed_node.GetID())
    nodes.transform.AddNodeReferenceID(nodes.transform.GetMovingNodeReferenceRole(), moving_node.GetID())
    show_like(nodes.warped, fixed_node)
    show_diverging(nodes.difference, 0.0, symmetric_window(difference.array[registration.covered]))
    show_diverging(nodes.jacobian, 1.0, 1.0)
    for node in (nodes.transform, nodes.warped, nodes.difference, nodes.jacobian, nodes.coverage):
        put_beside(node, fixed_node)
    return nodes


def difference_array(registration: Registration, fixed: Volume) -> np.ndarray:
    """Warped minus fixed, float32, as :func:`intensity.comparable_readings` has it; zero where not covered."""
    read_moving, read_fixed = comparable_readings(registration.moving_intensity, registration.fixed_intensity)
    difference = read_moving(registration.warped.array) - read_fixed(fixed.array)
    difference[~registration.covered] = 0
    return difference


def symmetric_window(difference: np.ndarray) -> float:
    """The greatest difference that is to be told apart by colour: the 99th percentile of its size."""
    return float(np.percentile(np.abs(difference), 99)) if difference.size else 0.0


def put_beside(node: slicer.vtkMRMLNode, neighbour: slicer.vtkMRMLNode) -> None:
    """Give a node the same parent in the subject hierarchy as another one has."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    beside, own = hierarchy.GetItemByDataNode(neighbour), hierarchy.GetItemByDataNode(node)
    parent = hierarchy.GetItemParent(beside) if beside else hierarchy.GetSceneItemID()
    if own:
        hierarchy.SetItemParent(own, parent)
    else:
        hierarchy.CreateItem(parent, node)
