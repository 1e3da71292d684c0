"""Scalar volumes and label maps that a result is applied to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import slicer

from ..volume import Volume
from .changes import Changes
from .display import Look
from .volumes import image_data, volume_from_node, vtk_matrix

if TYPE_CHECKING:
    from .apply_points import PointMap


@dataclass(frozen=True, eq=False)
class Image:
    """A scalar volume (linearly interpolated) or a label map (nearest neighbour)."""

    name: str
    class_name: str
    look: Look
    images: list[dict[str, Any]]

    @classmethod
    def read(cls, node: slicer.vtkMRMLScalarVolumeNode, points: PointMap) -> Image:
        """A volume node, ready to be carried over; its voxels aren't copied."""
        volume = volume_from_node(node, copy=False)
        class_name = node.GetClassName()
        image = {"volume": volume, "labels": class_name == "vtkMRMLLabelMapVolumeNode"}
        return cls(node.GetName(), class_name, Look.of(node), [image])

    def make(self, changes: Changes, name: str, answers: Sequence[dict[str, Volume]]) -> slicer.vtkMRMLVolumeNode:
        """A new node of what the worker made of it."""
        (answer,) = answers
        warped = answer["warped"]
        node = changes.new_node(self.class_name, name)
        changes.show(node)
        self.look.give(node)
        changes.set_image(node, image_data(warped.array), vtk_matrix(warped.ijk_to_ras))
        return node

    def warnings(self, answers: Sequence[dict[str, Volume]]) -> list[str]:
        """What should be known of the answer."""
        if answers[0]["coverage"].array.any():
            return []
        return [f"{self.name}: nothing of it reaches the fixed image through this transform"]
