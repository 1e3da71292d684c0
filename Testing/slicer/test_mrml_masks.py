"""Label maps and segmentations to masks."""

import numpy as np
import pytest
import slicer
import vtk
from LungDeepRegLib.displacement_field import DisplacementField, lattice_points
from LungDeepRegLib.geometry import apply, covering_lattice
from LungDeepRegLib.mrml import (
    NodeError,
    label_volumes,
    mask_from_node,
    node_from_field,
    node_from_volume,
    volume_from_node,
)
from LungDeepRegLib.mrml.volumes import image_data, vtk_matrix
from LungDeepRegLib.volume import Volume
from scipy.spatial.transform import Rotation

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


def test_label_map_on_other_voxels_is_taken_by_nearest_neighbour(scene, pair):
    """A finer lattice, turned against the image's; beyond it there is no mask, though its border is labelled."""
    turned = Rotation.from_euler("xyz", (10, 5, -12), degrees=True).as_matrix() * [-4.0, 3.0, 5.0]
    matrix = np.eye(4)
    matrix[:3, :3] = turned
    matrix[:3, 3] = pair.fixed.lattice.centre_ras - turned @ [20, 25, 15]
    labels = Volume(np.zeros((31, 51, 41), np.int16), matrix, "drawn")
    labels.array[:20, 10:, 5:30] = 7
    mask = mask_from_node(label_map(scene, labels), pair.fixed)
    nearest = np.rint(apply(labels.lattice.ras_to_ijk, lattice_points(pair.fixed.lattice))).astype(int)
    within = np.all((nearest >= 0) & (nearest < [41, 51, 31]), axis=1)
    expected = np.zeros(len(nearest), bool)
    i, j, k = nearest[within].T
    expected[within] = labels.array[k, j, i] > 0
    assert expected.sum() > 50
    np.testing.assert_array_equal(mask.ravel(), expected)


def test_labels_for_the_worker_are_cut_to_what_is_labelled(scene, pair):
    (volume,) = label_volumes(label_map(scene, pair.fixed_mask), pair.fixed)
    assert volume.array.dtype == np.uint8
    assert volume.array.sum() == (pair.fixed_mask.array > 0).sum()
    assert volume.array.size < pair.fixed_mask.array.size
    inner = volume.array[1:-1, 1:-1, 1:-1]
    assert inner.sum() == volume.array.sum()
    assert all(inner.any(axis=axes)[[0, -1]].all() for axes in [(1, 2), (0, 2), (0, 1)])


def test_labels_and_inputs_share_no_memory(scene, pair):
    node = label_map(scene, pair.fixed_mask)
    before = volume_from_node(node).array
    for volume in label_volumes(node, pair.fixed):
        volume.array[:] = 3
    np.testing.assert_array_equal(volume_from_node(node).array, before)


def test_segments_that_share_a_label_map_are_told_apart(scene, image):
    node = segmentation(scene, image, BOXES)
    node.GetSegmentation().CollapseBinaryLabelmaps(True)
    assert node.GetSegmentation().GetNumberOfLayers() == 1
    right = [
        i for i in node.GetSegmentation().GetSegmentIDs() if node.GetSegmentation().GetSegment(i).GetName() == "right"
    ]
    np.testing.assert_array_equal(mask_from_node(node, image, right), expected(image, "right"))


def test_segmentation_of_surfaces_only_becomes_a_label_map_on_a_copy(scene, image):
    table = np.eye(4)
    table[:3, 3] = [0, 40, -100]
    ball = vtk.vtkSphereSource()
    centre = image.lattice.centre_ras
    ball.SetCenter(*(centre - table[:3, 3]))
    ball.SetRadius(60)
    ball.SetThetaResolution(48)
    ball.SetPhiResolution(48)
    ball.Update()
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "surfaces")
    node.SetSourceRepresentationToClosedSurface()
    node.AddSegmentFromClosedSurfaceRepresentation(ball.GetOutput(), "ball", [1.0, 0.0, 0.0])
    node.SetAndObserveTransformNodeID(linear_transform(scene, table).GetID())
    mask = mask_from_node(node, image)
    distance = np.linalg.norm(lattice_points(image.lattice) - centre, axis=1).reshape(mask.shape)
    assert mask[distance < 50].all()
    assert not mask[distance > 70].any()
    assert not node.GetSegmentation().ContainsRepresentation("Binary labelmap")


@pytest.mark.parametrize("kind", ["label map", "segmentation"])
def test_mask_below_a_non_linear_transform_is_refused_by_name(scene, pair, image, kind):
    """A gantry tilt, as Slicer's DICOM reader makes it: a grid transform above the volume."""
    node = label_map(scene, pair.fixed_mask) if kind == "label map" else segmentation(scene, image, BOXES)
    tilt = np.eye(4)
    tilt[1, 2] = np.tan(np.deg2rad(15))
    field = DisplacementField.from_matrix(tilt, covering_lattice(image.lattice, 50.0, 50.0))
    node.SetAndObserveTransformNodeID(node_from_field(field, scene, "acquisition").GetID())
    with pytest.raises(NodeError, match=rf"{node.GetName()}: found the non-linear transform acquisition .*harden it"):
        label_volumes(node, image)


def test_empty_label_map_is_refused(scene, image):
    node = label_map(scene, image.with_array(np.zeros(image.array.shape, np.uint8), "nothing"))
    with pytest.raises(NodeError, match="nothing: found an empty mask"):
        label_volumes(node, image)


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
        label_volumes(node, image)


def test_no_node_is_refused(image):
    with pytest.raises(NodeError, match="found no volume node"):
        mask_from_node(None, image)
