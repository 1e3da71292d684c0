"""Which nodes receive a registration's results, and how they are found again."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import slicer
import vtk

from .volumes import NodeError, numpy_matrix, voxels

ROLE_PREFIX = "LungDeepReg."
"""The transform node refers to the other results by roles of this prefix and :class:`ResultNodes`' names."""
BEFORE_ROLE = f"{ROLE_PREFIX}difference_before"
RESULT_ATTRIBUTE = f"{ROLE_PREFIX}result"
"""Each result has this attribute, which says what it is by the name in :class:`ResultNodes`."""
RUN_ATTRIBUTE = f"{ROLE_PREFIX}run"
"""The transform's is another one after each registration; what was measured of it has the same one."""
SUMMARY_ATTRIBUTE = f"{ROLE_PREFIX}summary"
"""The transform's holds the figures of the registration in it, as JSON."""
VOLUME_CLASSES = {
    "warped": "vtkMRMLScalarVolumeNode",
    "difference": "vtkMRMLScalarVolumeNode",
    "difference_before": "vtkMRMLScalarVolumeNode",
    "jacobian": "vtkMRMLScalarVolumeNode",
    "coverage": "vtkMRMLLabelMapVolumeNode",
    "lungs": "vtkMRMLLabelMapVolumeNode",
}
"""The result volumes, and what kind of node each is."""
ASSESSMENT_CLASSES = {
    "trust": "vtkMRMLScalarVolumeNode",
    "residual": "vtkMRMLScalarVolumeNode",
    "correlation": "vtkMRMLScalarVolumeNode",
    "consistency": "vtkMRMLScalarVolumeNode",
    "ventilation": "vtkMRMLScalarVolumeNode",
    "ventilation_density": "vtkMRMLScalarVolumeNode",
    "regions": "vtkMRMLLabelMapVolumeNode",
    "backward": "vtkMRMLTransformNode",
}
"""What an assessment of the result adds (see :mod:`assessment`), and what kind of node each is."""
WORDS = {
    "transform": ("Transform", "displacement field"),
    "warped": ("Deformed", "deformed volume"),
    "difference": ("Difference", "difference map"),
    "difference_before": ("Difference before", "difference map before registration"),
    "jacobian": ("Jacobian", "Jacobian map"),
    "coverage": ("Coverage", "coverage"),
    "lungs": ("Lungs", "lungs"),
}
"""The results for users, with the panel's words: what a new node's name starts with, and how messages say it."""
TRANSFORM_CLASSES = ("vtkMRMLTransformNode", "vtkMRMLGridTransformNode")


@dataclass(frozen=True)
class Output:
    """A result that is wanted.

    Attributes:
        node: The node that receives it, or None for a new one.
    """

    node: slicer.vtkMRMLNode | None = None


@dataclass(frozen=True)
class Outputs:
    """Which results are wanted, and where. None for one that isn't.

    Attributes:
        transform: phi as from parent.
        warped: The moving image on the fixed image's voxels.
        difference: Warped minus fixed. It brings the difference before registration with it, a node that is found
            again with the difference's own.
        jacobian: The map of volume change.
        coverage: Label map, 1 where the moving image covers the fixed one.
        lungs: Label map, 1 in the fixed image's lungs; left out where they are not known.
    """

    transform: Output | None = Output()
    warped: Output | None = Output()
    difference: Output | None = Output()
    jacobian: Output | None = Output()
    coverage: Output | None = Output()
    lungs: Output | None = Output()


@dataclass(frozen=True)
class ResultNodes:
    """A registration in the scene: its inputs and what came out, None for what there isn't.

    From ``trust`` on, what an assessment adds; see :mod:`assessment`.
    """

    fixed: slicer.vtkMRMLScalarVolumeNode | None = None
    moving: slicer.vtkMRMLScalarVolumeNode | None = None
    transform: slicer.vtkMRMLTransformNode | None = None
    warped: slicer.vtkMRMLScalarVolumeNode | None = None
    difference: slicer.vtkMRMLScalarVolumeNode | None = None
    difference_before: slicer.vtkMRMLScalarVolumeNode | None = None
    jacobian: slicer.vtkMRMLScalarVolumeNode | None = None
    coverage: slicer.vtkMRMLLabelMapVolumeNode | None = None
    lungs: slicer.vtkMRMLLabelMapVolumeNode | None = None
    trust: slicer.vtkMRMLScalarVolumeNode | None = None
    residual: slicer.vtkMRMLScalarVolumeNode | None = None
    correlation: slicer.vtkMRMLScalarVolumeNode | None = None
    consistency: slicer.vtkMRMLScalarVolumeNode | None = None
    ventilation: slicer.vtkMRMLScalarVolumeNode | None = None
    ventilation_density: slicer.vtkMRMLScalarVolumeNode | None = None
    regions: slicer.vtkMRMLLabelMapVolumeNode | None = None
    backward: slicer.vtkMRMLTransformNode | None = None


def result_nodes(transform: slicer.vtkMRMLTransformNode | None) -> ResultNodes:
    """The registration that a transform node came from, as far as its nodes are in the scene; also after reloading.

    A transform that was made elsewhere gives its fixed and moving image if it names them, and itself. What was
    assessed of an earlier registration in the same nodes is left out.
    """
    if transform is None or transform.GetScene() is None:
        return ResultNodes()
    volumes = {name: referred(transform, name) for name in VOLUME_CLASSES}
    run = transform.GetAttribute(RUN_ATTRIBUTE)
    for name in ASSESSMENT_CLASSES:
        node = referred(transform, name)
        volumes[name] = node if node is not None and node.GetAttribute(RUN_ATTRIBUTE) == run else None
    return ResultNodes(
        fixed=transform.GetNodeReference(transform.GetFixedNodeReferenceRole()),
        moving=transform.GetNodeReference(transform.GetMovingNodeReferenceRole()),
        transform=transform,
        **volumes,
    )


def result_of(
    fixed: slicer.vtkMRMLScalarVolumeNode, moving: slicer.vtkMRMLScalarVolumeNode
) -> tuple[ResultNodes, dict[str, Any]] | None:
    """The registration of two images that is in their scene, with its figures, or None; the last one if several are."""
    scene, kind = fixed.GetScene(), "vtkMRMLTransformNode"
    for index in reversed(range(scene.GetNumberOfNodesByClass(kind))):
        transform = scene.GetNthNodeByClass(index, kind)
        figures = transform.GetAttribute(SUMMARY_ATTRIBUTE)
        nodes = result_nodes(transform)
        if figures and nodes.fixed is fixed and nodes.moving is moving:
            return nodes, json.loads(figures)
    return None


def referred(transform: slicer.vtkMRMLTransformNode, name: str) -> slicer.vtkMRMLNode | None:
    """The node of a transform's results that :class:`ResultNodes` calls by this name, or None."""
    return transform.GetNodeReference(f"{ROLE_PREFIX}{name}")


def difference_before(difference: slicer.vtkMRMLScalarVolumeNode | None) -> slicer.vtkMRMLScalarVolumeNode | None:
    """The difference before registration that belongs to a difference map, while both are in the scene; or None."""
    if difference is None or difference.GetScene() is None:
        return None
    return difference.GetNodeReference(BEFORE_ROLE)


def chosen_nodes(outputs: Outputs) -> dict[str, slicer.vtkMRMLNode | None]:
    """The wanted results by name, each with the node that receives it, None for a new one."""
    chosen = {}
    for entry in fields(outputs):
        output = getattr(outputs, entry.name)
        if output is None:
            continue
        chosen[entry.name] = output.node
        if entry.name == "difference":
            chosen["difference_before"] = difference_before(output.node)
    return chosen


def check_outputs(
    outputs: Outputs, fixed: slicer.vtkMRMLScalarVolumeNode, moving: slicer.vtkMRMLScalarVolumeNode
) -> None:
    """Refuse nodes that can't receive a registration's results. Nothing is changed.

    Raises:
        NodeError: A node that isn't in the inputs' scene, is of another kind than the result, is one of the inputs, or
            is to receive two results, or holds something that isn't an earlier result; an output transform above the
            fixed image.
    """
    taken: dict[str, str] = {fixed.GetID(): "the fixed image", moving.GetID(): "the moving image"}
    for name, node in chosen_nodes(outputs).items():
        if node is None:
            continue
        (_, what), found = WORDS[name], f"{node.GetName()}: found"
        if node.GetScene() is None or node.GetScene() is not fixed.GetScene():
            msg = f"{found} a node that isn't in the scene any more, expected another one for the {what}"
            raise NodeError(msg)
        expected = TRANSFORM_CLASSES if name == "transform" else (VOLUME_CLASSES[name],)
        if node.GetClassName() not in expected:
            msg = f"{found} a {node.GetNodeTagName()} node, expected {described(name)} for the {what}"
            raise NodeError(msg)
        if node.GetID() in taken:
            msg = f"{found} {taken[node.GetID()]}, expected another node for the {what}"
            raise NodeError(msg)
        taken[node.GetID()] = f"the node for the {what}"
        if not is_replaceable(node):
            kind = "transform" if name == "transform" else "volume"
            msg = (
                f"{found} a {kind} that isn't a registration's result, expected an empty one, an earlier result or"
                f' "Create new" for the {what}'
            )
            raise NodeError(msg)
    check_not_above(outputs, fixed)


def is_replaceable(node: slicer.vtkMRMLVolumeNode | slicer.vtkMRMLTransformNode) -> bool:
    """Whether nothing of the user's own is lost when a node gets other content: an earlier result, or nothing."""
    if node.GetAttribute(RESULT_ATTRIBUTE) is not None:
        return True
    if node.IsA("vtkMRMLVolumeNode"):
        return node.GetImageData() is None or not node.GetImageData().GetNumberOfPoints()
    if node.IsLinear():
        matrix = vtk.vtkMatrix4x4()
        node.GetMatrixTransformToParent(matrix)
        return bool(np.array_equal(numpy_matrix(matrix), np.eye(4)))
    grid = node.GetTransformFromParentAs("vtkOrientedGridTransform", False)
    if grid is None:
        return False
    image = grid.GetDisplacementGrid()
    return image is None or image.GetPointData().GetScalars() is None or not voxels(image).any()


def described(name: str) -> str:
    """What kind of node a result needs, in words."""
    if name == "transform":
        return "a transform that isn't restricted to linear or B-spline ones"
    return "a label map" if "LabelMap" in VOLUME_CLASSES[name] else "a scalar volume"


def check_not_above(outputs: Outputs, fixed: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Refuse an output transform that would move the fixed image, which has to stay."""
    node = outputs.transform.node if outputs.transform else None
    parent = fixed.GetParentTransformNode()
    while node is not None and parent is not None:
        if parent.GetID() == node.GetID():
            msg = f"{node.GetName()}: found the fixed image {fixed.GetName()} below it, expected another transform"
            raise NodeError(msg)
        parent = parent.GetParentTransformNode()
