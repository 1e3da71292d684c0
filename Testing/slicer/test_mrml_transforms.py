"""Displacement fields to transform nodes and back: the direction, proven with Slicer's own code and with SimpleITK."""

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
import torch
import vtk
from LungDeepRegLib.displacement_field import DisplacementField, lattice_points
from LungDeepRegLib.geometry import LPS_TO_RAS, Lattice, apply
from LungDeepRegLib.image_io import read_transform
from LungDeepRegLib.mrml import NodeError, field_from_node, node_from_field, node_from_volume, volume_from_node
from LungDeepRegLib.volume import Volume
from LungDeepRegLib.warp import warp
from scipy.spatial.transform import Rotation

from Testing.slicer.scene import from_world, linear_transform


def points_within(lattice: Lattice, count: int, reach: float = 1.0) -> np.ndarray:
    return apply(lattice.grid_to_ras, np.random.default_rng(1).uniform(-reach, reach, (count, 3)))


def saved(node, path) -> None:
    storage = slicer.vtkMRMLTransformStorageNode()
    storage.SetFileName(str(path))
    assert storage.WriteData(node)


def test_constant_displacement_goes_from_parent(scene):
    lattice = Lattice((3, 3, 3), np.diag([10.0, 10.0, 10.0, 1.0]))
    node = node_from_field(DisplacementField(np.tile([1.0, 2.0, 3.0], (3, 3, 3, 1)), lattice), scene)
    assert node.IsA("vtkMRMLTransformNode")
    assert node.GetTransformFromParent().TransformPoint(5, 5, 5) == pytest.approx((6, 7, 8))
    assert node.GetTransformToParent().TransformPoint(5, 5, 5) == pytest.approx((4, 3, 2), abs=0.02)


def test_from_parent_is_phi(scene, registration):
    phi = registration.field
    node = node_from_field(phi, scene)
    points = points_within(phi.lattice, 2000)
    np.testing.assert_allclose(from_world(node, points), phi(points), atol=1e-3)


def test_beyond_the_lattice_both_go_on_at_the_border_value(scene, registration):
    phi = registration.field
    points = points_within(phi.lattice, 500, reach=1.4)
    np.testing.assert_allclose(from_world(node_from_field(phi, scene), points), phi(points), atol=1e-3)


def test_field_there_and_back(scene, registration, pair):
    back = field_from_node(node_from_field(registration.field, scene), pair.fixed.lattice)
    np.testing.assert_array_equal(back.vectors, registration.field.vectors)
    assert back.lattice == registration.field.lattice


def test_left_handed_field_there_and_back(scene):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("zyx", (30, 20, 10), degrees=True).as_matrix() * [-5.0, 6.0, 7.0]
    rng = np.random.default_rng(2)
    field = DisplacementField(rng.normal(0, 3, (4, 5, 6, 3)), Lattice((4, 5, 6), matrix))
    node = node_from_field(field, scene)
    points = points_within(field.lattice, 300)
    np.testing.assert_allclose(from_world(node, points), field(points), atol=1e-4)
    back = field_from_node(node, field.lattice)
    np.testing.assert_array_equal(back.vectors, field.vectors)
    np.testing.assert_allclose(back.lattice.ijk_to_ras, matrix, atol=1e-12)


def test_scaled_grid_is_read_in_mm(scene, registration, pair):
    node = node_from_field(registration.field, scene)
    grid = node.GetTransformFromParentAs("vtkOrientedGridTransform")
    grid.SetDisplacementScale(0.5)
    grid.SetDisplacementShift(2.0)
    back = field_from_node(node, pair.fixed.lattice)
    np.testing.assert_allclose(back.vectors, registration.field.vectors * 0.5 + 2.0, atol=1e-5)
    points = points_within(pair.fixed.lattice, 200)
    np.testing.assert_allclose(back(points), from_world(node, points), atol=1e-3)


def test_linear_transform_of_somebody_else(scene, pair):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("z", 10, degrees=True).as_matrix()
    matrix[:3, 3] = [30, -20, 10]
    node = linear_transform(scene, matrix)  # to parent: from the moving image to the fixed one
    phi = field_from_node(node, pair.fixed.lattice)
    points = points_within(pair.fixed.lattice, 200)
    np.testing.assert_allclose(phi(points), apply(np.linalg.inv(matrix), points), atol=1e-3)


def test_grid_that_is_stored_the_other_way_round(scene, registration, pair):
    forward = node_from_field(registration.field, scene)
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode", "modelling")
    node.SetAndObserveTransformToParent(forward.GetTransformFromParentAs("vtkOrientedGridTransform"))
    psi = field_from_node(node, pair.fixed.lattice)
    points = points_within(pair.fixed.lattice, 200, reach=0.7)
    np.testing.assert_allclose(registration.field(psi(points)), points, atol=0.3)


def test_chain_of_transforms_is_followed(scene, registration, pair):
    shift = np.eye(4)
    shift[:3, 3] = [5, 6, 7]
    outer = linear_transform(scene, shift)
    node = node_from_field(registration.field, scene)
    node.SetAndObserveTransformNodeID(outer.GetID())
    chained = field_from_node(node, pair.fixed.lattice)
    points = points_within(pair.fixed.lattice, 200)
    np.testing.assert_allclose(chained(points), registration.field(points - shift[:3, 3]), atol=0.2)


@pytest.mark.parametrize("extension", [".h5", ".nrrd", ".nii.gz", ".mha"])
def test_file_saved_by_slicer_holds_the_same_map(scene, registration, pair, tmp_path, extension):
    phi, path = registration.field, tmp_path / f"transform{extension}"
    saved(node_from_field(phi, scene), path)
    read = read_transform(path, pair.fixed.lattice)
    assert read.lattice == phi.lattice
    np.testing.assert_allclose(read.vectors, phi.vectors, atol=1e-4)


def test_file_saved_by_slicer_is_phi_in_lps_for_simpleitk(scene, registration, pair, tmp_path):
    phi, path = registration.field, tmp_path / "transform.h5"
    saved(node_from_field(phi, scene), path)
    transform = sitk.ReadTransform(str(path))
    points = points_within(pair.fixed.lattice, 500)
    mapped = np.array([transform.TransformPoint(point) for point in apply(LPS_TO_RAS, points).tolist()])
    np.testing.assert_allclose(apply(LPS_TO_RAS, mapped), phi(points), atol=1e-3)


def test_simpleitk_resamples_to_the_warped_volume(scene, registration, pair, tmp_path):
    """Contract 4, in SimpleITK, by the files that Slicer writes."""
    saved(node_from_field(registration.field, scene), tmp_path / "transform.h5")
    images = {}
    for name, volume in (("fixed", pair.fixed), ("moving", pair.moving)):
        storage = slicer.vtkMRMLNRRDStorageNode()
        storage.SetFileName(str(tmp_path / f"{name}.nrrd"))
        assert storage.WriteData(node_from_volume(volume, scene))
        images[name] = sitk.ReadImage(storage.GetFileName())
    transform = sitk.ReadTransform(str(tmp_path / "transform.h5"))
    fill = registration.moving_intensity.fill
    image = sitk.Resample(
        sitk.Cast(images["moving"], sitk.sitkFloat32), images["fixed"], transform, sitk.sitkLinear, fill
    )
    difference = np.abs(sitk.GetArrayFromImage(image) - registration.warped.array)[well_covered(registration)]
    assert difference.max() < 1.0
    assert registration.warped.array[registration.covered].std() > 100


def test_hardened_volume_is_moving_at_phi(scene, registration, pair):
    """Contract 4, in Slicer: hardening resamples the moving volume by the transform, onto a lattice of its own."""
    node = node_from_volume(pair.moving, scene)
    node.SetAndObserveTransformNodeID(node_from_field(registration.field, scene).GetID())
    assert node.HardenTransform()
    hardened = volume_from_node(node)
    x = lattice_points(hardened.lattice)
    source = registration.field(x)
    expected = sample(pair.moving, source)
    core = apply(pair.moving.lattice.ras_to_grid, source)
    inner = np.abs(core).max(axis=1) < 0.98
    assert inner.mean() > 0.2
    difference = np.abs(hardened.array.ravel() - expected)[inner]
    assert difference.max() <= 1.0  # Slicer keeps the stored type: whole HU
    assert expected[inner].std() > 100


def test_markups_move_from_the_moving_image_to_the_fixed_one(scene, registration, pair):
    fixed = points_within(pair.fixed.lattice, 20, reach=0.6)
    markups = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "branchings")
    for point in registration.field(fixed):
        markups.AddControlPoint(vtk.vtkVector3d(*point))
    markups.SetAndObserveTransformNodeID(node_from_field(registration.field, scene).GetID())
    world = np.zeros((20, 3))
    for index in range(20):
        markups.GetNthControlPointPositionWorld(index, world[index])
    np.testing.assert_allclose(world, fixed, atol=0.1)


def test_other_nodes_are_refused(scene, pair):
    with pytest.raises(NodeError, match="found no transform node"):
        field_from_node(None, pair.fixed.lattice)
    with pytest.raises(NodeError, match=r"odd one: .*expected a transform"):
        field_from_node(scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "odd one"), pair.fixed.lattice)


def well_covered(registration) -> np.ndarray:
    """Fixed voxels whose eight neighbours are covered, too: ITK and this project differ half a voxel at the border."""
    covered = registration.covered.copy()
    for axis in range(3):
        for step in (1, -1):
            covered &= np.roll(registration.covered, step, axis)
    return covered


def sample(volume: Volume, points: np.ndarray) -> np.ndarray:
    grid = torch.from_numpy(apply(volume.lattice.ras_to_grid, points)).reshape(1, 1, 1, -1, 3)
    return warp(volume.tensor().double(), grid)[0, 0, 0, 0].numpy()
