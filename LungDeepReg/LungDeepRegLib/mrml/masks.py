"""Label map and segmentation nodes to masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import slicer
import vtk

from ..geometry import Lattice, apply, corner_indices, index_box
from ..volume import Volume
from .volumes import NodeError, numpy_matrix, volume_from_node, voxels, vtk_matrix, world_matrix

BINARY_LABELMAP = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()


def mask_from_node(
    node: slicer.vtkMRMLLabelMapVolumeNode | slicer.vtkMRMLSegmentationNode,
    like: Volume,
    segment_ids: Sequence[str] | None = None,
) -> np.ndarray:
    """The mask that a label map (whatever is greater than 0) or segments of a segmentation make.

    Args:
        node: A label map or a segmentation, on any voxels (the nearest is taken).
        like: The image the mask belongs to.
        segment_ids: Which segments of a segmentation, together; None for all of them.

    Returns:
        bool ``(K, J, I)`` on the voxels of ``like``.

    Raises:
        NodeError: As :func:`label_volumes`.
    """
    from ..resampling import resample

    mask = np.zeros(like.array.shape, dtype=bool)
    for labels in label_volumes(node, like, segment_ids):
        mask |= resample(labels, like.lattice, mode="nearest").array > 0
    if not mask.any():
        raise NodeError(no_mask(node, like))
    return mask


def label_volumes(
    node: slicer.vtkMRMLLabelMapVolumeNode | slicer.vtkMRMLSegmentationNode,
    like: Volume,
    segment_ids: Sequence[str] | None = None,
) -> list[Volume]:
    """What together makes a mask: a label map (whatever is greater than 0), or segments of a segmentation.

    Args:
        node: A label map or a segmentation, on any voxels.
        like: The image the mask belongs to.
        segment_ids: Which segments of a segmentation, together; None for all of them.

    Returns:
        uint8 volumes of 0 and 1, in world coordinates, of the part that isn't empty with a rim of zeros, so that each
        ends where it ends. Where any is 1 on the voxels of ``like``, by nearest neighbour, there is the mask.

    Raises:
        NodeError: Another kind of node, unknown segments, an empty mask or one that lies beside the image, a
            non-linear parent transform; also as :func:`volume_from_node`.
    """
    if node is not None and node.IsA("vtkMRMLSegmentationNode"):
        chosen = checked_segments(node, segment_ids)
        segmentation, to_world = with_label_maps(node, like.lattice), world_matrix(node)
        found = [segment_volume(segmentation.GetSegment(segment), to_world) for segment in chosen]
    else:
        found = [cropped(volume_from_node(node, copy=False))]
    volumes = [volume for volume in found if volume is not None and may_overlap(volume.lattice, like.lattice)]
    if not volumes:
        raise NodeError(no_mask(node, like))
    return volumes


def no_mask(node: slicer.vtkMRMLNode, like: Volume) -> str:
    """What to say of a mask of nothing."""
    return f"{node.GetName()}: found an empty mask on the voxels of {like.name}, expected some lung"


def cropped(labels: Volume) -> Volume | None:
    """Where a label map is greater than 0, as 0 and 1, cut to that with a rim of zeros; None if it is nowhere."""
    box = labelled_box(labels.array > 0)
    if box is None:
        return None
    array = np.pad((labels.array[box] > 0).astype(np.uint8), 1)
    first = np.array([axis.start - 1 for axis in box[::-1]])
    return Volume(array, index_box(labels.lattice, first, np.array(array.shape[::-1])).ijk_to_ras, labels.name)


def labelled_box(labelled: np.ndarray) -> tuple[slice, slice, slice] | None:
    """The least box, along ``(k, j, i)``, around all that is True in ``(K, J, I)``; None if nothing is."""
    in_plane = np.any(labelled, axis=0)
    along = (np.any(labelled, axis=(1, 2)), np.any(in_plane, axis=1), np.any(in_plane, axis=0))
    ends = [np.flatnonzero(axis) for axis in along]
    if not all(found.size for found in ends):
        return None
    k, j, i = (slice(int(found[0]), int(found[-1]) + 1) for found in ends)
    return k, j, i


def may_overlap(a: Lattice, b: Lattice) -> bool:
    """Whether the bounding box of one lattice, in the other's axes, meets the other. Never False of any that do."""
    corners = apply(b.ras_to_ijk @ a.ijk_to_ras, corner_indices(a.shape))
    upper = np.array(b.shape[::-1]) - 0.5
    return bool(np.all((corners.max(axis=0) >= -0.5) & (corners.min(axis=0) <= upper)))


def checked_segments(node: slicer.vtkMRMLSegmentationNode, segment_ids: Sequence[str] | None) -> list[str]:
    """The IDs of the segments asked for.

    Raises:
        NodeError: Unknown ones, or none at all.
    """
    present = list(node.GetSegmentation().GetSegmentIDs())
    unknown = [segment for segment in segment_ids or [] if segment not in present]
    if unknown or not present or segment_ids == []:
        msg = f"{node.GetName()}: found the segments {present}, expected {unknown or 'at least one'}"
        raise NodeError(msg)
    return present if segment_ids is None else list(segment_ids)


def segment_volume(segment: slicer.vtkSegment, to_world: np.ndarray) -> Volume | None:
    """One segment's own part of its label map, as 0 and 1, with a rim; None for an empty one."""
    layer = segment.GetRepresentation(BINARY_LABELMAP)
    if layer is None or layer.IsEmpty():
        return None
    labels = layer_volume(layer, to_world, segment.GetName())
    return cropped(labels.with_array(labels.array == segment.GetLabelValue()))


def layer_volume(layer: slicer.vtkOrientedImageData, to_world: np.ndarray, name: str) -> Volume:
    """A label map of a segmentation, shared by several segments or not, with a rim of zeros.

    Args:
        layer: Labels on an extent of any origin.
        to_world: 4x4, the segmentation's RAS mm to world RAS mm.
        name: For messages.
    """
    matrix = vtk.vtkMatrix4x4()
    layer.GetImageToWorldMatrix(matrix)
    first = np.array(layer.GetExtent()[::2]) - 1
    ijk_to_ras = numpy_matrix(matrix)
    ijk_to_ras[:3, 3] += ijk_to_ras[:3, :3] @ first
    return Volume(np.pad(voxels(layer), 1), to_world @ ijk_to_ras, name)


def with_label_maps(node: slicer.vtkMRMLSegmentationNode, lattice: Lattice) -> slicer.vtkSegmentation:
    """A node's segmentation if it holds label maps, otherwise a copy of it that does, made from its surfaces.

    Args:
        node: The segmentation; it isn't changed.
        lattice: Whose voxels are taken for surfaces, in world coordinates.

    Raises:
        NodeError: Its segments can't be made label maps of.
    """
    segmentation = node.GetSegmentation()
    if segmentation.ContainsRepresentation(BINARY_LABELMAP):
        return segmentation
    copy = slicer.vtkSegmentation()
    copy.DeepCopy(segmentation)
    geometry = reference_geometry(lattice, np.linalg.inv(world_matrix(node)))
    copy.SetConversionParameter(slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName(), geometry)
    if not copy.CreateRepresentation(BINARY_LABELMAP):
        msg = f"{node.GetName()}: found no binary label map, expected one; create it in the module Segmentations"
        raise NodeError(msg)
    return copy


def reference_geometry(lattice: Lattice, from_world: np.ndarray) -> str:
    """A lattice of the world in the words of a segmentation that lies at ``from_world``, 4x4 RAS mm to RAS mm."""
    k, j, i = (n - 1 for n in lattice.shape)
    matrix = vtk_matrix(from_world @ lattice.ijk_to_ras)
    return slicer.vtkSegmentationConverter.SerializeImageGeometry(matrix, [0, i, 0, j, 0, k])
