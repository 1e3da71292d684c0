"""A result applied to further images, label maps and segmentations: against the engine and Slicer's own resampling."""

import numpy as np
import pytest
import slicer
import vtk
from LungDeepRegLib.displacement_field import DisplacementField, lattice_points
from LungDeepRegLib.geometry import apply as mapped
from LungDeepRegLib.geometry import covering_lattice
from LungDeepRegLib.mrml import (
    NodeError,
    carry_over,
    field_from_node,
    mask_from_node,
    node_from_field,
    node_from_volume,
    prepare,
    volume_from_node,
)
from LungDeepRegLib.mrml.volumes import image_data, vtk_matrix
from LungDeepRegLib.volume import Volume
from LungDeepRegLib.worker.tasks import Tasks
from scipy.ndimage import binary_erosion
from scipy.spatial.transform import Rotation
from vtk.util.numpy_support import vtk_to_numpy

from Testing.slicer.mrml_cases import TABLE, below, everything, fail_after, hierarchy_of, state, window
from Testing.slicer.scene import from_world, linear_transform


@pytest.fixture
def transform(scene, registration):
    return node_from_field(registration.field, scene)


@pytest.fixture
def fixed(nodes):
    return nodes[0]


def applied(nodes, transform, reference):
    prepared = prepare(nodes, transform, reference)
    answer = Tasks({}).warp(prepared.request, lambda *_: None) if prepared.request else []
    return carry_over(prepared, answer)


def lung_labels(pair) -> Volume:
    """Two labels on the moving image's voxels, one of them large."""
    array = (pair.moving_mask.array > 0).astype(np.int16) * 3
    array[:, :, :20][array[:, :, :20] > 0] = 7
    return pair.moving.with_array(array, "lobes")


# Images


def test_volume_is_the_moving_image_at_phi_on_the_fixed_voxels(scene, nodes, transform, registration, pair):
    fixed, moving = nodes
    made = applied([moving], transform, fixed)
    (node,) = made.nodes
    assert made.warnings == ()
    assert node.GetName() == "phantom inhale in phantom exhale"
    volume = volume_from_node(node)
    assert volume.lattice == pair.fixed.lattice
    assert volume.array.dtype == pair.moving.array.dtype
    np.testing.assert_allclose(volume.array, registration.warped.array, atol=0.51)  # whole HU


def test_volume_below_linear_transforms(scene, nodes, transform, registration):
    for node in nodes:
        below(scene, node, TABLE)
    before = [state(node) for node in nodes]
    (node,) = applied([nodes[1]], transform, nodes[0]).nodes
    np.testing.assert_allclose(volume_from_node(node).array, registration.warped.array, atol=1.01)
    assert node.GetParentTransformNode() is None
    assert [state(node) for node in nodes] == before


def test_volume_agrees_with_slicers_own_resampling(scene, nodes, transform, pair):
    """vtkImageReslice by the published transform, as Slicer's own resampling does it."""
    fixed, moving = nodes
    (node,) = applied([moving], transform, fixed).nodes
    chain, to_moving = vtk.vtkGeneralTransform(), vtk.vtkGeneralTransform()
    transform.GetTransformFromWorld(to_moving)
    chain.PostMultiply()
    chain.Concatenate(vtk_matrix(pair.fixed.ijk_to_ras))
    chain.Concatenate(to_moving)
    chain.Concatenate(vtk_matrix(pair.moving.lattice.ras_to_ijk))
    reslice = vtk.vtkImageReslice()
    reslice.SetInputData(image_data(pair.moving.array.astype(np.float32)))
    reslice.SetResliceTransform(chain)
    reslice.SetInterpolationModeToLinear()
    reslice.SetBackgroundLevel(-1024)
    reslice.SetOutputOrigin(0, 0, 0)
    reslice.SetOutputSpacing(1, 1, 1)
    k, j, i = (n - 1 for n in pair.fixed.array.shape)
    reslice.SetOutputExtent(0, i, 0, j, 0, k)
    reslice.Update()
    theirs = vtk_to_numpy(reslice.GetOutput().GetPointData().GetScalars()).reshape(pair.fixed.array.shape)
    ours = volume_from_node(node).array
    interior = binary_erosion(theirs > -1024, iterations=2)
    assert interior.mean() > 0.1
    assert np.abs(ours - theirs)[interior].max() < 1.0
    assert theirs[interior].std() > 100


def test_volume_keeps_type_window_and_colors(scene, nodes, transform, pair):
    node = node_from_volume(Volume(pair.moving.array.astype(np.float32) / 7, pair.moving.ijk_to_ras, "dose"), scene)
    display = node.GetDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(-20, 35)
    display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeIron")
    display.SetInterpolate(0)
    (made,) = applied([node], transform, nodes[0]).nodes
    assert volume_from_node(made).array.dtype == np.float32
    assert window(made) == (-20, 35)
    assert made.GetDisplayNode().GetColorNodeID() == "vtkMRMLColorTableNodeIron"
    assert made.GetDisplayNode().GetInterpolate() == 0
    assert made.GetDisplayNodeID() != node.GetDisplayNodeID()


def test_label_map_by_nearest_neighbour_with_its_colors(scene, nodes, transform, registration, pair):
    labels = lung_labels(pair)
    node = node_from_volume(labels, scene, "vtkMRMLLabelMapVolumeNode")
    node.GetDisplayNode().SetAndObserveColorNodeID("vtkMRMLColorTableNodeRandom")
    (made,) = applied([node], transform, nodes[0]).nodes
    expected, _ = registration.field.warp(labels, pair.fixed.lattice, fill=0, mode="nearest")
    np.testing.assert_array_equal(volume_from_node(made).array, expected.array)
    assert set(np.unique(expected.array)) == {0, 3, 7}
    assert made.IsA("vtkMRMLLabelMapVolumeNode")
    assert made.GetDisplayNode().GetColorNodeID() == "vtkMRMLColorTableNodeRandom"


def test_image_that_does_not_reach_the_fixed_one_is_made_with_a_warning(scene, nodes, transform, pair):
    away = np.array(pair.moving.ijk_to_ras)
    away[:3, 3] += 5000
    made = applied([node_from_volume(Volume(pair.moving.array, away, "abdomen"), scene)], transform, nodes[0])
    assert made.warnings == ("abdomen: nothing of it reaches the fixed image through this transform",)
    assert (volume_from_node(made.nodes[0]).array == -1024).all()


def test_results_lie_beside_the_fixed_image_in_the_order_asked_for(scene, nodes, transform, pair):
    hierarchy = hierarchy_of(scene)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "4D CT")
    hierarchy.CreateItem(study, nodes[0])
    labels = node_from_volume(lung_labels(pair), scene, "vtkMRMLLabelMapVolumeNode")
    made = applied([labels, nodes[1]], transform, nodes[0]).nodes
    assert [node.GetName() for node in made] == ["lobes in phantom exhale", "phantom inhale in phantom exhale"]
    assert {hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) for node in made} == {study}


# Segmentations


def segmentation(scene, pair):
    """Lungs left and right in one layer, a band across both in another, and a segment of nothing."""
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "anatomy")
    node.CreateDefaultDisplayNodes()
    labels = lung_labels(pair).array
    band = np.zeros_like(labels)
    band[8:18] = labels[8:18] > 0
    for name, mask, color in (
        ("left", labels == 3, (1.0, 0.0, 0.0)),
        ("right", labels == 7, (0.0, 1.0, 0.0)),
        ("band", band > 0, (0.0, 0.0, 1.0)),
        ("nothing", np.zeros(labels.shape, bool), (0.5, 0.5, 0.5)),
    ):
        image = slicer.vtkOrientedImageData()
        image.DeepCopy(image_data(mask.astype(np.uint8)))
        image.SetGeometryFromImageToWorldMatrix(vtk_matrix(pair.moving.ijk_to_ras))
        node.AddSegmentFromBinaryLabelmapRepresentation(image, name, color)
    segments = node.GetSegmentation()
    segments.CollapseBinaryLabelmaps(False)
    band_id = segments.GetSegmentIdBySegmentName("band")
    segments.GetSegment(band_id).SetTag("DICOM.note", "seen twice")
    segments.GetSegment(band_id).SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), TERMINOLOGY)
    node.GetDisplayNode().SetSegmentOpacity2DFill(band_id, 0.25)
    node.GetDisplayNode().SetSegmentVisibility(segments.GetSegmentIdBySegmentName("left"), False)
    return node


pytestmark = pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")  # nor is it written to

TERMINOLOGY = "Segmentation category and type~SCT^85756007^Tissue~SCT^39607008^Lung~^^~Anatomic codes~^^~^^"


def tag(segment, name: str) -> str:
    value = vtk.reference("")
    segment.GetTag(name, value)
    return str(value)


def described(node) -> list[tuple]:
    """What users read of segments."""
    display, segmentation = node.GetDisplayNode(), node.GetSegmentation()
    found = []
    for segment_id in segmentation.GetSegmentIDs():
        segment = segmentation.GetSegment(segment_id)
        found.append(
            (
                segment_id,
                segment.GetName(),
                segment.GetColor(),
                tag(segment, "DICOM.note"),
                tag(segment, slicer.vtkSegment.GetTerminologyEntryTagName()),
                display.GetSegmentOpacity2DFill(segment_id),
                display.GetSegmentVisibility(segment_id),
            )
        )
    return found


def away_from_ties(field, pair) -> np.ndarray:
    """Which of the fixed image's voxels are taken from well within a voxel of the moving one, bool ``(K, J, I)``."""
    moved = mapped(pair.moving.lattice.ras_to_ijk, field(lattice_points(pair.fixed.lattice)))
    off = np.abs(moved - np.rint(moved)).max(axis=1)
    return (off < 0.499).reshape(pair.fixed.array.shape)


def test_segmentation_keeps_all_but_the_shape(scene, nodes, transform, registration, pair):
    node = segmentation(scene, pair)
    layers = node.GetSegmentation().GetNumberOfLayers()
    assert layers > 1  # what overlaps lies apart
    made = applied([node], transform, nodes[0])
    (result,) = made.nodes
    assert made.warnings == ()
    assert described(result) == described(node)
    assert [entry[1] for entry in described(result)] == ["left", "right", "band", "nothing"]
    assert len(result.GetSegmentation().GetSegmentIDs()) == 4
    for segment_id, name, *_ in described(node):
        if name == "nothing":
            continue
        mask = mask_from_node(node, pair.moving, [segment_id])
        expected, _ = registration.field.warp(
            pair.moving.with_array(mask.astype(np.uint8)), pair.fixed.lattice, fill=0, mode="nearest"
        )
        assert expected.array.any()
        sure = away_from_ties(registration.field, pair)
        assert sure.mean() > 0.99
        found = mask_from_node(result, pair.fixed, [segment_id])
        np.testing.assert_array_equal(found[sure], expected.array[sure] > 0)


def test_overlapping_segments_still_overlap_and_separate_ones_still_share(scene, nodes, transform, pair):
    node = segmentation(scene, pair)
    (result,) = applied([node], transform, nodes[0]).nodes
    segments = result.GetSegmentation()
    ids = {segments.GetSegment(i).GetName(): i for i in segments.GetSegmentIDs()}
    band, left, right = (mask_from_node(result, pair.fixed, [ids[name]]) for name in ("band", "left", "right"))
    assert (band & left).any()
    assert (band & right).any()
    assert not (left & right).any()
    assert segments.GetNumberOfLayers() <= node.GetSegmentation().GetNumberOfLayers()
    layers = [segments.GetSegmentIDsForLayer(n) for n in range(segments.GetNumberOfLayers())]
    assert any({ids["left"], ids["right"]} <= set(layer) for layer in layers)


def test_segmentation_below_a_linear_transform(scene, nodes, transform, pair):
    node, moved = segmentation(scene, pair), segmentation(scene, pair)
    moved.GetSegmentation().ApplyLinearTransform(inverse(TABLE))
    moved.SetAndObserveTransformNodeID(linear_transform(scene, TABLE).GetID())
    plain, same = applied([node, moved], transform, nodes[0]).nodes
    assert same.GetParentTransformNode() is None
    agree = mask_from_node(plain, pair.fixed) == mask_from_node(same, pair.fixed)
    assert agree.mean() > 0.999  # the table's matrix is turned back and forth


def inverse(matrix):
    transform = vtk.vtkTransform()
    transform.SetMatrix(vtk_matrix(np.linalg.inv(matrix)))
    return transform


def test_segmentation_and_its_source_share_nothing(scene, nodes, transform, pair):
    node = segmentation(scene, pair)
    before = [mask_from_node(node, pair.moving, [i]) for i in list(node.GetSegmentation().GetSegmentIDs())[:3]]
    (result,) = applied([node], transform, nodes[0]).nodes
    for segment_id in list(result.GetSegmentation().GetSegmentIDs()):
        result.GetSegmentation().GetSegment(segment_id).SetName("changed")
        result.GetSegmentation().ClearSegment(segment_id)
    after = [mask_from_node(node, pair.moving, [i]) for i in list(node.GetSegmentation().GetSegmentIDs())[:3]]
    np.testing.assert_array_equal(before, after)
    assert "changed" not in [entry[1] for entry in described(node)]


def test_segment_that_does_not_reach_the_fixed_image_is_named(scene, nodes, transform, pair):
    node = segmentation(scene, pair)
    away = np.eye(4)
    away[:3, 3] = 5000
    node.SetAndObserveTransformNodeID(linear_transform(scene, away).GetID())
    made = applied([node], transform, nodes[0])
    assert made.warnings == ("anatomy: nothing of left, right, band reaches the fixed image through this transform",)
    assert made.nodes[0].GetSegmentation().GetNumberOfSegments() == 4


# Transforms of any kind


def rotation() -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", (5, -4, 12), degrees=True).as_matrix()
    matrix[:3, 3] = [12, -20, 8]
    return matrix


def spline(scene):
    """A B-spline transform node, from parent."""
    shape = (8, 8, 8)
    displacement = np.random.default_rng(4).normal(0, 8, (*shape, 3))
    grid = image_data(displacement)
    grid.SetOrigin(-250, -250, -250)
    grid.SetSpacing(70, 70, 70)
    transform = slicer.vtkOrientedBSplineTransform()
    transform.SetCoefficientData(grid)
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode", "spline")
    node.SetAndObserveTransformFromParent(transform)
    return node


def from_file(scene, field, path):
    """A grid transform as Slicer reads it from a file."""
    storage = slicer.vtkMRMLTransformStorageNode()
    storage.SetFileName(str(path))
    assert storage.WriteData(node_from_field(field, scene))
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode", "read")
    assert storage.ReadData(node)
    return node


@pytest.mark.parametrize("kind", ["linear", "B-spline", "file", "chain"])
def test_transforms_made_elsewhere(scene, nodes, registration, pair, tmp_path, kind):
    if kind == "linear":
        transform = linear_transform(scene, rotation())
    elif kind == "B-spline":
        transform = spline(scene)
    elif kind == "file":
        transform = from_file(scene, registration.field, tmp_path / "transform.h5")
    else:
        transform = node_from_field(registration.field, scene)
        transform.SetAndObserveTransformNodeID(linear_transform(scene, rotation()).GetID())
    (node,) = applied([nodes[1]], transform, nodes[0]).nodes
    points = mapped(pair.fixed.ijk_to_ras, np.argwhere(np.ones(pair.fixed.array.shape))[:, ::-1].astype(float))
    index = mapped(pair.moving.lattice.ras_to_ijk, from_world(transform, points))
    result = volume_from_node(node).array.ravel()
    within = np.all((index > 1) & (index < np.array(pair.moving.array.shape[::-1]) - 2), axis=1)
    assert within.sum() > 3000
    expected = trilinear(pair.moving.array, index[within])
    difference = np.abs(result[within] - expected)
    # Between vectors every 3 mm (5 mm and linear in a file that Slicer reads as cubic) the map differs a little.
    assert np.median(difference) < 1.0
    assert np.percentile(difference, 99) < (1.0 if kind == "linear" else 12.0)


def trilinear(array, index):
    low = np.floor(index).astype(int)
    part = index - low
    total = np.zeros(len(index))
    for corner in np.ndindex(2, 2, 2):
        weight = np.prod(np.where(corner, part, 1 - part), axis=1)
        i, j, k = (low + corner).T
        total += weight * array[k, j, i]
    return total


def test_linear_transform_is_exact_far_from_few_vectors(scene, pair):
    field = field_from_node(linear_transform(scene, np.linalg.inv(rotation())), pair.fixed.lattice)
    assert field.vectors.size < 30_000
    corners = np.random.default_rng(0).uniform(-1, 1, (100, 3))
    points = mapped(pair.fixed.lattice.grid_to_ras, corners)
    np.testing.assert_allclose(field(points), mapped(rotation(), points), atol=1e-3)


# Refusals and failures


@pytest.mark.parametrize("class_name", ["vtkMRMLVectorVolumeNode", "vtkMRMLMarkupsROINode", "vtkMRMLTableNode"])
def test_other_kinds_are_refused_by_name(scene, nodes, transform, class_name):
    node = scene.AddNewNodeByClass(class_name, "odd one")
    with pytest.raises(NodeError, match=r"odd one: found a .* node, expected a scalar volume, label map, segm"):
        prepare([node], transform, nodes[0])


def test_nothing_to_apply_to_is_refused(nodes, transform):
    with pytest.raises(NodeError, match="transform: found nothing to apply it to"):
        prepare([], transform, nodes[0])
    with pytest.raises(NodeError, match="found no transform node"):
        prepare([nodes[1]], None, nodes[0])
    with pytest.raises(NodeError, match="found no volume node"):
        prepare([nodes[1]], transform, None)
    with pytest.raises(NodeError, match="phantom exhale: found the fixed image itself, expected nodes of the moving"):
        prepare(list(nodes), transform, nodes[0])


@pytest.mark.parametrize("kind", ["volume", "segmentation", "model", "markups"])
def test_nodes_below_non_linear_transforms_are_refused_by_name(scene, nodes, transform, pair, kind):
    tilt = np.eye(4)
    tilt[1, 2] = np.tan(np.deg2rad(15))
    field = DisplacementField.from_matrix(tilt, covering_lattice(pair.fixed.lattice, 50.0, 50.0))
    sphere = vtk.vtkSphereSource()
    sphere.Update()
    if kind == "volume":
        node = nodes[1]
    elif kind == "segmentation":
        node = segmentation(scene, pair)
    elif kind == "model":
        node = scene.AddNewNodeByClass("vtkMRMLModelNode", "airways")
        node.SetAndObserveMesh(sphere.GetOutput())
    else:
        node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "branchings")
        node.AddControlPoint(1, 2, 3)
    node.SetAndObserveTransformNodeID(node_from_field(field, scene, "tilt").GetID())
    with pytest.raises(NodeError, match=rf"{node.GetName()}: found the non-linear transform tilt above it"):
        prepare([node], transform, nodes[0])


def test_fixed_image_that_went_or_moved_meanwhile_is_refused(scene, nodes, transform):
    prepared = prepare([nodes[1]], transform, nodes[0])
    answer = Tasks({}).warp(prepared.request, lambda *_: None)
    nodes[0].SetAndObserveTransformNodeID(linear_transform(scene, TABLE).GetID())
    before = everything(scene)
    with pytest.raises(NodeError, match="phantom exhale: found that it was moved or changed meanwhile"):
        carry_over(prepared, answer)
    assert everything(scene) == before
    scene.RemoveNode(nodes[0])
    with pytest.raises(NodeError, match="phantom exhale: found that it was removed"):
        carry_over(prepared, answer)


def test_what_became_of_the_source_meanwhile_does_not_matter(scene, nodes, transform, pair):
    node = segmentation(scene, pair)
    expected = described(node)
    prepared = prepare([node, nodes[1]], transform, nodes[0])
    answer = Tasks({}).warp(prepared.request, lambda *_: None)
    node.GetSegmentation().RemoveAllSegments()
    scene.RemoveNode(node)
    scene.RemoveNode(nodes[1])
    made = carry_over(prepared, answer).nodes
    assert described(made[0]) == expected
    assert made[1].GetName() == "phantom inhale in phantom exhale"


@pytest.mark.parametrize("steps", range(1, 9))
def test_failure_half_way_leaves_nothing(scene, nodes, transform, pair, monkeypatch, steps):
    sphere = vtk.vtkSphereSource()
    sphere.Update()
    model = scene.AddNewNodeByClass("vtkMRMLModelNode", "airways")
    model.SetAndObserveMesh(sphere.GetOutput())
    sources = [model, segmentation(scene, pair), nodes[1]]
    prepared = prepare(sources, transform, nodes[0])
    answer = Tasks({}).warp(prepared.request, lambda *_: None)
    before = everything(scene)

    fail_after(steps, monkeypatch)
    with pytest.raises(MemoryError):
        carry_over(prepared, answer)
    assert everything(scene) == before
