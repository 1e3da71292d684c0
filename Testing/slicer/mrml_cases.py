"""What several tests of the nodes need: a result without the pipeline around it, and what could change in a scene."""

import numpy as np
import slicer
from LungDeepRegLib.metrics import jacobian_determinant
from LungDeepRegLib.mrml import volume_from_node
from LungDeepRegLib.mrml.changes import Changes
from LungDeepRegLib.outcome import Outcome
from LungDeepRegLib.results.images import stored
from LungDeepRegLib.volume import Volume

from Testing.slicer.scene import linear_transform

TABLE = np.array([[0.98, -0.199, 0, 12.0], [0.199, 0.98, 0, 30.0], [0, 0, 1, -200.0], [0, 0, 0, 1]])
"""A turned and shifted patient table: near enough to a rotation for everything but an exact inverse."""


def outcome_of(registration, pair) -> Outcome:
    """A registration as the worker gives it, with differences in stored values."""
    warped = stored(registration.warped, pair.moving.array.dtype)
    difference = warped.array.astype(np.float32) - pair.fixed.array
    difference[~registration.covered] = 0
    field = registration.field
    return Outcome(
        field=field,
        warped=warped,
        coverage=pair.fixed.with_array(registration.covered.astype(np.uint8)),
        difference=pair.fixed.with_array(difference),
        difference_before=pair.fixed.with_array(difference * 2),
        jacobian=Volume(jacobian_determinant(field), field.lattice.ijk_to_ras, "jacobian"),
        fixed_lungs=pair.fixed_mask.with_array((pair.fixed_mask.array > 0).astype(np.uint8)),
        summary={},
    )


def below(scene, node, matrix: np.ndarray, name: str = "table"):
    """Put a node below a linear transform in such a way that it stays where it is in the world."""
    if node.IsA("vtkMRMLVolumeNode"):
        from LungDeepRegLib.mrml.volumes import ijk_to_world, vtk_matrix

        node.SetIJKToRASMatrix(vtk_matrix(np.linalg.inv(matrix) @ ijk_to_world(node)))
    transform = linear_transform(scene, matrix, name)
    node.SetAndObserveTransformNodeID(transform.GetID())
    return transform


def hierarchy_of(scene):
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)


def window(node) -> tuple[float, float]:
    display = node.GetDisplayNode()
    return display.GetWindowLevelMin(), display.GetWindowLevelMax()


def state(node) -> tuple:
    """All that a user could see change in a volume node."""
    volume, display = volume_from_node(node), node.GetDisplayNode()
    shown = (display.GetColorNodeID(), display.GetVisibility()) if display else ()
    if display and not node.IsA("vtkMRMLLabelMapVolumeNode"):
        shown += (*window(node), display.GetAutoWindowLevel())
    hierarchy = hierarchy_of(node.GetScene())
    place = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node))
    geometry = (volume.array.tobytes(), volume.ijk_to_ras.tobytes(), node.GetTransformNodeID())
    return (*geometry, node.GetID(), node.GetName(), shown, place)


def everything(scene) -> tuple:
    """All nodes of a scene and all items of its subject hierarchy."""
    items = hierarchy_of(scene).GetNumberOfItems()  # makes the hierarchy's own node, if there is none
    return [scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes())], items


def fail_after(steps: int, monkeypatch) -> list[int]:
    """Let a change of the scene fail after so many steps; what comes back falls below zero once it has."""
    left = [steps]

    def counted(method):
        def step(self, *args):
            left[0] -= 1
            if left[0] < 0:
                msg = "no memory"
                raise MemoryError(msg)
            return method(self, *args)

        return step

    for name in ("new_node", "set_image", "set_from_parent", "show", "put_beside", "set_reference", "mark"):
        monkeypatch.setattr(Changes, name, counted(getattr(Changes, name)))
    return left
