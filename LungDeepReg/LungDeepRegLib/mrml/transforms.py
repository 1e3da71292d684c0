"""Transform nodes to and from displacement fields.

A transform node holds phi as *from parent*. An image below it is resampled by ``warped(x) = moving(phi(x))``, points
below it go from the moving image to the fixed one (phi^-1, by iteration), and its file is T(LPS(x)) = LPS(phi(x)).
"""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from ..displacement_field import DisplacementField, lattice_points
from ..geometry import Lattice, covering_lattice
from .volumes import NodeError, image_data, numpy_matrix, voxels, vtk_matrix

SAMPLED_SPACING_MM = 3.0
MARGIN_MM = 10.0
LINEAR_SPACING_MM = 50.0
"""A linear map is linear between any vectors, so that few will do."""


def node_from_field(
    field: DisplacementField, scene: slicer.vtkMRMLScene, name: str = "transform"
) -> slicer.vtkMRMLTransformNode:
    """A new transform node that holds phi as from parent, linear between the field's voxel centres.

    Beyond them both go on at the border value.
    """
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode", scene.GenerateUniqueName(name))
    node.SetAndObserveTransformFromParent(grid_from_field(field))
    return node


def field_from_node(node: slicer.vtkMRMLTransformNode, fixed: Lattice) -> DisplacementField:
    """phi of a transform node, whoever made it: its map from the world to the moving image, in RAS mm.

    A grid transform that is stored as from parent keeps its own lattice and vectors (Slicer loads grids with cubic
    interpolation between them; here they are linear). Anything else - B-spline, composite, inverse, below other
    transforms - is sampled every 3 mm on a lattice that encloses the fixed image; what is linear as a whole, coarser.

    Args:
        node: The transform that brings the moving image onto the fixed one.
        fixed: The fixed image's lattice.

    Raises:
        NodeError: No node, or not a transform.
    """
    if node is None:
        msg = "found no transform node, expected one"
        raise NodeError(msg)
    if not node.IsA("vtkMRMLTransformNode"):
        msg = f"{node.GetName()}: found a {node.GetNodeTagName()} node, expected a transform"
        raise NodeError(msg)
    grid = own_grid(node)
    if grid is not None:
        return field_from_grid(grid)
    if node.IsTransformToWorldLinear():
        matrix = vtk.vtkMatrix4x4()
        node.GetMatrixTransformFromWorld(matrix)
        lattice = covering_lattice(fixed, LINEAR_SPACING_MM, LINEAR_SPACING_MM)
        return DisplacementField.from_matrix(numpy_matrix(matrix), lattice)
    to_moving = vtk.vtkGeneralTransform()
    node.GetTransformFromWorld(to_moving)
    return sampled(to_moving, covering_lattice(fixed, SAMPLED_SPACING_MM, MARGIN_MM))


def own_grid(node: slicer.vtkMRMLTransformNode) -> slicer.vtkOrientedGridTransform | None:
    """The grid transform that is all of a node's map from the world, or None."""
    grid = node.GetTransformFromParentAs("vtkOrientedGridTransform", False)
    if grid is None or node.GetParentTransformNode() is not None:
        return None
    grid.Update()  # an inverse doesn't know that it is one before
    return None if grid.GetInverseFlag() or grid.GetDisplacementGrid() is None else grid


def grid_from_field(field: DisplacementField) -> slicer.vtkOrientedGridTransform:
    """The VTK transform of a field."""
    lattice = field.lattice
    image = image_data(field.vectors)
    image.SetOrigin(*lattice.ijk_to_ras[:3, 3])
    image.SetSpacing(*lattice.spacing_mm)
    directions = np.eye(4)  # the image's own direction isn't used by this transform
    directions[:3, :3] = lattice.ijk_to_ras[:3, :3] / lattice.spacing_mm
    grid = slicer.vtkOrientedGridTransform()
    grid.SetDisplacementGridData(image)
    grid.SetGridDirectionMatrix(vtk_matrix(directions))
    grid.SetInterpolationModeToLinear()
    return grid


def field_from_grid(grid: slicer.vtkOrientedGridTransform) -> DisplacementField:
    """The field of a VTK grid transform."""
    image = grid.GetDisplacementGrid()
    vectors = voxels(image) * grid.GetDisplacementScale() + grid.GetDisplacementShift()
    matrix = np.eye(4)
    directions = grid.GetGridDirectionMatrix()
    for row in range(3):
        for column in range(3):
            matrix[row, column] = directions.GetElement(row, column) if directions else float(row == column)
    matrix[:3, :3] *= image.GetSpacing()
    matrix[:3, 3] = image.GetOrigin()
    return DisplacementField(vectors, Lattice(vectors.shape[:3], matrix))


def sampled(transform: vtk.vtkAbstractTransform, lattice: Lattice) -> DisplacementField:
    """The field of a VTK transform of RAS mm, sampled at the voxel centres of a lattice."""
    x = lattice_points(lattice)
    points, mapped = vtk.vtkPoints(), vtk.vtkPoints()
    mapped.SetDataTypeToDouble()
    points.SetData(numpy_to_vtk(x))
    transform.TransformPoints(points, mapped)
    return DisplacementField((vtk_to_numpy(mapped.GetData()) - x).reshape(*lattice.shape, 3), lattice)
