"""phi of a transform node for points: where the registration takes places of the fixed image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import slicer
import vtk

from .apply_points import UNREACHED_MM, silent, transformed
from .transforms import own_grid
from .volumes import NodeError, numpy_matrix

SINGULAR = 1e-9


def phi_of(node: slicer.vtkMRMLTransformNode) -> Callable[[np.ndarray], np.ndarray]:
    """phi of points ``(N, 3)``: from the fixed image in world RAS mm to the moving image, by Slicer's own transform.

    Between the vectors of a field it is linear.

    Raises:
        NodeError: A linear transform that has no inverse; so does the function, for points that an inverse is wanted of
            and isn't found, because the transform folds there.
    """
    name, grid = node.GetName(), own_grid(node)
    exact = grid is not None
    to_world, from_world = vtk.vtkGeneralTransform(), vtk.vtkGeneralTransform()
    if node.IsTransformToWorldLinear():
        matrix = vtk.vtkMatrix4x4()
        node.GetMatrixTransformToWorld(matrix)
        determinant = float(np.linalg.det(numpy_matrix(matrix)[:3, :3]))
        if not abs(determinant) > SINGULAR:
            msg = f"{name}: found a transform with the determinant {determinant:g}, expected one with an inverse"
            raise NodeError(msg)
        exact = True
    node.GetTransformToWorld(to_world)
    node.GetTransformFromWorld(from_world)
    if grid is not None:  # Slicer loads them as cubic ones, and errors would change by some 0.01 mm
        from_world = slicer.vtkOrientedGridTransform()
        from_world.DeepCopy(grid)
        from_world.SetInterpolationModeToLinear()

    def phi(points: np.ndarray) -> np.ndarray:
        with silent():
            mapped = transformed(from_world, points)
            back = mapped if exact else transformed(to_world, mapped)
        missed = 0 if exact else int((np.linalg.norm(back - points, axis=1) > UNREACHED_MM).sum())
        if missed or not np.isfinite(mapped).all():
            msg = f"{name}: found no place for {missed} of {len(points)} points, expected a transform with an inverse"
            raise NodeError(msg)
        return mapped

    return phi
