"""Segmentations that a result is applied to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import slicer

from ..labels import labelled_box
from ..volume import Volume
from .changes import Changes
from .display import Look
from .masks import BINARY_LABELMAP, checked_segments, layer_volume, with_label_maps
from .volumes import image_data, vtk_matrix, world_matrix

if TYPE_CHECKING:
    from .apply_points import PointMap


@dataclass(frozen=True, eq=False)
class Segmentation:
    """A segmentation, layer by layer: segments that overlap lie in different layers, and stay there.

    Attributes:
        name: The node's name.
        look: Visibility, opacity and so on of each segment.
        segments: ID, a segment with name, colour, tags and label but no voxels, and in which of the images it lies
            (None: in an empty layer), in the segmentation's order.
        empty: IDs of segments of nothing.
        images: The layers that hold anything, for the worker.
    """

    name: str
    look: Look
    segments: list[tuple[str, slicer.vtkSegment, int | None]]
    empty: set[str]
    images: list[dict[str, Any]]

    @classmethod
    def read(cls, node: slicer.vtkMRMLSegmentationNode, points: PointMap) -> Segmentation:
        """A segmentation node, ready to be carried over."""
        ids, to_world = checked_segments(node, None), world_matrix(node)
        segmentation = with_label_maps(node, points.lattice)
        images: list[dict[str, Any]] = []
        of_segment: dict[str, int] = {}
        empty = set(ids)
        for number in range(segmentation.GetNumberOfLayers(BINARY_LABELMAP)):
            layer = segmentation.GetLayerDataObject(number, BINARY_LABELMAP)
            if layer.IsEmpty():
                continue
            volume = layer_volume(layer, to_world, node.GetName())
            for segment_id in segmentation.GetSegmentIDsForLayer(number, BINARY_LABELMAP):
                of_segment[segment_id] = len(images)
                if holds(volume, segmentation.GetSegment(segment_id).GetLabelValue()):
                    empty.remove(segment_id)
            images.append({"volume": volume, "labels": True})
        segments = []
        for segment_id in ids:
            described = slicer.vtkSegment()
            described.DeepCopyMetadata(segmentation.GetSegment(segment_id))
            segments.append((segment_id, described, of_segment.get(segment_id)))
        return cls(node.GetName(), Look.of(node), segments, empty, images)

    def make(self, changes: Changes, name: str, answers: Sequence[dict[str, Volume]]) -> slicer.vtkMRMLSegmentationNode:
        """A new node of what the worker made of the layers."""
        layers = [label_image(answer["warped"]) for answer in answers]
        node = changes.new_node("vtkMRMLSegmentationNode", name)
        segmentation = node.GetSegmentation()
        segmentation.SetSourceRepresentationName(BINARY_LABELMAP)
        for segment_id, described, layer in self.segments:
            segment = slicer.vtkSegment()
            segment.DeepCopyMetadata(described)
            image = slicer.vtkOrientedImageData() if layer is None else layers[layer]
            segment.AddRepresentation(BINARY_LABELMAP, image)  # one image for all segments of a layer
            segmentation.AddSegment(segment, segment_id)
        changes.show(node)
        self.look.give(node)
        return node

    def warnings(self, answers: Sequence[dict[str, Volume]]) -> list[str]:
        """Which segments have nothing left."""
        lost = [
            segment.GetName()
            for segment_id, segment, layer in self.segments
            if segment_id not in self.empty and layer is not None
            if not holds(answers[layer]["warped"], segment.GetLabelValue())
        ]
        if not lost:
            return []
        return [f"{self.name}: nothing of {', '.join(lost)} reaches the fixed image through this transform"]


def holds(volume: Volume, label: int) -> bool:
    """Whether a label is there; one that is, is found without looking at everything."""
    return any(bool((plane == label).any()) for plane in volume.array)


def label_image(labels: Volume) -> slicer.vtkOrientedImageData:
    """A label map as segmentations hold it: only the part that isn't empty, at its place among all voxels."""
    image = slicer.vtkOrientedImageData()
    box = labelled_box(labels.array != 0)
    if box is not None:
        image.ShallowCopy(image_data(labels.array[box]))
        k, j, i = box
        image.SetExtent(i.start, i.stop - 1, j.start, j.stop - 1, k.start, k.stop - 1)
    image.SetGeometryFromImageToWorldMatrix(vtk_matrix(labels.ijk_to_ras))
    return image
