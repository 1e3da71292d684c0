"""Label maps and segmentations to masks."""

import numpy as np
import pytest
import slicer
import vtk
from LungDeepRegLib.displacement_field import DisplacementField, lattice_points
from LungDeepRegLib.geometry import apply, covering_lattice
from LungDeepRegLib.lung_mask import mask_on
from LungDeepRegLib.mrml import (
    NodeError,
    label_volumes,
    mask_from_node,
    node_from_field,
    node_from_volume,
)
from LungDeepRegLib.mrml.masks import BINARY_LABELMAP
from LungDeepRegLib.mrml.volumes import image_data, voxels, vtk_matrix
from LungDeepRegLib.volume import Volume, VolumeError
from LungDeepRegLib.worker.exchange import load, save
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


def test_label_map_is_handed_over_as_it_lies_in_memory(scene, pair):
    node = label_map(scene, pair.fixed_mask)
    (volume,) = label_volumes(node, pair.fixed)
    np.testing.assert_array_equal(volume.array, pair.fixed_mask.array)
    assert np.shares_memory(volume.array, voxels(node.GetImageData()))
    assert not volume.array.flags.writeable


@pytest.mark.parametrize("shared", [True, False])
def test_segments_are_handed_over_as_they_lie_in_memory(scene, image, shared):
    """A label map that they share but once, with the values that are wanted of it."""
    node = segmentation(scene, image, BOXES)
    contents = node.GetSegmentation()
    if shared:
        contents.CollapseBinaryLabelmaps(True)
    segments = [contents.GetSegment(segment_id) for segment_id in contents.GetSegmentIDs()]
    found = label_volumes(node, image)
    assert [entry["labels"].name for entry in found] == (["left, right"] if shared else ["left", "right"])
    assert [value for entry in found for value in entry["values"]] == [s.GetLabelValue() for s in segments]
    for entry, segment in zip(found, segments, strict=False):
        array = entry["labels"].array
        assert np.shares_memory(array, voxels(segment.GetRepresentation(BINARY_LABELMAP)))
        assert not array.flags.writeable
    (only,) = label_volumes(node, image, [contents.GetSegmentIDs()[1]])
    assert only["values"] == [segments[1].GetLabelValue()]


@pytest.mark.parametrize("shared", [True, False])
def test_what_the_worker_gets_makes_the_same_mask_there(scene, image, shared, tmp_path):
    node = segmentation(scene, image, BOXES)
    if shared:
        node.GetSegmentation().CollapseBinaryLabelmaps(True)
    save(label_volumes(node, image), tmp_path / "request")
    mask = mask_on(load(tmp_path / "request"), image)
    np.testing.assert_array_equal(mask, expected(image, "left", "right"))


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


def test_empty_labels_are_refused(scene, image):
    """Where the mask is made, which takes time; segments without any voxels at once."""
    empty = image.with_array(np.zeros(image.array.shape, np.uint8), "nothing")
    node = label_map(scene, empty)
    with pytest.raises(NodeError, match="nothing: found an empty mask on the voxels of phantom exhale"):
        mask_from_node(node, image)
    with pytest.raises(VolumeError, match="nothing: found an empty mask on the voxels of phantom exhale"):
        mask_on(label_volumes(node, image), image)
    lobes = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "lobes")
    lobes.GetSegmentation().AddEmptySegment("left")
    with pytest.raises(NodeError, match="lobes: found an empty mask on the voxels of phantom exhale"):
        label_volumes(lobes, image)


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
