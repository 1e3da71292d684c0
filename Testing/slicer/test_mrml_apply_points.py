"""Models and markups taken into the fixed image by phi^-1: against the engine's own inverse."""

import numpy as np
import pytest
import slicer
import vtk
from LungDeepRegLib.displacement_field import DisplacementField, lattice_points
from LungDeepRegLib.geometry import apply, covering_lattice
from LungDeepRegLib.inversion import inverse_points
from LungDeepRegLib.mrml import NodeError, carry_over, node_from_field, prepare
from LungDeepRegLib.mrml.apply_points import PointMap
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from Testing.slicer.mrml_cases import TABLE
from Testing.slicer.scene import linear_transform

CLASSES = ["Fiducial", "Line", "Angle", "Curve", "ClosedCurve"]


@pytest.fixture
def transform(scene, registration):
    return node_from_field(registration.field, scene)


@pytest.fixture
def fixed_points(pair):
    """Points of the fixed image, well inside."""
    return apply(pair.fixed.lattice.grid_to_ras, np.random.default_rng(5).uniform(-0.6, 0.6, (12, 3)))


def carried(node, transform, reference):
    made = carry_over(prepare([node], transform, reference))
    return made.nodes[0], made.warnings


def markups(scene, points, kind="Fiducial"):
    node = scene.AddNewNodeByClass(f"vtkMRMLMarkups{kind}Node", "branchings")
    node.CreateDefaultDisplayNodes()
    most = node.GetMaximumNumberOfControlPoints()
    for number, point in enumerate(points[: most if most > 0 else None]):
        node.AddControlPoint(*point)
        node.SetNthControlPointLabel(number, f"B{number}")
        node.SetNthControlPointDescription(number, f"bronchus {number}")
    return node


def positions(node) -> np.ndarray:
    return np.array([node.GetNthControlPointPositionWorld(n) for n in range(node.GetNumberOfControlPoints())])


@pytest.mark.parametrize("kind", CLASSES)
def test_control_points_go_to_the_fixed_image(scene, nodes, transform, registration, fixed_points, kind):
    node = markups(scene, registration.field(fixed_points), kind)
    before = positions(node)
    made, warnings = carried(node, transform, nodes[0])
    assert made.GetClassName() == node.GetClassName()
    assert made.GetName() == "branchings in phantom exhale"
    assert warnings == ()
    np.testing.assert_allclose(positions(made), fixed_points[: len(before)], atol=0.05)
    np.testing.assert_array_equal(positions(node), before)


@pytest.mark.parametrize("kind", CLASSES)
def test_markups_keep_all_but_their_place(scene, nodes, transform, registration, fixed_points, kind):
    node = markups(scene, registration.field(fixed_points), kind)
    node.SetLocked(True)
    node.SetNthControlPointLocked(1, True)
    node.SetNthControlPointSelected(0, False)
    node.SetNthControlPointVisibility(1, False)
    node.GetDisplayNode().SetSelectedColor(0.1, 0.9, 0.2)
    node.GetDisplayNode().SetGlyphScale(4.5)
    made, _ = carried(node, transform, nodes[0])
    assert made.GetLocked()
    assert made.GetNthControlPointLocked(1)
    assert not made.GetNthControlPointSelected(0)
    assert not made.GetNthControlPointVisibility(1)
    for number in range(node.GetNumberOfControlPoints()):
        assert made.GetNthControlPointLabel(number) == f"B{number}"
        assert made.GetNthControlPointDescription(number) == f"bronchus {number}"
    assert made.GetDisplayNode().GetSelectedColor() == (0.1, 0.9, 0.2)
    assert made.GetDisplayNode().GetGlyphScale() == 4.5


def test_markups_below_a_linear_transform(scene, nodes, transform, registration, fixed_points):
    node = markups(scene, apply(np.linalg.inv(TABLE), registration.field(fixed_points)))
    node.SetAndObserveTransformNodeID(linear_transform(scene, TABLE).GetID())
    made, _ = carried(node, transform, nodes[0])
    assert made.GetParentTransformNode() is None
    np.testing.assert_allclose(positions(made), fixed_points, atol=0.05)


def test_points_without_a_position_stay_without_one(scene, nodes, transform, registration, fixed_points):
    node = markups(scene, registration.field(fixed_points))
    node.SetNthControlPointPositionMissing(3)
    node.UnsetNthControlPointPosition(4)
    made, _ = carried(node, transform, nodes[0])
    kept = slicer.vtkMRMLMarkupsNode
    assert made.GetNthControlPointPositionStatus(3) == kept.PositionMissing
    assert made.GetNthControlPointPositionStatus(4) == kept.PositionUndefined
    assert made.GetNumberOfDefinedControlPoints() == 10
    np.testing.assert_allclose(positions(made)[5:], fixed_points[5:], atol=0.05)


def test_linear_transform_made_elsewhere(scene, nodes, fixed_points):
    node = markups(scene, fixed_points)
    made, _ = carried(node, linear_transform(scene, TABLE), nodes[0])
    np.testing.assert_allclose(positions(made), apply(TABLE, fixed_points), atol=1e-6)


@pytest.mark.parametrize("class_name", ["vtkMRMLMarkupsFiducialNode", "vtkMRMLModelNode"])
def test_empty_nodes_are_refused_by_name(scene, nodes, transform, class_name):
    node = scene.AddNewNodeByClass(class_name, "empty one")
    with pytest.raises(NodeError, match="empty one: found"):
        prepare([node], transform, nodes[0])


# Points that aren't found, or not in the fixed image


@pytest.fixture
def folded(pair):
    """A map that is torn to and fro, so that the search for most points gets stuck, but for one half of the space."""
    lattice = covering_lattice(pair.fixed.lattice, 10.0, 20.0)
    vectors = np.random.default_rng(8).normal(0, 25, (*lattice.shape, 3))
    vectors[lattice_points(lattice)[:, 0].reshape(lattice.shape) > -20] = (3, -4, 5)
    return DisplacementField(vectors, lattice)


def test_points_that_are_not_found_are_missing_and_counted(scene, nodes, folded):
    calm = np.array([[60.0, 5, 5], [80, -20, 9]])
    torn = np.random.default_rng(9).uniform((-120, -60, -60), (-60, 60, 60), (20, 3))
    given = np.concatenate([folded(calm), torn])
    node = markups(scene, given)
    made, warnings = carried(node, node_from_field(folded, scene), nodes[0])
    defined, missing = slicer.vtkMRMLMarkupsNode.PositionDefined, slicer.vtkMRMLMarkupsNode.PositionMissing
    status = np.array([made.GetNthControlPointPositionStatus(n) for n in range(22)])
    assert set(status) == {defined, missing}
    assert (status[:2] == defined).all()
    found = status == defined
    np.testing.assert_allclose(positions(made)[:2], calm, atol=0.05)
    np.testing.assert_allclose(folded(positions(made)[found]), given[found], atol=0.1)
    assert warnings[0] == f"branchings: {(~found).sum()} of 22 points were not found: the transform folds there"
    assert [made.GetNthControlPointLabel(n) for n in range(22)] == [f"B{n}" for n in range(22)]
    assert node.GetNumberOfDefinedControlPoints() == 22


def test_points_outside_the_fixed_image_are_kept_and_counted(scene, nodes, transform, registration, fixed_points):
    outside = np.array([[900.0, 0, 0], [0, -900, 0]])
    node = markups(scene, registration.field(np.concatenate([fixed_points, outside])))
    made, warnings = carried(node, transform, nodes[0])
    assert warnings == ("branchings: 2 of 14 points lie outside the fixed image: their place is a guess",)
    assert made.GetNumberOfDefinedControlPoints() == 14
    np.testing.assert_allclose(positions(made)[-2:], outside, atol=0.1)


def test_slicers_inverse_is_as_good_as_the_engines(scene, transform, registration, pair):
    y = apply(pair.moving.lattice.grid_to_ras, np.random.default_rng(6).uniform(-0.9, 0.9, (3000, 3)))
    ours, residual = inverse_points(registration.field, y)
    points = PointMap(transform, pair.fixed.lattice)
    theirs = points.of(y)
    found = residual < 0.01
    assert found.mean() > 0.95
    np.testing.assert_allclose(theirs[found], ours[found], atol=0.05)
    np.testing.assert_array_equal(points.reached(y, theirs)[found], True)


# Models


def ball(centre, radius=40.0, precision=vtk.vtkAlgorithm.SINGLE_PRECISION):
    """A sphere with normals, a scalar of each point and one of each cell."""
    source = vtk.vtkSphereSource()
    source.SetCenter(*centre)
    source.SetRadius(radius)
    source.SetThetaResolution(24)
    source.SetPhiResolution(24)
    source.SetOutputPointsPrecision(precision)
    source.Update()
    surface = source.GetOutput()
    for data, count in (
        (surface.GetPointData(), surface.GetNumberOfPoints()),
        (surface.GetCellData(), surface.GetNumberOfCells()),
    ):
        thickness = numpy_to_vtk(np.arange(count, dtype=np.float32), deep=True)
        thickness.SetName("thickness")
        data.AddArray(thickness)
    return surface


def model(scene, mesh, name="airways"):
    node = scene.AddNewNodeByClass("vtkMRMLModelNode", name)
    node.SetAndObserveMesh(mesh)
    node.CreateDefaultDisplayNodes()
    return node


def vertices(mesh) -> np.ndarray:
    return vtk_to_numpy(mesh.GetPoints().GetData()).astype(np.float64)


def test_surface_goes_to_the_fixed_image_with_its_data(scene, nodes, transform, registration, pair):
    node = model(scene, ball(pair.moving.lattice.centre_ras))
    node.GetDisplayNode().SetColor(0.9, 0.2, 0.1)
    node.GetDisplayNode().SetOpacity(0.4)
    node.GetDisplayNode().SetActiveScalarName("thickness")
    node.GetDisplayNode().SetScalarVisibility(True)
    y = vertices(node.GetMesh())
    made, warnings = carried(node, transform, nodes[0])
    assert warnings == ()
    expected, residual = inverse_points(registration.field, y)
    assert residual.max() < 0.01
    assert np.linalg.norm(expected - y, axis=1).mean() > 5
    np.testing.assert_allclose(vertices(made.GetMesh()), expected, atol=0.05)
    for get in ("GetPointData", "GetCellData"):
        kept, original = (getattr(n.GetMesh(), get)().GetArray("thickness") for n in (made, node))
        np.testing.assert_array_equal(vtk_to_numpy(kept), vtk_to_numpy(original))
    assert made.GetMesh().GetNumberOfCells() == node.GetMesh().GetNumberOfCells()
    display = made.GetDisplayNode()
    assert (display.GetColor(), display.GetOpacity()) == ((0.9, 0.2, 0.1), 0.4)
    assert display.GetActiveScalarName() == "thickness"
    assert display.GetScalarVisibility()
    np.testing.assert_array_equal(vertices(node.GetMesh()), y)


def test_normals_turn_with_the_surface(scene, nodes, transform, pair):
    node = model(scene, ball(pair.moving.lattice.centre_ras))
    made, _ = carried(node, transform, nodes[0])
    normals = vtk_to_numpy(made.GetMesh().GetPointData().GetNormals())
    fresh = vtk.vtkPolyDataNormals()
    fresh.SetInputData(made.GetMesh())
    fresh.SplittingOff()
    fresh.ConsistencyOff()
    fresh.Update()
    computed = vtk_to_numpy(fresh.GetOutput().GetPointData().GetNormals())
    agreement = np.abs((normals * computed).sum(axis=1))
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-3)
    assert np.median(agreement) > 0.995
    assert (normals * computed).sum(axis=1).mean() > 0.98


def test_model_below_a_linear_transform(scene, nodes, transform, registration, pair):
    node = model(scene, ball(apply(np.linalg.inv(TABLE), pair.moving.lattice.centre_ras)))
    node.SetAndObserveTransformNodeID(linear_transform(scene, TABLE).GetID())
    made, _ = carried(node, transform, nodes[0])
    expected, _ = inverse_points(registration.field, apply(TABLE, vertices(node.GetMesh())))
    np.testing.assert_allclose(vertices(made.GetMesh()), expected, atol=0.05)
    assert made.GetParentTransformNode() is None


def test_mesh_of_cells_and_double_precision(scene, nodes, transform, registration, pair):
    tetrahedra = vtk.vtkDelaunay3D()
    tetrahedra.SetInputData(ball(pair.moving.lattice.centre_ras, precision=vtk.vtkAlgorithm.DOUBLE_PRECISION))
    tetrahedra.Update()
    node = model(scene, tetrahedra.GetOutput())
    made, _ = carried(node, transform, nodes[0])
    assert made.GetMesh().IsA("vtkUnstructuredGrid")
    assert made.GetMesh().GetPoints().GetDataType() == vtk.VTK_DOUBLE
    expected, _ = inverse_points(registration.field, vertices(node.GetMesh()))
    np.testing.assert_allclose(vertices(made.GetMesh()), expected, atol=0.05)


def test_model_points_that_are_not_found_are_counted(scene, nodes, folded):
    node = model(scene, ball((-20.0, 0.0, 0.0), radius=50.0))
    made, warnings = carried(node, node_from_field(folded, scene), nodes[0])
    x = vertices(made.GetMesh())
    missed = ~(np.linalg.norm(folded(x) - vertices(node.GetMesh()), axis=1) <= 0.1)
    assert 0.05 < missed.mean() < 0.7
    assert warnings[0] == f"airways: {missed.sum()} of {len(x)} points were not found: the transform folds there"
