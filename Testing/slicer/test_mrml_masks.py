"""Label maps and segmentations to masks."""

import numpy as np
import pytest
import slicer
from LungDeepRegLib.mrml import NodeError, mask_from_node, node_from_volume
from LungDeepRegLib.mrml.volumes import image_data, vtk_matrix
from LungDeepRegLib.volume import Volume

from Testing.slicer.scene import linear_transform


@pytest.fixture
def image(pair):
    return pair.fixed


def label_map(scene, volume: Volume):
    return node_from_volume(volume, scene, "vtkMRMLLabelMapVolumeNode")


def segmentation(scene, image: Volume, boxes: dict[str, tuple[slice, slice, slice]]):
    """A segmentation whose segments are boxes of the image's voxels, stored cropped, as Slicer does."""
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "lobes")
    for name, box in boxes.items():
        start = np.array([s.start for s in box[::-1]])
        count = np.array([s.stop - s.start for s in box[::-1]])
        piece = slicer.vtkOrientedImageData()
        piece.DeepCopy(image_data(np.ones(count[::-1], np.uint8)))
        matrix = np.array(image.ijk_to_ras)
        matrix[:3, 3] += matrix[:3, :3] @ start
        piece.SetGeometryFromImageToWorldMatrix(vtk_matrix(matrix))
        node.AddSegmentFromBinaryLabelmapRepresentation(piece, name, [1.0, 0.0, 0.0])
    return node


BOXES = {"left": (slice(5, 9), slice(6, 12), slice(4, 10)), "right": (slice(7, 12), slice(3, 8), slice(20, 28))}


def expected(image: Volume, *names: str) -> np.ndarray:
    mask = np.zeros(image.array.shape, bool)
    for name in names:
        mask[BOXES[name]] = True
    return mask


def test_label_map_is_whatever_is_greater_than_0(scene, pair):
    node = label_map(scene, pair.fixed_mask)
    np.testing.assert_array_equal(mask_from_node(node, pair.fixed), pair.fixed_mask.array > 0)


def test_label_map_below_the_same_transform_as_the_image(scene, pair):
    shift = np.eye(4)
    shift[:3, 3] = [40, 0, 0]
    node = label_map(scene, pair.fixed_mask)
    node.SetAndObserveTransformNodeID(linear_transform(scene, shift).GetID())
    moved = Volume(pair.fixed.array, shift @ pair.fixed.ijk_to_ras, "moved")
    assert mask_from_node(node, moved).sum() == (pair.fixed_mask.array > 0).sum()
    with pytest.raises(NodeError, match="expected the voxels of phantom exhale"):
        mask_from_node(node, pair.fixed)


def test_empty_label_map_is_refused(scene, image):
    node = label_map(scene, image.with_array(np.zeros(image.array.shape, np.uint8), "nothing"))
    with pytest.raises(NodeError, match="nothing: found an empty mask"):
        mask_from_node(node, image)


def test_segments_are_taken_one_by_one_or_all_together(scene, image):
    node = segmentation(scene, image, BOXES)
    ids = {node.GetSegmentation().GetSegment(i).GetName(): i for i in node.GetSegmentation().GetSegmentIDs()}
    np.testing.assert_array_equal(mask_from_node(node, image, [ids["left"]]), expected(image, "left"))
    np.testing.assert_array_equal(mask_from_node(node, image, [ids["right"]]), expected(image, "right"))
    np.testing.assert_array_equal(mask_from_node(node, image), expected(image, "left", "right"))


def test_segment_of_a_single_slice(scene, image):
    box = (slice(9, 10), slice(3, 8), slice(20, 28))
    node = segmentation(scene, image, {"slice": box})
    mask = mask_from_node(node, image)
    assert mask[box].all()
    assert mask.sum() == 5 * 8


def test_segmentation_below_a_transform(scene, image):
    shift = np.eye(4)
    shift[:3, 3] = image.ijk_to_ras[:3, 0] * 3  # three voxels along i
    node = segmentation(scene, image, BOXES)
    node.SetAndObserveTransformNodeID(linear_transform(scene, shift).GetID())
    np.testing.assert_array_equal(mask_from_node(node, image), np.roll(expected(image, "left", "right"), 3, axis=2))


def test_unknown_segments_are_refused(scene, image):
    node = segmentation(scene, image, BOXES)
    with pytest.raises(NodeError, match=r"lobes: found the segments .* expected \['heart'\]"):
        mask_from_node(node, image, ["heart"])
    with pytest.raises(NodeError, match="expected at least one"):
        mask_from_node(scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "empty"), image)


def test_segments_elsewhere_are_refused(scene, image):
    away = np.eye(4)
    away[:3, 3] = 5000
    node = segmentation(scene, image, BOXES)
    node.SetAndObserveTransformNodeID(linear_transform(scene, away).GetID())
    with pytest.raises(NodeError, match="lobes: found an empty mask on the voxels of phantom exhale"):
        mask_from_node(node, image)


def test_no_node_is_refused(image):
    with pytest.raises(NodeError, match="found no volume node"):
        mask_from_node(None, image)
