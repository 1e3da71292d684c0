"""A registration's nodes in the scene: what they hold, how they look, where they are."""

import dataclasses

import numpy as np
import pytest
import slicer
from LungDeepRegLib.intensity import Intensity
from LungDeepRegLib.metrics import jacobian_determinant
from LungDeepRegLib.mrml import NodeError, node_from_volume, publish, volume_from_node
from LungDeepRegLib.volume import Volume

from Testing.slicer.scene import from_world, linear_transform


def window(node) -> tuple[float, float]:
    display = node.GetDisplayNode()
    return display.GetWindowLevelMin(), display.GetWindowLevelMax()


def state(node) -> tuple:
    """All that a user could see change in an input."""
    volume, display = volume_from_node(node), node.GetDisplayNode()
    shown = (*window(node), display.GetColorNodeID(), display.GetAutoWindowLevel())
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    parent = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node))
    return (
        volume.array.tobytes(), volume.ijk_to_ras.tobytes(), node.GetName(), node.GetTransformNodeID(), shown, parent
    )  # fmt: skip


def test_nodes_hold_the_registration(nodes, registration):
    published = publish(registration, *nodes)
    warped, coverage = volume_from_node(published.warped), volume_from_node(published.coverage)
    np.testing.assert_array_equal(warped.array, registration.warped.array)
    np.testing.assert_array_equal(coverage.array > 0, registration.covered)
    np.testing.assert_array_equal(volume_from_node(published.jacobian).array, jacobian_determinant(registration.field))
    fixed = volume_from_node(nodes[0])
    for node in (published.warped, published.difference, published.coverage):
        assert volume_from_node(node).lattice == fixed.lattice
    assert published.coverage.IsA("vtkMRMLLabelMapVolumeNode")


def test_difference_is_warped_minus_fixed_where_covered(nodes, registration):
    warped = registration.warped.array.copy()
    registration = dataclasses.replace(registration, warped=registration.warped.with_array(warped))
    scalars = nodes[0].GetImageData().GetPointData().GetScalars()
    inner = np.flatnonzero(registration.covered)[100:102]
    scalars.SetTuple1(inner[0], -2048)  # as scanners fill what is beyond their cone
    warped.ravel()[inner[1]] = -2048
    fixed = volume_from_node(nodes[0]).array
    difference = volume_from_node(publish(registration, *nodes).difference).array
    clamped = [np.maximum(image.astype(np.float64), -1024) for image in (registration.warped.array, fixed)]
    np.testing.assert_allclose(difference, np.where(registration.covered, clamped[0] - clamped[1], 0), atol=1e-3)
    assert not registration.covered.all()
    assert np.abs(difference).max() > 100


@pytest.mark.parametrize(
    ("modalities", "stored", "expected"),
    [(("mri", "mri"), 400, 300.0), (("ct", "mri"), 100, 0.25)],
    ids=["two MRIs", "CT and MRI"],
)
def test_difference_of_other_modalities(nodes, registration, pair, modalities, stored, expected):
    fixed, moving = (Intensity(name, 0.0, high, 0.0, "") for name, high in zip(modalities, (1000, 2000), strict=True))
    other = dataclasses.replace(
        registration,
        fixed_intensity=fixed,
        moving_intensity=moving,
        warped=pair.fixed.with_array(np.full(pair.fixed.array.shape, 700, np.float32)),
    )
    nodes[0].GetImageData().GetPointData().GetScalars().Fill(stored)
    difference = volume_from_node(publish(other, *nodes).difference).array
    np.testing.assert_allclose(difference[registration.covered], expected, atol=1e-6)


def test_transform_is_phi_from_parent_with_both_roles(nodes, registration):
    fixed, moving = nodes
    transform = publish(registration, fixed, moving).transform
    points = np.random.default_rng(3).uniform(-80, 80, (200, 3))
    np.testing.assert_allclose(from_world(transform, points), registration.field(points), atol=1e-3)
    assert transform.GetNodeReferenceID("spatialRegistrationFixed") == fixed.GetID()
    assert transform.GetNodeReferenceID("spatialRegistrationMoving") == moving.GetID()


def test_warped_looks_like_the_fixed_node(nodes, registration):
    fixed, _ = nodes
    fixed.GetDisplayNode().AutoWindowLevelOff()
    fixed.GetDisplayNode().SetWindowLevelMinMax(-1350, 150)
    fixed.GetDisplayNode().SetAndObserveColorNodeID("vtkMRMLColorTableNodeInvertedGrey")
    warped = publish(registration, *nodes).warped
    assert window(warped) == (-1350, 150)
    assert not warped.GetDisplayNode().GetAutoWindowLevel()
    assert warped.GetDisplayNode().GetColorNodeID() == "vtkMRMLColorTableNodeInvertedGrey"


def test_fixed_node_without_a_display_is_no_trouble(nodes, registration):
    nodes[0].RemoveAllDisplayNodeIDs()
    assert publish(registration, *nodes).warped.GetDisplayNode() is not None


def test_difference_and_jacobian_have_diverging_colours_and_symmetric_windows(nodes, registration):
    published = publish(registration, *nodes)
    low, high = window(published.difference)
    assert low == -high
    difference = np.abs(volume_from_node(published.difference).array[registration.covered])
    assert np.mean(difference > high) == pytest.approx(0.01, abs=0.005)
    assert window(published.jacobian) == (0.0, 2.0)
    for node in (published.difference, published.jacobian):
        colors = node.GetDisplayNode().GetColorNode().GetLookupTable()
        (r0, _, b0), (r1, _, b1) = colors.GetTableValue(0)[:3], colors.GetTableValue(255)[:3]
        assert b0 > r0
        assert r1 > b1


def test_images_that_agree_have_a_window_all_the_same(scene, nodes, registration, pair):
    same = dataclasses.replace(registration, warped=pair.fixed, covered=np.ones(pair.fixed.array.shape, bool))
    low, high = window(publish(same, *nodes).difference)
    assert low < 0 < high


def test_outputs_lie_beside_the_fixed_node(scene, nodes, registration):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "4D CT")
    hierarchy.CreateItem(study, nodes[0])
    published = vars(publish(registration, *nodes)).values()
    assert {hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) for node in published} == {study}


def test_outputs_that_the_application_filed_already_are_moved(scene, nodes, registration, monkeypatch):
    """Slicer's desktop application gives each new node a place in the hierarchy by itself."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "4D CT")
    hierarchy.CreateItem(study, nodes[0])

    def file_it(caller, event):
        last = scene.GetNthNode(scene.GetNumberOfNodes() - 1)
        if last.IsA("vtkMRMLVolumeNode") and not hierarchy.GetItemByDataNode(last):
            hierarchy.CreateItem(hierarchy.GetSceneItemID(), last)

    tag = scene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, file_it)
    published = publish(registration, *nodes)
    scene.RemoveObserver(tag)
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(published.warped)) == study
    children = hierarchy.GetNumberOfItemChildren(study)
    assert children == 6


def test_names_say_from_where_to_where_and_stay_apart(nodes, registration):
    first, second = (publish(registration, *nodes) for _ in range(2))
    assert first.warped.GetName() == "phantom inhale to phantom exhale warped"
    assert first.transform.GetName() == "phantom inhale to phantom exhale transform"
    names = [node.GetName() for published in (first, second) for node in vars(published).values()]
    assert len(set(names)) == len(names)


def test_inputs_are_not_changed(nodes, registration):
    before = [state(node) for node in nodes]
    publish(registration, *nodes)
    assert [state(node) for node in nodes] == before


def test_outputs_of_inputs_below_transforms_are_in_the_world(scene, registration, pair):
    """The nodes' own geometry is elsewhere; a linear transform brings them to where they were registered."""
    table = np.eye(4)
    table[:3, 3] = [0, 30, -200]
    place = linear_transform(scene, table)
    below = []
    for volume in (pair.fixed, pair.moving):
        node = node_from_volume(Volume(volume.array, np.linalg.inv(table) @ volume.ijk_to_ras, volume.name), scene)
        node.SetAndObserveTransformNodeID(place.GetID())
        below.append(node)
    before = [state(node) for node in below]
    published = publish(registration, *below)
    assert published.warped.GetParentTransformNode() is None
    assert volume_from_node(published.warped).lattice == pair.fixed.lattice
    points = np.random.default_rng(3).uniform(-80, 80, (50, 3))
    np.testing.assert_allclose(from_world(published.transform, points), registration.field(points), atol=1e-3)
    assert [state(node) for node in below] == before


def test_fixed_node_that_is_elsewhere_by_now_is_refused(scene, nodes, registration):
    shift = np.eye(4)
    shift[:3, 3] = 50
    nodes[0].SetAndObserveTransformNodeID(linear_transform(scene, shift).GetID())
    count = scene.GetNumberOfNodes()
    with pytest.raises(NodeError, match="phantom exhale: found other voxels than those that were registered"):
        publish(registration, *nodes)
    assert scene.GetNumberOfNodes() == count
