"""Label map and segmentation nodes to masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import slicer
import vtk

from ..geometry import Lattice
from ..image_io.files import described
from ..resampling import resample
from ..volume import Volume
from .volumes import NodeError, numpy_matrix, volume_from_node, voxels, world_matrix


def mask_from_node(
    node: slicer.vtkMRMLLabelMapVolumeNode | slicer.vtkMRMLSegmentationNode,
    like: Volume,
    segment_ids: Sequence[str] | None = None,
) -> np.ndarray:
    """The mask that a label map (whatever is greater than 0) or segments of a segmentation make.

    Args:
        node: A label map on the voxels of ``like``, or a segmentation on any voxels (the nearest is taken).
        like: The image the mask belongs to.
        segment_ids: Which segments of a segmentation, together; None for all of them.

    Returns:
        bool ``(K, J, I)`` on the voxels of ``like``.

    Raises:
        NodeError: Another kind of node, a label map on other voxels, unknown segments, or an empty mask; also as
            :func:`volume_from_node`.
    """
    if node is not None and node.IsA("vtkMRMLSegmentationNode"):
        mask = segments_mask(node, segment_ids, like.lattice)
    else:
        mask = label_map_mask(node, like)
    if not mask.any():
        msg = f"{node.GetName()}: found an empty mask on the voxels of {like.name}, expected some lung"
        raise NodeError(msg)
    return mask


def label_map_mask(node: slicer.vtkMRMLScalarVolumeNode, like: Volume) -> np.ndarray:
    """Where a label map is greater than 0."""
    labels = volume_from_node(node)
    if labels.lattice != like.lattice:
        msg = (
            f"{labels.name}: found a mask of {described(labels.lattice)}, expected the voxels of {like.name}:"
            f" {described(like.lattice)}"
        )
        raise NodeError(msg)
    return labels.array > 0


def segments_mask(
    node: slicer.vtkMRMLSegmentationNode, segment_ids: Sequence[str] | None, lattice: Lattice
) -> np.ndarray:
    """Where any of the segments is, bool on a lattice's voxels."""
    segmentation = node.GetSegmentation()
    present = list(segmentation.GetSegmentIDs())
    unknown = [segment for segment in segment_ids or [] if segment not in present]
    if unknown or not present:
        msg = f"{node.GetName()}: found the segments {present}, expected {unknown or 'at least one'}"
        raise NodeError(msg)
    label_map = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    if not segmentation.ContainsRepresentation(label_map):
        msg = f"{node.GetName()}: found no binary label map, expected one; create it in the module Segmentations"
        raise NodeError(msg)
    mask = np.zeros(lattice.shape, dtype=bool)
    for segment in present if segment_ids is None else segment_ids:
        labels = segment_volume(node, segment)
        if labels is not None:
            mask |= resample(labels, lattice, mode="nearest").array > 0
    return mask


def segment_volume(node: slicer.vtkMRMLSegmentationNode, segment_id: str) -> Volume | None:
    """One segment's label map, uint8, with a rim of zeros so that it ends where it ends; None for an empty one."""
    image = slicer.vtkOrientedImageData()
    node.GetBinaryLabelmapRepresentation(segment_id, image)
    if image.IsEmpty():
        return None
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    first = np.array(image.GetExtent()[::2]) - 1
    ijk_to_ras = numpy_matrix(matrix)
    ijk_to_ras[:3, 3] += ijk_to_ras[:3, :3] @ first
    array = np.pad((voxels(image) > 0).astype(np.uint8), 1)
    return Volume(array, world_matrix(node) @ ijk_to_ras, node.GetName())
