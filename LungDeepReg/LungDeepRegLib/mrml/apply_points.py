"""Models and markups that a result is applied to: points of the moving image taken to the fixed one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from ..geometry import Lattice, apply
from .changes import Changes
from .display import Look
from .volumes import NodeError, vtk_matrix, world_matrix

UNREACHED_MM = 0.1
"""A point whose image under phi misses it by more is taken for not found."""


class PointMap:
    """phi^-1 of points in world coordinates, by Slicer's own transform.

    Attributes:
        lattice: The fixed image's.
    """

    def __init__(self, transform_node: slicer.vtkMRMLTransformNode, lattice: Lattice) -> None:
        self.lattice = lattice
        self._to_fixed, self._to_moving = vtk.vtkGeneralTransform(), vtk.vtkGeneralTransform()
        transform_node.GetTransformToWorld(self._to_fixed)
        transform_node.GetTransformFromWorld(self._to_moving)

    def of(self, points: np.ndarray) -> np.ndarray:
        """phi^-1 of points ``(N, 3)``, as near as the iteration came."""
        with silent():
            return transformed(self._to_fixed, points)

    def below(self, matrix: np.ndarray) -> vtk.vtkGeneralTransform:
        """``x -> phi^-1(matrix @ x)``, for filters."""
        chain = vtk.vtkGeneralTransform()
        chain.PostMultiply()
        chain.Concatenate(vtk_matrix(matrix))
        chain.Concatenate(self._to_fixed)
        return chain

    def reached(self, points: np.ndarray, found: np.ndarray) -> np.ndarray:
        """For which points, bool ``(N,)``, ``found`` is phi^-1 indeed; elsewhere the iteration got stuck in a fold."""
        miss = np.linalg.norm(transformed(self._to_moving, found) - points, axis=1)
        return miss <= UNREACHED_MM  # False for NaN, too

    def remarks(self, name: str, points: np.ndarray, found: np.ndarray) -> list[str]:
        """What should be known of the points that were found."""
        reached, count = self.reached(points, found), len(points)
        outside = int((reached & ~self.lattice.contains(found)).sum())
        texts = []
        if not reached.all():
            texts.append(f"{name}: {int((~reached).sum())} of {count} points were not found: the transform folds there")
        if outside:
            texts.append(f"{name}: {outside} of {count} points lie outside the fixed image: their place is a guess")
        return texts


@contextmanager
def silent() -> Iterator[None]:
    """Without VTK's warning for each point that isn't found: they are counted instead."""
    before = vtk.vtkObject.GetGlobalWarningDisplay()
    vtk.vtkObject.SetGlobalWarningDisplay(0)
    try:
        yield
    finally:
        vtk.vtkObject.SetGlobalWarningDisplay(before)


def transformed(transform: vtk.vtkAbstractTransform, points: np.ndarray) -> np.ndarray:
    """A VTK transform of points ``(N, 3)``, float64."""
    given, mapped = vtk.vtkPoints(), vtk.vtkPoints()
    mapped.SetDataTypeToDouble()
    kept = np.ascontiguousarray(points, dtype=np.float64).reshape(-1, 3)
    given.SetData(numpy_to_vtk(kept))
    transform.TransformPoints(given, mapped)
    return vtk_to_numpy(mapped.GetData()).copy().reshape(-1, 3)


@dataclass(frozen=True, eq=False)
class Model:
    """A surface or mesh; its normals and vectors turn with it, all other data stays with its points and cells."""

    name: str
    look: Look
    mesh: vtk.vtkPointSet
    remarks: list[str]
    images: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def read(cls, node: slicer.vtkMRMLModelNode, points: PointMap) -> Model:
        """A model node's mesh in the fixed image."""
        mesh = node.GetMesh()
        if mesh is None or not mesh.GetNumberOfPoints():
            msg = f"{node.GetName()}: found a model without points, expected a surface or mesh"
            raise NodeError(msg)
        to_world = world_matrix(node)
        deform = vtk.vtkTransformFilter()
        deform.SetInputData(mesh)
        deform.SetTransform(points.below(to_world))
        with silent():
            deform.Update()
        result = deform.GetOutput()
        y = apply(to_world, vtk_to_numpy(mesh.GetPoints().GetData()).astype(np.float64))
        x = vtk_to_numpy(result.GetPoints().GetData()).astype(np.float64)
        return cls(node.GetName(), Look.of(node), result, points.remarks(node.GetName(), y, x))

    def make(self, changes: Changes, name: str, answers: Sequence[dict[str, Any]]) -> slicer.vtkMRMLModelNode:
        """A new node of the deformed mesh."""
        node = changes.new_node("vtkMRMLModelNode", name)
        node.SetAndObserveMesh(self.mesh)
        changes.show(node)
        self.look.give(node)
        return node

    def warnings(self, answers: Sequence[dict[str, Any]]) -> list[str]:
        """What should be known of its points."""
        return self.remarks


@dataclass(frozen=True, eq=False)
class Markups:
    """Control points. One that isn't found stays in its place of the list, without a position ("missing" in Slicer).

    So points are still paired by number and label with those of another list, and none shows a place that is wrong.
    """

    name: str
    look: Look
    content: slicer.vtkMRMLMarkupsNode
    remarks: list[str]
    images: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def read(cls, node: slicer.vtkMRMLMarkupsNode, points: PointMap) -> Markups:
        """A markups node's content with its control points in the fixed image."""
        to_world = world_matrix(node)
        content = node.CreateNodeInstance()
        content.UnRegister(None)
        content.CopyContent(node)
        defined = [
            index
            for index in range(content.GetNumberOfControlPoints())
            if content.GetNthControlPointPositionStatus(index) == slicer.vtkMRMLMarkupsNode.PositionDefined
        ]
        if not defined:
            msg = f"{node.GetName()}: found no control points with a position, expected at least one"
            raise NodeError(msg)
        y = apply(to_world, np.array([content.GetNthControlPointPosition(index) for index in defined]))
        x = points.of(y)
        for index, place, found in zip(defined, x, points.reached(y, x), strict=True):
            if found:
                content.SetNthControlPointPosition(index, *place)
            else:
                content.SetNthControlPointPositionMissing(index)
        return cls(node.GetName(), Look.of(node), content, points.remarks(node.GetName(), y, x))

    def make(self, changes: Changes, name: str, answers: Sequence[dict[str, Any]]) -> slicer.vtkMRMLMarkupsNode:
        """A new node of the control points."""
        node = changes.new_node(self.content.GetClassName(), name)
        node.CopyContent(self.content)
        changes.show(node)
        self.look.give(node)
        return node

    def warnings(self, answers: Sequence[dict[str, Any]]) -> list[str]:
        """What should be known of its points."""
        return self.remarks
