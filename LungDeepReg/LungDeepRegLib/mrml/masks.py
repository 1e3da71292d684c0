"""Label map and segmentation nodes to masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import slicer
import vtk

from ..geometry import Lattice, apply, corner_indices
from ..labels import Marked
from ..volume import Volume, VolumeError
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
    from ..lung_mask import mask_on

    try:
        return mask_on(label_volumes(node, like, segment_ids), like)
    except VolumeError as error:
        raise NodeError(no_mask(node, like)) from error


def label_volumes(
    node: slicer.vtkMRMLLabelMapVolumeNode | slicer.vtkMRMLSegmentationNode,
    like: Volume,
    segment_ids: Sequence[str] | None = None,
) -> list[Volume | Marked]:
    """What together makes a mask: a label map (whatever is greater than 0), or segments of a segmentation.

    Nothing is computed or copied, so that it takes no time: the arrays are read-only and show the node's own memory.

    Args:
        node: A label map or a segmentation, on any voxels.
        like: The image the mask belongs to.
        segment_ids: Which segments of a segmentation, together; None for all of them.

    Returns:
        What :func:`lung_mask.mask_on` takes, in world coordinates: the label map, or the label maps that the segments
        share and which values in them are meant. Whether anything is marked there is for it to find out.

    Raises:
        NodeError: Another kind of node, unknown segments, segments without voxels, labels that lie beside the image, a
            non-linear parent transform; also as :func:`volume_from_node`.
    """
    found: list[Volume | Marked]
    if node is not None and node.IsA("vtkMRMLSegmentationNode"):
        chosen = checked_segments(node, segment_ids)
        segmentation, to_world = with_label_maps(node, like.lattice), world_matrix(node)
        found = [*shared_labels([segmentation.GetSegment(segment) for segment in chosen], to_world)]
    else:
        found = [volume_from_node(node, copy=False)]
    near = [labels for labels in found if may_overlap(lattice_of(labels), like.lattice)]
    if not near:
        raise NodeError(no_mask(node, like))
    return near


def no_mask(node: slicer.vtkMRMLNode, like: Volume) -> str:
    """What to say of a mask of nothing."""
    return f"{node.GetName()}: found an empty mask on the voxels of {like.name}, expected some lung"


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


def shared_labels(segments: Sequence[slicer.vtkSegment], to_world: np.ndarray) -> list[Marked]:
    """The label maps that segments lie in, each with the values of those segments; empty ones are left out."""
    layers: dict[slicer.vtkOrientedImageData, list[slicer.vtkSegment]] = {}
    for segment in segments:
        layer = segment.GetRepresentation(BINARY_LABELMAP)
        if layer is not None and not layer.IsEmpty():
            layers.setdefault(layer, []).append(segment)
    return [
        Marked(
            labels=layer_volume(layer, to_world, ", ".join(segment.GetName() for segment in inside)),
            values=[segment.GetLabelValue() for segment in inside],
        )
        for layer, inside in layers.items()
    ]


def layer_volume(layer: slicer.vtkOrientedImageData, to_world: np.ndarray, name: str) -> Volume:
    """A label map of a segmentation, shared by several segments or not; read-only, in the segmentation's memory.

    Where it is a single slice thick it becomes a copy with a rim of zeros, since a volume is two voxels at least.

    Args:
        layer: Labels on an extent of any origin.
        to_world: 4x4, the segmentation's RAS mm to world RAS mm.
        name: For messages.
    """
    matrix = vtk.vtkMatrix4x4()
    layer.GetImageToWorldMatrix(matrix)
    array, first = voxels(layer), np.array(layer.GetExtent()[::2])
    if min(array.shape) == 1:
        array, first = np.pad(array, 1), first - 1
    array.flags.writeable = False
    ijk_to_ras = numpy_matrix(matrix)
    ijk_to_ras[:3, 3] += ijk_to_ras[:3, :3] @ first
    return Volume(array, to_world @ ijk_to_ras, name)


def lattice_of(labels: Volume | Marked) -> Lattice:
    """The voxels of labels."""
    return labels.lattice if isinstance(labels, Volume) else labels["labels"].lattice


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
