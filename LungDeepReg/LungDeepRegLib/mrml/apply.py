"""A registration's result applied to further nodes: images, label maps, segmentations, models and markups.

In two steps. :func:`prepare` reads the nodes and makes what a worker computes of them; :func:`carry_over` makes new
nodes of the answer. All results lie in the world, where the fixed image is, below no transform.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import slicer

from ..geometry import Lattice
from .apply_images import Image
from .apply_points import Markups, Model, PointMap
from .apply_segmentations import Segmentation
from .changes import all_or_nothing
from .transforms import field_from_node
from .volumes import NodeError, volume_from_node

Carried = Image | Segmentation | Model | Markups
CARRIED: dict[str, type[Carried]] = {
    "vtkMRMLScalarVolumeNode": Image,
    "vtkMRMLLabelMapVolumeNode": Image,
    "vtkMRMLSegmentationNode": Segmentation,
    "vtkMRMLModelNode": Model,
    "vtkMRMLMarkupsFiducialNode": Markups,
    "vtkMRMLMarkupsLineNode": Markups,
    "vtkMRMLMarkupsAngleNode": Markups,
    "vtkMRMLMarkupsCurveNode": Markups,
    "vtkMRMLMarkupsClosedCurveNode": Markups,
}
"""The kinds of nodes that a result can be applied to."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """What is applied to what.

    Attributes:
        request: The arguments of the worker's task ``warp``, or None where it has nothing to do (points only).
        reference: The fixed image.
        lattice: Where that was.
        items: One for each node, in the order given.
    """

    request: dict[str, Any] | None
    reference: slicer.vtkMRMLScalarVolumeNode
    lattice: Lattice
    items: tuple[Carried, ...]


@dataclass(frozen=True)
class Applied:
    """New nodes in the order of their sources, and what the user should know, one sentence each."""

    nodes: tuple[slicer.vtkMRMLNode, ...]
    warnings: tuple[str, ...]


def prepare(
    nodes: Sequence[slicer.vtkMRMLNode],
    transform_node: slicer.vtkMRMLTransformNode,
    reference_node: slicer.vtkMRMLScalarVolumeNode,
) -> Prepared:
    """Read what a transform is to be applied to. Nothing is changed.

    Images and labels are for the worker. Models and markups are taken by phi^-1 here and now: their points go from
    the moving image to the fixed one, and Slicer's own transform does that.

    Args:
        nodes: Of the moving image: scalar volumes, label maps, segmentations, models, markups of points, lines, angles
            and curves; also under linear transforms.
        transform_node: phi as from parent, whoever made it; what :func:`field_from_node` takes.
        reference_node: The fixed image, whose voxels new images get.

    Raises:
        NodeError: No node at all, one of another kind, below a non-linear transform or without content, or the fixed
            image itself; also as :func:`field_from_node` and :func:`volume_from_node`.
        VolumeError: As :func:`volume_from_node`.
    """
    lattice = volume_from_node(reference_node, copy=False).lattice
    field = field_from_node(transform_node, lattice)
    if not nodes:
        msg = f"{transform_node.GetName()}: found nothing to apply it to, expected at least one node"
        raise NodeError(msg)
    if reference_node in nodes:
        msg = f"{reference_node.GetName()}: found the fixed image itself, expected nodes of the moving image"
        raise NodeError(msg)
    points = PointMap(transform_node, lattice)
    items = tuple(read(node, points) for node in nodes)
    images = [image for item in items for image in item.images]
    request = {"field": field, "reference": lattice, "images": images} if images else None
    return Prepared(request, reference_node, lattice, items)


def read(node: slicer.vtkMRMLNode, points: PointMap) -> Carried:
    """One node, ready to be carried over."""
    kind = CARRIED.get(node.GetClassName())
    if kind is None:
        msg = (
            f"{node.GetName()}: found a {node.GetNodeTagName()} node, expected a scalar volume, label map,"
            " segmentation, model, or markups of points, lines, angles or curves"
        )
        raise NodeError(msg)
    return kind.read(node, points)


def carry_over(prepared: Prepared, answer: Sequence[dict[str, Any]] = ()) -> Applied:
    """Make new nodes, named "<node> in <fixed image>", beside the fixed image in the subject hierarchy.

    Where anything fails, the scene is as it was. The nodes that the transform was applied to are not changed; what
    became of them since they were read doesn't matter.

    Args:
        prepared: What :func:`prepare` found.
        answer: The worker's, to ``prepared.request``.

    Raises:
        NodeError: The fixed image was removed, or lies elsewhere by now.
    """
    reference = prepared.reference
    if reference.GetScene() is None:
        msg = f"{reference.GetName()}: found that it was removed from the scene, expected the fixed image"
        raise NodeError(msg)
    if volume_from_node(reference, copy=False).lattice != prepared.lattice:
        msg = f"{reference.GetName()}: found that it was moved or changed meanwhile, expected the same geometry"
        raise NodeError(msg)
    answers = iter(answer)
    own = [[next(answers) for _ in item.images] for item in prepared.items]
    with all_or_nothing(reference.GetScene()) as changes:
        made = []
        for item, mine in zip(prepared.items, own, strict=True):
            node = item.make(changes, f"{item.name} in {reference.GetName()}", mine)
            changes.put_beside(node, reference)
            made.append(node)
    warnings = [text for item, mine in zip(prepared.items, own, strict=True) for text in item.warnings(mine)]
    return Applied(tuple(made), tuple(warnings))
