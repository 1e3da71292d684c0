"""A registration's results as nodes of the scene."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import uuid4

import numpy as np
import slicer
import vtk

from ..outcome import Outcome
from ..volume import Volume
from .changes import Changes, all_or_nothing
from .display import show_diverging, show_like
from .outputs import (
    BEFORE_ROLE,
    RESULT_ATTRIBUTE,
    ROLE_PREFIX,
    RUN_ATTRIBUTE,
    SUMMARY_ATTRIBUTE,
    VOLUME_CLASSES,
    WORDS,
    Outputs,
    ResultNodes,
    check_outputs,
    chosen_nodes,
)
from .transforms import grid_from_field
from .volumes import NodeError, image_data, volume_from_node, vtk_matrix

WINDOW_SAMPLES = 1_000_000
Show = Callable[[slicer.vtkMRMLScalarVolumeNode], None]


@dataclass(frozen=True)
class ReadyVolume:
    """A result volume that is ready to be shown: voxels, place in the world, and how a new node displays it."""

    image: vtk.vtkImageData
    ijk_to_world: vtk.vtkMatrix4x4
    show: Show


def publish(
    outcome: Outcome,
    fixed_node: slicer.vtkMRMLScalarVolumeNode,
    moving_node: slicer.vtkMRMLScalarVolumeNode,
    outputs: Outputs | None = None,
) -> ResultNodes:
    """Put a registration's results into the scene: into new nodes beside the fixed one, or into existing nodes.

    All are in world coordinates, since phi is: they lie under no transform, also where the inputs do. To deform
    something of the moving image live, put the transform above its whole chain of parent transforms. Existing nodes
    keep their IDs, names, places and the way they are displayed. The inputs are not changed. Where anything fails, the
    scene is as it was.

    Args:
        outcome: Of the volumes of the two nodes.
        fixed_node: The fixed image.
        moving_node: The moving image.
        outputs: What is wanted, and where; None for all of it in new nodes.

    Raises:
        NodeError: An input was removed, the fixed node is no longer where it was registered, an output as
            :func:`outputs.check_outputs` says, or as :func:`volume_from_node`.
    """
    outputs = outputs or Outputs()
    if outcome.fixed_lungs is None:
        outputs = replace(outputs, lungs=None)
    check_inputs(outcome, fixed_node, moving_node)
    check_outputs(outputs, fixed_node, moving_node)
    ready = ready_volumes(outcome, fixed_node, set(chosen_nodes(outputs)))
    grid = grid_from_field(outcome.field) if outputs.transform else None
    fixed_name = fixed_node.GetName()
    name = f"{moving_node.GetName()} to {fixed_name}"
    with all_or_nothing(fixed_node.GetScene()) as changes:
        found: dict[str, slicer.vtkMRMLNode] = {}
        for result, node in chosen_nodes(outputs).items():
            of = fixed_name if result == "lungs" else name
            title = f"{WORDS[result][0]} {of}"  # what it is comes first: narrow lists cut off the end
            if result == "transform":
                found[result] = place_transform(changes, grid, node, title, fixed_node)
            else:
                class_name = VOLUME_CLASSES[result]
                found[result] = place_volume(changes, ready[result], node, class_name, title, fixed_node)
            changes.mark(found[result], RESULT_ATTRIBUTE, result)
        nodes = ResultNodes(fixed=fixed_node, moving=moving_node, **found)
        refer(changes, nodes)
        if nodes.transform is not None:
            figures = json.dumps(outcome.summary) if outcome.summary else None
            changes.mark(nodes.transform, SUMMARY_ATTRIBUTE, figures)
    return nodes


def check_inputs(
    outcome: Outcome, fixed_node: slicer.vtkMRMLScalarVolumeNode, moving_node: slicer.vtkMRMLScalarVolumeNode
) -> None:
    """Refuse results of nodes that have gone, or of a fixed image that lies elsewhere by now."""
    for node in (fixed_node, moving_node):
        if node.GetScene() is None:
            msg = f"{node.GetName()}: found that it was removed from the scene, expected the image that was registered"
            raise NodeError(msg)
    fixed = volume_from_node(fixed_node, copy=False)
    if fixed.lattice != outcome.warped.lattice:
        msg = (
            f"{fixed.name}: found other voxels than those that were registered, expected the same geometry; it was"
            " moved or changed since, register again"
        )
        raise NodeError(msg)


def ready_volumes(
    outcome: Outcome, fixed_node: slicer.vtkMRMLScalarVolumeNode, wanted: set[str]
) -> dict[str, ReadyVolume]:
    """The wanted result volumes by name. All memory is taken here, before the scene is touched."""
    window = symmetric_window(outcome) if "difference" in wanted else 0.0

    def show_difference(node: slicer.vtkMRMLScalarVolumeNode) -> None:
        show_diverging(node, 0.0, window)  # of both differences, so that they can be compared

    ways: dict[str, tuple[Volume, Show]] = {
        "warped": (outcome.warped, lambda node: show_like(node, fixed_node)),
        "difference": (outcome.difference, show_difference),
        "difference_before": (outcome.difference_before, show_difference),
        "jacobian": (outcome.jacobian, lambda node: show_diverging(node, 1.0, 1.0)),
        "coverage": (outcome.coverage, lambda node: None),
    }
    if outcome.fixed_lungs is not None:
        ways["lungs"] = outcome.fixed_lungs, lambda node: None
    return {
        name: ReadyVolume(image_data(volume.array), vtk_matrix(volume.ijk_to_ras), show)
        for name, (volume, show) in ways.items()
        if name in wanted
    }


def place_volume(
    changes: Changes,
    ready: ReadyVolume,
    node: slicer.vtkMRMLScalarVolumeNode | None,
    class_name: str,
    name: str,
    neighbour: slicer.vtkMRMLNode,
) -> slicer.vtkMRMLScalarVolumeNode:
    """A result volume in a node: a new one, or the given one."""
    fresh = node is None or node.GetImageData() is None  # a selector's "create new" makes a node without voxels
    node = node or changes.new_node(class_name, name)
    if changes.show(node):
        ready.show(node)  # before there are voxels, whose histogram would be computed otherwise
    changes.set_image(node, ready.image, ready.ijk_to_world)
    if fresh:
        changes.put_beside(node, neighbour)
    return node


def place_transform(
    changes: Changes,
    grid: slicer.vtkOrientedGridTransform,
    node: slicer.vtkMRMLTransformNode | None,
    name: str,
    neighbour: slicer.vtkMRMLNode,
) -> slicer.vtkMRMLTransformNode:
    """phi in a transform node: a new one, or the given one."""
    fresh = node is None or not node.GetNodeReferenceID(node.GetFixedNodeReferenceRole())
    node = node or changes.new_node("vtkMRMLTransformNode", name)
    changes.set_from_parent(node, grid)
    if fresh:
        changes.put_beside(node, neighbour)
    return node


def refer(changes: Changes, nodes: ResultNodes) -> None:
    """Let the nodes know of each other, so that :func:`result_nodes` finds them again in a reloaded scene."""
    if nodes.difference is not None:
        changes.set_reference(nodes.difference, BEFORE_ROLE, nodes.difference_before)
    if nodes.transform is None:
        return
    transform = nodes.transform
    changes.mark(transform, RUN_ATTRIBUTE, uuid4().hex)
    changes.set_reference(transform, transform.GetFixedNodeReferenceRole(), nodes.fixed)
    changes.set_reference(transform, transform.GetMovingNodeReferenceRole(), nodes.moving)
    for name in VOLUME_CLASSES:
        changes.set_reference(transform, f"{ROLE_PREFIX}{name}", getattr(nodes, name))


def symmetric_window(outcome: Outcome) -> float:
    """The greatest difference that is to be told apart by colour: the 99th percentile of its size where covered."""
    step = max(1, round((outcome.difference.array.size / WINDOW_SAMPLES) ** (1 / 3)))
    some = (slice(None, None, step),) * 3
    values = outcome.difference.array[some][outcome.coverage.array[some] > 0]
    return float(np.percentile(np.abs(values), 99)) if values.size else 0.0
